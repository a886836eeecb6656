"""Prepared images larger than is checked at once: chunks are compared with their checksums when they are first read."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.core import checksums
from dcgan_analysis.core.hashing import hash_array
from dcgan_analysis.data.files import prepared, prepared_writer
from dcgan_analysis.data.files.checked import CheckedImages
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.data.files.prepared import PREPARED, load_prepared
from dcgan_analysis.errors import DatasetError

N, SHAPE = 10, (3, 4, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten prepared images, three in a chunk, none of them checked at once."""
    monkeypatch.setattr(prepared, "CHECKED_AT_ONCE", 0)
    monkeypatch.setattr(prepared_writer, "_CHUNK_BYTES", 3 * 48 + 40)
    monkeypatch.setattr(checksums, "_whole", {})
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(N):
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    return prepare_images(tmp_path / "photos", tmp_path / "ready", size=4).folder


@pytest.fixture
def pixels(folder):
    return np.fromfile(folder / "train.u8", np.uint8).reshape(N, *SHAPE)


@pytest.fixture
def damaged(folder, pixels):
    """A byte of image 4, in the second chunk, is another."""
    content = bytearray((folder / "train.u8").read_bytes())
    content[4 * 48 + 7] ^= 1
    (folder / "train.u8").write_bytes(content)
    return load_prepared(folder).split("train").images


INDICES = [
    *(0, -1, np.int64(3), slice(2, 5), slice(None), slice(7, 2, -2), slice(3, 3), [1, 9], np.array([8, 0, -10])),
    *(np.arange(N) % 4 == 0, ..., None, (slice(0, 4), 1), (np.array([[1, 2], [3, 4]]),), np.array([], np.int64)),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_rows_are_those_of_the_array(index, folder, pixels):
    images = load_prepared(folder).split("train").images
    assert isinstance(images, CheckedImages)
    np.testing.assert_array_equal(images[index], pixels[index])


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_the_chunks_of_the_rows_are_checked_and_no_others(index, damaged, pixels):
    rows = index[0] if isinstance(index, tuple) else index
    every = rows is None or rows is ...
    chunks = {0, 1, 2, 3} if every else {int(row) // 3 for row in np.ravel(np.arange(N)[rows])}
    if 1 in chunks:
        with pytest.raises(DatasetError, match=r"train\.u8' is damaged: images 3 to 6 are not as they were written\."):
            damaged[index]
    else:
        np.testing.assert_array_equal(damaged[index], pixels[index])
        # A range of rows is checked from its first chunk to its last.
        checked = {chunk for chunk, whole in enumerate(damaged._whole) if whole}
        assert checked == chunks or isinstance(rows, slice)


@pytest.mark.parametrize(
    "use",
    [
        *(np.asarray, np.sum, np.ascontiguousarray, hash_array, lambda images: images + 1, lambda images: 1 - images),
        *(lambda images: images.reshape(N, -1), lambda images: images.mean(), lambda images: images == 0),
        *(lambda images: images.flags, lambda images: images.copy(), lambda images: images.__array_interface__),
        lambda images: memoryview(np.array(images)),
    ],
)
def test_whatever_else_is_asked_of_images_reads_all_and_finds_the_damage(use, damaged):
    with pytest.raises(DatasetError, match="is damaged"):
        use(damaged)


def test_arithmetic_is_that_of_the_array(folder, pixels):
    images = load_prepared(folder).split("train").images
    np.testing.assert_array_equal(images / 255, pixels / 255)
    np.testing.assert_array_equal(pixels - images, 0 * pixels)
    assert (images.shape, images.dtype, images.ndim, len(images)) == (pixels.shape, np.uint8, 4, N)
    assert hash_array(images) == hash_array(pixels)


def test_a_row_that_there_is_not_is_an_index_error(folder):
    images = load_prepared(folder).split("train").images
    for index in (N, -N - 1, [0, N]):
        with pytest.raises(IndexError):
            images[index]


def test_a_chunk_is_checked_once_in_a_process(folder, monkeypatch):
    images = load_prepared(folder).split("train").images
    images[4], load_prepared(folder).split("train").images[5]
    monkeypatch.setattr(CheckedImages, "_sum", lambda *_: pytest.fail("checked again"))
    assert load_prepared(folder).split("train").images[3].shape == SHAPE


def test_identity_is_the_recorded_one_and_reads_no_pixel(damaged, folder, monkeypatch):
    monkeypatch.setattr(CheckedImages, "_sum", lambda *_: pytest.fail("read"))
    assert load_prepared(folder).split("train").sha256


def test_images_changed_in_memory_are_noticed(folder):
    images = load_prepared(folder).split("train").images
    images[3:5]
    assert not images.altered()
    images[3:5][:] = 0
    assert images.altered()


def test_images_go_to_another_process_as_they_are(folder, pixels):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(load_prepared(folder).split("train").images))[:], pixels)


def test_too_few_checksums_are_refused(folder):
    document = json.loads((folder / PREPARED).read_text())
    document["splits"]["train"]["chunks"].pop()
    (folder / PREPARED).write_text(json.dumps(document | {"checksum": ""}))
    with pytest.raises(DatasetError, match=r"has 3 checksums of 'train'\. Prepare the images again\.$"):
        load_prepared(folder).split("train")
