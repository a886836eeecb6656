"""Images of a dataset: as samples, and in the shape of a generator's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dcgan_analysis.checkpoints.sampling import check_classes
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.data.splits import by_class
from dcgan_analysis_plugins.mnist_nn.source import BLOCK, block_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import DatasetSplit

__all__ = ["ImageSamples", "by_class", "check_classes", "like_samples"]


class ImageSamples:
    """The images of a labelled split in random order, the classes taking turns as long as their images last.

    Args:
        split: Its images and labels.
        seed: Of the order.

    Raises:
        DatasetError: If a class has no image, or there are no labels.
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


def like_samples(
    split: DatasetSplit, checkpoint: Checkpoint, *, dataset: str, fit: Literal["exact", "resize"] = "exact"
) -> DatasetSplit:
    """Return real images in the shape of a generator's samples, to compare the two pixel by pixel.

    Args:
        split: Real images.
        checkpoint: Whose samples.
        dataset: The name of the dataset, for messages.
        fit: Images of another shape: refuse them, or resize them.

    Raises:
        DatasetError: If ``fit`` is ``exact`` and the shapes differ, or channels cannot be matched.

    Example:
        >>> from dcgan_analysis import load_checkpoint, load_dataset
        >>> rooms, digits = load_checkpoint("bedrooms64"), load_dataset("digits").split("test")
        >>> like_samples(digits, rooms, dataset="digits", fit="resize").image_shape
        (3, 64, 64)
    """
    prepare = Preprocessing(checkpoint.architecture.image_shape, fit=fit)
    prepare.check(split.image_shape, dataset=dataset, checkpoint=checkpoint.name)
    if split.image_shape == checkpoint.architecture.image_shape:
        return split
    # The hash that was known is that of the images as they were.
    return replace(split, images=prepare.to_bytes(prepare(split.images)), known_sha256=None)
