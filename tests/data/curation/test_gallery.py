from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.data.curation import gallery as module
from dcgan_analysis.data.curation.deduplication import Duplicates, Leakage
from dcgan_analysis.data.curation.gallery import write_galleries
from dcgan_analysis.data.dataset import DatasetSplit


def colours(n, size=8):
    """Return n images of one gray value each, 0, 10, 20, ..."""
    return np.repeat(np.arange(n, dtype=np.uint8) * 10, 3 * size * size).reshape(n, 3, size, size)


@pytest.fixture
def found():
    """Six images; 0 and 3 have one hash, 1, 4 and 5 form a chain of 2 and 3 bits."""
    split = DatasetSplit(colours(6), None, list("abcdef"))
    hashes = np.array([[0], [0b111], [0xFF], [0], [0b100], [0b111000]], np.uint8)
    return Duplicates([np.array([0, 3]), np.array([1, 4, 5])], 3, {}, split, hashes, {})


def values(path):
    """Return the gray values of large areas in a picture, from left to right."""
    with Image.open(path) as picture:
        row = np.asarray(picture.convert("RGB"))[-30, :, 1]  # the borders' green is no gray value of the images
    inside = [int(value) for value in row if value % 10 == 0 and value < 60]
    return [value for place, value in enumerate(inside) if not place or value != inside[place - 1]]


def test_each_group_is_shown_by_what_stays_and_the_least_alike(found, tmp_path):
    assert write_galleries(found, tmp_path / "d.json") == [tmp_path / "d.png"]
    # The chain first, since its ends differ most: 1 stays, 5 differs from it in six bits. Then 0 and 3.
    assert values(tmp_path / "d.png") == [10, 50, 0, 30]


def test_a_picture_of_an_earlier_search_does_not_stay(found, tmp_path):
    write_galleries(found, tmp_path / "d.json")
    none = Duplicates([], 3, {}, found.split, found.hashes, {})
    assert write_galleries(none, tmp_path / "d.json") == []
    assert list(tmp_path.iterdir()) == []


def test_leakage_is_shown_beside_what_it_collides_with_at_any_size(found, tmp_path):
    other = DatasetSplit(colours(2, size=16), None, ["x", "y"])
    leak = Leakage(other, np.array([1]), np.array([4]), np.array([2]))
    leaking = Duplicates([], 3, {}, found.split, found.hashes, {}, leak)
    assert write_galleries(leaking, tmp_path / "d.json") == [tmp_path / "d-against.png"]
    assert values(tmp_path / "d-against.png") == [40, 10]


def test_of_many_groups_the_doubtful_and_some_of_the_rest_are_shown():
    bits = np.arange(1000) % 9
    chosen = module._doubtful_first(bits)
    assert len(chosen) == len(set(chosen.tolist())) == 48
    assert (bits[chosen[:24]] == 8).all()
    assert set(bits[chosen[24:]].tolist()) == set(range(9))
    assert sorted(module._doubtful_first(bits[:30]).tolist()) == list(range(30))
