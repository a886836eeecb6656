from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data.curation import near_duplicates
from dcgan_analysis.data.curation.copies import PERTURBATIONS
from dcgan_analysis.data.curation.deduplication import find_duplicates, read_duplicates
from dcgan_analysis.data.curation.hash_groups import near_groups
from dcgan_analysis.data.curation.near_duplicates import learn_hash, move, moves_within, nearest_hashes
from dcgan_analysis.data.dataset import DatasetSplit
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
    assert near_groups(hashes, 0) == []
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


def test_the_nearest_hash_may_leave_one_out():
    hashes = np.array([[0], [1], [255]], np.uint8)
    bits, positions = nearest_hashes(hashes, hashes, exclude=np.arange(3))
    assert bits.tolist() == [1, 1, 7]
    assert positions.tolist() == [1, 0, 1]


def test_the_nearest_hash_is_found_in_any_block(monkeypatch):
    hashes = np.random.default_rng(1).integers(0, 256, (40, 2), dtype=np.uint8)
    whole = nearest_hashes(hashes, hashes, exclude=np.arange(40))
    differing = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(axis=2) + 99 * np.eye(40, dtype=np.int64)
    np.testing.assert_array_equal(whole, (differing.min(axis=1), differing.argmin(axis=1)))
    monkeypatch.setattr(near_duplicates, "_KNOWN", 7)
    monkeypatch.setattr(near_duplicates, "_BLOCK", 9)
    np.testing.assert_array_equal(nearest_hashes(hashes, hashes, exclude=np.arange(40)), whole)


def test_alone_a_hash_has_no_nearest_one():
    hashes = np.zeros((1, 2), np.uint8)
    assert nearest_hashes(hashes, hashes, exclude=np.arange(1))[0].tolist() == [17]


def test_injected_copies_are_found_and_nothing_else_is_left_out(photos):
    copies = np.concatenate([photos[3:5], PERTURBATIONS["brightened"](photos[7:8])])
    split = DatasetSplit(np.concatenate([photos, copies]), None, [f"{i}" for i in range(83)], source="photos")
    found = find_duplicates(split, bits=14, steps=25)
    assert [group.tolist() for group in found.groups] == [[3, 80], [4, 81], [7, 82]]
    assert found.leave_out == ["80", "81", "82"]
    document = found.document("photos", "train")
    assert document["groups"] == [["3", "80"], ["4", "81"], ["7", "82"]]
    assert document["measured"]["recall, brightened"]["value"] > 0.9
    assert document["measured"]["precision, all copies"]["value"] > 0.9
    assert document["measured"]["false positives, mirrored"]["value"] < 0.05
    assert "against" not in document


def test_images_of_another_split_are_found_that_are_in_the_first(photos):
    train = DatasetSplit(photos[:60], None, [f"train {i}" for i in range(60)])
    others = np.concatenate([photos[60:], PERTURBATIONS["brightened"](photos[7:8]), photos[3:4]])
    test = DatasetSplit(others, None, [f"test {i}" for i in range(22)])
    document = find_duplicates(train, against=test, bits=14, steps=25).document("photos", "train", "test")
    assert document["leave_out"] == []
    against = document["against"]
    assert (against["split"], against["images"], against["sha256"]) == ("test", 22, test.sha256)
    assert [(one["id"], one["of"]) for one in against["collisions"]] == [("test 20", "train 7"), ("test 21", "train 3")]
    assert against["collisions"][1]["bits"] == 0


def test_moved_copies_are_found_where_images_are_compared_moved(photos):
    ids = [f"{i:02d}" for i in range(88)]
    images = np.concatenate([photos, move(photos[:4], 2, -1), move(photos[4:8], -1, 2)])
    split = DatasetSplit(images, None, ids)
    plain = find_duplicates(split, steps=25)
    found = find_duplicates(split, moves=2, steps=25)
    assert sorted(found.leave_out) == ids[80:]
    assert len(plain.leave_out) < 8
    assert found.settings["moves"] == 2
    assert found.measured["recall, shifted"]["value"] > plain.measured["recall, shifted"]["value"]
    assert found.measured["recall, re-encoded"]["value"] >= plain.measured["recall, re-encoded"]["value"]


def test_each_image_of_another_split_is_found_once_by_its_nearest_move(photos):
    train = DatasetSplit(photos[:40], None, [f"{i}" for i in range(40)])
    other = DatasetSplit(
        np.concatenate([photos[60:], move(photos[3:5], 1, 1), photos[7:8]]), None, list("abcdefghijklmnopqrstuvw")
    )
    found = find_duplicates(train, against=other, moves=1, steps=25).leakage
    assert found.positions.tolist() == [20, 21, 22]
    assert found.of.tolist() == [3, 4, 7]
    assert found.bits[2] == 0


def test_moving_repeats_the_edge():
    image = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    assert move(image, 0, 0) is image
    assert move(image, 1, -1)[0, 0].tolist() == [[1, 2, 2], [1, 2, 2]]
    assert sorted(moves_within(1)) == [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": "dcgan-analysis duplicates", "version": 2}',
        '{"leave_out": ["a"]}',
        '{"format": "dcgan-analysis duplicates", "version": 1, '
        '"dataset": "d", "split": "s", "sha256": "", "leave_out": "a"}',
    ],
)
def test_another_file_is_no_list_of_near_duplicates(tmp_path, text):
    path = tmp_path / "d.json"
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read_duplicates(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="is not a list of near-duplicates, version 1"):
        read_duplicates(path)


def test_one_image_is_too_few():
    with pytest.raises(DatasetError, match="two images or more, got 1"):
        learn_hash(np.zeros((1, 3, 32, 32), np.uint8))
