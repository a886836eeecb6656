"""Samples that are images of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis_plugins.mnist_nn.source import BLOCK, block_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import DatasetSplit

__all__ = ["ImageSamples", "by_class"]


class ImageSamples:
    """The images of a labelled split in random order, the classes taking turns as long as their images last.

    Args:
        split: Its images and labels.
        seed: Of the order.

    Raises:
        AnalysisError: If a class has no image, or there are no labels.
    """

    def __init__(self, split: DatasetSplit, seed: int) -> None:
        members = by_class(split)
        rng = block_rng(seed, 0)
        shuffled = [rng.permutation(images) for images in members]
        turn = np.concatenate([np.arange(len(images)) for images in shuffled])
        # Sorted by turn, then by class, for a stable sort keeps the order of classes.
        self._order = np.concatenate(shuffled)[np.argsort(turn, kind="stable")]
        self._split = split
        self.size: int | None = len(split)
        self.identity: dict[str, Any] = {"source": "images", "images": split.sha256, "seed": seed, "block": BLOCK}

    def images(self, number: int) -> NDArray[np.uint8]:
        """Return a block, uint8 (BLOCK, C, H, W); the last one may be shorter."""
        images: NDArray[np.uint8] = self._split.images[self._order[number * BLOCK : (number + 1) * BLOCK]]
        return images

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of samples."""
        assert self._split.labels is not None  # checked when it was made
        labels: NDArray[np.int64] = self._split.labels[self._order[indices]]
        return labels


def by_class(split: DatasetSplit) -> list[NDArray[np.int64]]:
    """Return the indices of the images of each class.

    Raises:
        AnalysisError: If a class has no image, or there are no labels.
    """
    if split.labels is None:
        msg = f"{split.source or 'A split'} has no labels. Choose a labelled dataset."
        raise AnalysisError(msg)
    members = [np.flatnonzero(split.labels == number) for number in range(len(split.classes))]
    for name, images in zip(split.classes, members, strict=True):
        if not len(images):
            msg = f"Class '{name}' has no image in {split.source or 'a split'}. Use more images, or another dataset."
            raise AnalysisError(msg)
    return members
