"""The nearest images of a set, by pixels, by features, by learned hashes: what is compared, and in which view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.latents.seen_images import Images, held_out_images, seen_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.neighbours import Nearest

__all__ = [
    "Images",
    "View",
    "disjoint_subsets",
    "hash_view",
    "held_out_images",
    "nearest_images",
    "pixel_views",
    "seen_images",
]

_BLOCK = 512


@dataclass(frozen=True)
class View:
    """One way of seeing images.

    Attributes:
        rows: Images, uint8 (N, C, H, W), and labels (N,) or None -> rows (N, D), float32.
        norm: 1: rows differ by the sum of absolute differences; 2: by the Euclidean distance.
        scale: Turns distances into readable units.
    """

    rows: Callable[[np.ndarray, Tensor | None], Tensor]
    norm: Literal[1, 2] = 2
    scale: float = 1.0


def pixel_views(shape: Sequence[int]) -> dict[str, View]:
    """Return ``l1`` and ``l2``: pixels in [0, 1]; in readable units mean absolute and root mean square differences.

    Args:
        shape: Of an image (C, H, W).
    """
    import math

    import torch

    def pixels(images: np.ndarray, _: Tensor | None) -> Tensor:
        return torch.from_numpy(images).flatten(1).float() / 255

    size = math.prod(shape)
    return {"l1": View(pixels, 1, 1 / size), "l2": View(pixels, 2, size**-0.5)}


def hash_view(hashed: Callable[[np.ndarray], np.ndarray]) -> View:
    """Return the view by a hash; distances are numbers of bits that differ.

    Args:
        hashed: Images, uint8 (N, C, H, W) -> their bits, packed into bytes (N, B), as of ``data.near_duplicates``.
    """
    import numpy as np
    import torch

    def bits(images: np.ndarray, _: Tensor | None) -> Tensor:
        return torch.from_numpy(np.unpackbits(hashed(images), axis=1).astype(np.float32))

    return View(bits, 1)


def nearest_images(
    view: View,
    wanted: Images,
    gallery: Images,
    subsets: Tensor | None = None,
    *,
    what: str = "nearest images",
    progress: Progress = silent,
) -> Nearest:
    """Find the nearest image of a gallery to each image wanted, exactly, block by block.

    Args:
        view: How images are seen.
        wanted: N images.
        gallery: M images.
        subsets: (K, M) masks of parts of the gallery whose nearest image is wanted as well, or None.
        what: What progress calls it.
        progress: Called with the number of images of the gallery seen.

    Raises:
        AnalysisError: If the gallery is empty, or holds nothing but the image itself.
    """
    from dcgan_analysis.neighbours import nearest_rows

    def blocks() -> Iterator[Tensor]:
        total = len(gallery.images)
        for start in range(0, total, _BLOCK):
            chosen = slice(start, start + _BLOCK)
            yield view.rows(gallery.images[chosen], None if gallery.labels is None else gallery.labels[chosen])
            progress(what, min(start + _BLOCK, total), total)

    rows = view.rows(wanted.images, wanted.labels)
    return nearest_rows(rows, blocks(), norm=view.norm, exclude=wanted.own, subsets=subsets)


def disjoint_subsets(n: int, size: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Return masks of random subsets of n images, in pairs without a common image: (2 P, n) for P generators.

    Example:
        >>> import numpy as np
        >>> disjoint_subsets(4, 2, [np.random.default_rng(0)]).sum(dim=0).tolist()
        [1, 1, 1, 1]
    """
    import torch

    masks = torch.zeros(2 * len(rngs), n, dtype=torch.bool)
    for pair, rng in enumerate(rngs):
        order = torch.from_numpy(rng.permutation(n))
        masks[2 * pair, order[:size]] = True
        masks[2 * pair + 1, order[size : 2 * size]] = True
    return masks
