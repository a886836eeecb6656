"""The embedded default: scikit-learn's 1,797 real handwritten digits, no network and no files.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI
Machine Learning Repository, https://doi.org/10.24432/C50P49): 8x8 counts of dark pixels, 0 to 16.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.splits import pick

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERSION = 1
_SIZE = 32
_TEST_IMAGES = 500
_SEED = 1998
_LARGEST_COUNT = 16


def _resize(counts: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn (8, 8) counts into (3, 32, 32) bytes: 0 to 255, bilinear, three equal channels."""
    gray = np.rint(counts * (255 / _LARGEST_COUNT)).astype(np.uint8)
    large = Image.fromarray(gray).resize((_SIZE, _SIZE), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(large)[None], 3, axis=0)


@cache
def _read() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from sklearn.datasets import load_digits as read_digits

    raw = read_digits()
    return np.stack([_resize(counts) for counts in raw.images]), raw.target.astype(np.int64)


def load_digits() -> Dataset:
    """Make the dataset: 1,297 training and 500 test images, always the same ones.

    Returns:
        Images (N, 3, 32, 32) of classes "0" to "9"; ``ids`` are positions in scikit-learn's array.
    """
    images, labels = _read()
    # RandomState, because its numbers never change; those of Generator may (NEP 19).
    order = np.random.RandomState(_SEED).permutation(len(labels))
    test = pick(order, _TEST_IMAGES, labels)
    train = np.setdiff1d(np.arange(len(labels)), test)
    whole = DatasetSplit(
        images=images,
        labels=labels,
        ids=[f"{i:04d}" for i in range(len(labels))],
        classes=[str(digit) for digit in range(10)],
        source="sklearn.datasets.load_digits",
    )
    note = (
        f"scikit-learn's 1,797 handwritten digits, 8x8 enlarged to {_SIZE}x{_SIZE} (bilinear), "
        f"version {_VERSION}. train and test: our own stratified split (seed {_SEED}); "
        "writers are not known, so they may be on both sides."
    )
    return Dataset.from_splits("digits", {"train": whole.take(train), "test": whole.take(test)}, note=note)
