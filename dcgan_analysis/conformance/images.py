"""A small labelled dataset, made and not read: three classes that are easy to tell apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.data.dataset import Dataset, DatasetSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ["disc", "rows", "columns"]

_SIZE = 32
_NOISE = 12.0


def make_dataset(
    *, train: int = 60, test: int = 30, seed: int = 0, shape: tuple[int, int, int] = (3, 32, 32)
) -> Dataset:
    """Make a dataset of discs, horizontal stripes and vertical stripes in random colours, 32x32 RGB.

    Args:
        train: Number of training images; classes take turns.
        test: Number of test images.
        seed: The same seed gives the same images.
        shape: Another shape (C, H, W); the images are then cut, or repeated to the right and below.

    Returns:
        A dataset ``synthetic`` with the splits ``train`` and ``test``.

    Example:
        >>> split = make_dataset(train=6).split("train")
        >>> split.images.shape, split.labels.tolist()
        ((6, 3, 32, 32), [0, 1, 2, 0, 1, 2])
    """
    splits = {
        name: _split(name, n, (seed, stream), shape)
        for stream, (name, n) in enumerate({"train": train, "test": test}.items())
    }
    return Dataset.from_splits("synthetic", splits, note="made by dcgan_analysis.testing")


def _split(name: str, n: int, seed: tuple[int, int], shape: tuple[int, int, int]) -> DatasetSplit:
    return DatasetSplit(
        images=_images(n, seed, shape).copy(),
        labels=np.arange(n, dtype=np.int64) % len(CLASSES),
        ids=[f"{name}-{i:04d}" for i in range(n)],
        classes=list(CLASSES),
        source=f"synthetic, {name}",
    )


@cache  # many tests ask for the same ones
def _images(n: int, seed: tuple[int, int], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.stack([_fitted(_image(i % len(CLASSES), rng), shape) for i in range(n)])


def _fitted(image: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if image.shape == shape:
        return image
    repeats = [-(-length // size) for length, size in zip(shape, image.shape, strict=True)]
    channels, height, width = shape
    return np.tile(image, repeats)[:channels, :height, :width]


def _image(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    y, x = np.mgrid[:_SIZE, :_SIZE]
    centre, radius = rng.uniform(13, 19, size=2), rng.uniform(7, 11)
    # Small shifts: the mean images of the classes stay far apart.
    phase = rng.uniform(0, 2)
    mask = (
        (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2,
        (y + phase) % 8 < 4,
        (x + phase) % 8 < 4,
    )[label]
    dark, bright = rng.uniform(0, 90, size=(3, 1, 1)), rng.uniform(165, 255, size=(3, 1, 1))
    pixels = np.where(mask, bright, dark) + rng.normal(0, _NOISE, size=(3, _SIZE, _SIZE))
    return pixels.clip(0, 255).astype(np.uint8)
