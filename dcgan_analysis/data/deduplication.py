"""Near-duplicates of a split: which images to leave out, and how well the hash finds copies that were made on purpose.

The list is JSON: ``leave_out`` names the images that a training should not use, all but the first of each group.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dcgan_analysis.data.near_duplicates import equal_groups, learn_hash, near_groups, nearest_hashes
from dcgan_analysis.progress import Progress, silent
from dcgan_analysis.statistics import wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.data.near_duplicates import SemanticHash

__all__ = ["FORMAT", "PERTURBATIONS", "Duplicates", "find_duplicates", "measure_hash"]

FORMAT = "dcgan-analysis duplicates"
_MEASURED = 1000
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        groups: Positions of the images of each group of near-duplicates.
        bits: In how many bits the hashes of a group's neighbours may differ.
        measured: Name of a measure -> value, low, high, n.
        split: The images.
        settings: How the hash was learned.
    """

    groups: list[NDArray[np.int64]]
    bits: int
    measured: dict[str, dict[str, float]]
    split: DatasetSplit
    settings: dict[str, Any]

    @property
    def leave_out(self) -> list[str]:
        """Ids of all images but the first of each group."""
        return [self.split.ids[i] for group in self.groups for i in group[1:].tolist()]

    def document(self, dataset: str, split: str) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "format": FORMAT,
            "version": 1,
            "dataset": dataset,
            "split": split,
            "images": len(self.split),
            "sha256": self.split.sha256,
            "hash": {**self.settings, "bits": self.bits},
            "measured": self.measured,
            "groups": [[self.split.ids[i] for i in group.tolist()] for group in self.groups],
            "leave_out": self.leave_out,
        }


def _recoded(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pages = []
    for image in images:
        stream = io.BytesIO()
        picture = image.transpose(1, 2, 0)
        Image.fromarray(picture.squeeze(-1) if picture.shape[2] == 1 else picture).save(
            stream, format="JPEG", quality=_JPEG_QUALITY
        )
        with Image.open(stream) as read:
            pages.append(np.asarray(read).reshape(picture.shape).transpose(2, 0, 1))
    return np.stack(pages)


def _cropped(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a thirty-second of the width and height off at the top left, and enlarge the rest to the old size."""
    import torch
    from torch.nn.functional import interpolate

    height, width = images.shape[2:]
    cut = torch.from_numpy(images[:, :, max(1, height // 32) :, max(1, width // 32) :].copy()).float()
    large = interpolate(cut, (height, width), mode="bilinear", align_corners=False)
    found: NDArray[np.uint8] = large.round().clamp(0, 255).byte().numpy()
    return found


def _brightened(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    brighter: NDArray[np.uint8] = np.rint(images * 1.1).clip(0, 255).astype(np.uint8)
    return brighter


PERTURBATIONS = {"re-encoded": _recoded, "brightened": _brightened, "cropped": _cropped}
"""Name -> what makes a near-duplicate: JPEG of quality 85, 10 % brighter, a thirty-second cut off at the top left."""


def measure_hash(
    images: NDArray[np.uint8], hashed: SemanticHash, bits: int, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Measure a hash on near-duplicates made on purpose, and on images that are none.

    Args:
        images: uint8 (N, C, H, W); a thousand of them at most are used.
        hashed: The hash.
        bits: In how many bits hashes may differ.
        rng: Chooses the images.

    Returns:
        Recall for each kind of copy (the copy's hash is near the original's), and the false-positive rate: the share of
        images whose mirror image is near any *other* image. Mirror images look like real ones but are no copies.
    """
    chosen = rng.permutation(len(images))[:_MEASURED]
    own = hashed(images[chosen])
    found = {}
    for name, change in PERTURBATIONS.items():
        differing = np.unpackbits(own ^ hashed(change(images[chosen])), axis=1).sum(axis=1)
        found[f"recall, {name}"] = _share(differing <= bits)
    mirrored = hashed(np.ascontiguousarray(images[chosen][..., ::-1]))
    distances, _ = nearest_hashes(mirrored, hashed(images), exclude=chosen)
    found["false positives, mirrored"] = _share(distances <= bits)
    return found


def _share(hits: NDArray[np.bool_]) -> dict[str, float]:
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return {"value": float(hits.mean()), "low": low, "high": high, "n": len(hits)}


def find_duplicates(
    split: DatasetSplit, *, bits: int = 0, steps: int = 600, seed: int = 0, progress: Progress = silent
) -> Duplicates:
    """Find the near-duplicates of a split.

    Args:
        split: The images.
        bits: In how many of 128 bits the hashes of near-duplicates may differ; 0 as in the paper: linear time.
        steps: Minibatches that the hash is learned from.
        seed: Of the hash and of the measurement.
        progress: Told how it goes.

    Raises:
        DatasetError: If there are fewer than two images.
    """
    hashed = learn_hash(split.images, seed=seed, steps=steps, progress=progress)
    hashes = hashed(split.images, progress)
    groups = near_groups(hashes, bits, progress) if bits else equal_groups(hashes)
    measured = measure_hash(split.images, hashed, bits, np.random.default_rng(seed))
    return Duplicates(groups, bits, measured, split, {"steps": steps, "seed": seed})
