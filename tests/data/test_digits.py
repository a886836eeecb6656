from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data import load_dataset


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_shapes_and_sizes(digits):
    assert digits.split_names == ["train", "test"]
    assert digits.split("train").images.shape == (1297, 3, 32, 32)
    assert digits.split("test").images.shape == (500, 3, 32, 32)
    assert digits.classes == list("0123456789")


def test_content_is_the_same_everywhere_and_for_ever(digits):
    hashes = [digits.split(name).sha256[:16] for name in ("train", "test")]
    assert hashes == ["6240d20b5a822f8c", "a8c9f9a98009ab8a"]


def test_no_image_is_in_both_splits(digits):
    train, test = digits.split("train"), digits.split("test")
    assert len({*train.ids, *test.ids}) == 1797


def test_classes_are_divided_in_proportion(digits):
    train, test = (np.bincount(digits.split(name).labels) for name in ("train", "test"))
    assert np.abs(test - (train + test) * 500 / 1797).max() < 1


def test_values_span_the_bytes_and_channels_are_equal(digits):
    images = digits.split("train").images
    assert (images.min(), images.max()) == (0, 255)
    assert (images == images[:, :1]).all()
