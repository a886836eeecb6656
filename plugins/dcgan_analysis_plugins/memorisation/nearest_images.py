"""The nearest images of a set, by pixels, by features, by learned hashes: what is compared, and in which view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dcgan_analysis.core.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.latents.seen_images import Images
    from dcgan_analysis.neighbours import Nearest

SAMPLES, HELD_OUT, SEEN, COPIES = "samples", "held-out images", "training images among the others", "copies (control)"
"""The sources of images whose nearest images are looked up."""

FEATURES, HASH = "features", "hash"
"""Views that have names of their own."""

_BLOCK = 512


@dataclass(frozen=True)
class View:
    """One way of seeing images.

    Attributes:
        rows: Images, uint8 (N, C, H, W), and labels (N,) or None -> rows (N, D), float32.
        norm: 1: rows differ by the sum of absolute differences; 2: by the Euclidean distance.
        scale: Turns distances into readable units.
        learned: Whether the rows come from a network that has learned from the training images.
        unit: What the scaled distances are.
    """

    rows: Callable[[np.ndarray, Tensor | None], Tensor]
    norm: Literal[1, 2] = 2
    scale: float = 1.0
    learned: bool = False
    unit: str = "distance"


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
    unit = "difference, pixels in [0, 1]"
    return {
        "l1": View(pixels, 1, 1 / size, unit=f"mean absolute {unit}"),
        "l2": View(pixels, 2, size**-0.5, unit=f"root mean square {unit}"),
    }


def hash_view(hashed: Callable[[np.ndarray], np.ndarray]) -> View:
    """Return the view by a hash; distances are numbers of bits that differ.

    Args:
        hashed: Images, uint8 (N, C, H, W) -> their bits, packed into bytes (N, B), as of ``data.near_duplicates``.
    """
    import numpy as np
    import torch

    def bits(images: np.ndarray, _: Tensor | None) -> Tensor:
        return torch.from_numpy(np.unpackbits(hashed(images), axis=1).astype(np.float32))

    return View(bits, 1, unit="bits that differ")


def nearest_images(
    view: View,
    wanted: Mapping[str, Images],
    galleries: Sequence[Images],
    *,
    k: int = 1,
    what: str = "nearest images",
    progress: Progress = silent,
) -> dict[str, Nearest]:
    """Find the nearest images of galleries to each image wanted, exactly, block by block, in one pass.

    Args:
        view: How images are seen.
        wanted: Images by source.
        galleries: M images altogether; positions count through all of them.
        k: How many nearest ones; fewer where there are fewer.
        what: What progress calls it.
        progress: Called with the number of images of the galleries seen.

    Raises:
        AnalysisError: If there is no image, or nothing but the image itself.
    """
    import torch

    from dcgan_analysis.neighbours import Nearest, nearest_rows

    total = sum(len(gallery.images) for gallery in galleries)

    def blocks() -> Iterator[Tensor]:
        done = 0
        for gallery in galleries:
            for start in range(0, len(gallery.images), _BLOCK):
                chosen = slice(start, start + _BLOCK)
                rows = view.rows(gallery.images[chosen], None if gallery.labels is None else gallery.labels[chosen])
                done += len(rows)
                yield rows
                progress(what, done, total)

    sources = list(wanted.values())
    rows = torch.cat([view.rows(source.images, source.labels) for source in sources])
    own = [torch.full((len(source.images),), -1) if source.own is None else source.own for source in sources]
    nearest = nearest_rows(rows, blocks(), norm=view.norm, exclude=torch.cat(own), k=k)
    sizes = [len(source.images) for source in sources]
    parts = zip(torch.split(nearest.ranked_distances, sizes), torch.split(nearest.ranked_positions, sizes), strict=True)
    return {source: Nearest(*part) for source, part in zip(wanted, parts, strict=True)}


def nearest_training(nearest: Nearest, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and position (N,) of the nearest of n images that come first in the galleries."""
    import numpy as np

    first = (nearest.ranked_positions < n).int().argmax(1, keepdim=True)
    distances, positions = (
        ranked.gather(1, first)[:, 0] for ranked in (nearest.ranked_distances, nearest.ranked_positions)
    )
    return np.asarray(distances), np.asarray(positions)
