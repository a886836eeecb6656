from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.data.deduplication import PERTURBATIONS, find_duplicates
from dcgan_analysis.data.near_duplicates import equal_groups, learn_hash, near_groups, nearest_hashes
from dcgan_analysis.errors import DatasetError


@pytest.fixture(scope="module")
def photos():
    """Smooth random images: no two alike."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 180, (80, 3, 8, 8), dtype=np.uint8)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)


@pytest.fixture(scope="module")
def hashed(photos):
    return learn_hash(photos, steps=25)


def test_the_same_seed_learns_the_same_hash(photos, hashed):
    np.testing.assert_array_equal(learn_hash(photos, steps=25)(photos), hashed(photos))


def test_a_hash_has_128_bits_and_tells_different_images_apart(photos, hashed):
    hashes = hashed(photos)
    assert hashes.shape == (80, 16)
    assert equal_groups(hashes) == []
    assert 0.2 < np.unpackbits(hashes, axis=1).mean() < 0.8


def test_brightness_and_contrast_do_not_change_a_hash(photos, hashed):
    brighter = (photos * 1.25 + 10).astype(np.uint8)
    bits = np.unpackbits(hashed(photos) ^ hashed(brighter), axis=1).sum(axis=1)
    assert np.median(bits) == 0


def test_other_sizes_and_gray_images_are_hashed_as_well(photos, hashed):
    large = photos.repeat(2, axis=2).repeat(2, axis=3)
    differing = np.unpackbits(hashed(large) ^ hashed(photos), axis=1).sum(axis=1)
    assert differing.mean() < 20  # unrelated images: about 64
    gray = photos[:, :1]
    np.testing.assert_array_equal(hashed(gray), hashed(gray.repeat(3, axis=1)))


def test_near_groups_of_no_bits_are_the_groups_of_equal_hashes():
    hashes = np.random.default_rng(1).integers(0, 4, (60, 1), dtype=np.uint8)
    first, second = equal_groups(hashes), near_groups(hashes, 0)
    assert [group.tolist() for group in first] == [group.tolist() for group in second]
    assert sum(map(len, first)) > 50


def test_near_groups_are_joined_by_chains():
    hashes = np.array([[0b000], [0b001], [0b011], [0b11110000]], np.uint8)
    assert [group.tolist() for group in near_groups(hashes, 1)] == [[0, 1, 2]]
    assert near_groups(hashes[[0, 2]], 1) == []


def test_the_nearest_hash_may_leave_one_out():
    hashes = np.array([[0], [1], [255]], np.uint8)
    bits, positions = nearest_hashes(hashes, hashes, exclude=np.arange(3))
    assert bits.tolist() == [1, 1, 7]
    assert positions.tolist() == [1, 0, 1]


def test_injected_copies_are_found_and_nothing_else_is_left_out(photos):
    copies = np.concatenate([photos[3:5], PERTURBATIONS["brightened"](photos[7:8])])
    split = DatasetSplit(np.concatenate([photos, copies]), None, [f"{i}" for i in range(83)], source="photos")
    found = find_duplicates(split, bits=14, steps=25)
    assert [group.tolist() for group in found.groups] == [[3, 80], [4, 81], [7, 82]]
    assert found.leave_out == ["80", "81", "82"]
    document = found.document("photos", "train")
    assert document["groups"] == [["3", "80"], ["4", "81"], ["7", "82"]]
    assert document["measured"]["recall, brightened"]["value"] > 0.9
    assert document["measured"]["false positives, mirrored"]["value"] < 0.05


def test_one_equal_pair_is_found_among_many_hashes():
    hashes = np.random.default_rng(2).integers(0, 256, (100_000, 16), dtype=np.uint8)
    hashes[-1] = hashes[5]
    assert [group.tolist() for group in equal_groups(hashes)] == [[5, 99_999]]


def test_one_image_is_too_few():
    with pytest.raises(DatasetError, match="two images or more, got 1"):
        learn_hash(np.zeros((1, 3, 32, 32), np.uint8))
