"""Images decoded once, into the cache."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import torch

from dcgan_analysis.core.hashing import hash_array, hash_parts
from dcgan_analysis.data import load_images
from dcgan_analysis.data.files import containers, decoded, prepared_writer
from dcgan_analysis.errors import DatasetError


@pytest.fixture
def reads(monkeypatch):
    """Names of the image files that are read."""
    seen = []
    original = containers.Container.read

    def read(self, name, most=None):
        if name.endswith(".png"):
            seen.append(name)
        return original(self, name, most)

    monkeypatch.setattr(containers.Container, "read", read)
    return seen


@pytest.mark.parametrize("make", ["make_zip", "make_folder"])
def test_opening_reads_no_image_and_a_second_use_none_again(make, pictures, request, reads):
    pixels = pictures("train/1.png", "train/2.png", "test/3.png")
    path = request.getfixturevalue(make)(pixels)
    dataset = load_images(path)
    assert dataset.split_names == ["train", "test"]
    assert reads == []

    first = dataset.split("train").images
    # The first image is looked at for its size.
    assert sorted(set(reads)) == ["train/1.png", "train/2.png"]
    reads.clear()
    again = load_images(path).split("train")
    assert reads == []
    assert isinstance(again.images, np.memmap)
    np.testing.assert_array_equal(again.images, first)


def test_what_is_written_to_decoded_images_stays_in_memory(make_folder, pictures):
    folder = make_folder(pictures("1.png"))
    images = load_images(folder).split("train").images
    before = images.copy()
    images[:] = 0
    assert torch.from_numpy(images).sum() == 0
    np.testing.assert_array_equal(load_images(folder).split("train").images, before)


def test_a_map_that_the_system_refuses_is_read_only(make_folder, pictures, monkeypatch):
    original = np.memmap

    def refused(file, dtype, mode, **more):
        if mode == "c":
            raise OSError
        return original(file, dtype, mode, **more)

    monkeypatch.setattr(np, "memmap", refused)
    assert not load_images(make_folder(pictures("1.png"))).split("train").images.flags.writeable


def test_the_hash_is_that_of_the_same_arrays_in_memory(make_zip, pictures):
    path = make_zip(pictures("1.png", "2.png"), {"labels": [["1.png", 1], ["2.png", 0]]})
    train = load_images(path).split("train")
    parts = {"images": hash_array(np.array(train.images)), "labels": hash_array(np.array([1, 0]))}
    assert train.sha256 == hash_parts(parts)


def test_other_labels_need_no_decoding_and_give_another_hash(make_folder, pictures, reads):
    folder = make_folder(pictures("1.png", "2.png"))
    plain = load_images(folder).split("train").sha256
    reads.clear()
    (folder / "dataset.json").write_text('{"labels": [["1.png", 1], ["2.png", 0]]}')
    assert load_images(folder).split("train").sha256 != plain
    assert reads == []


def test_a_file_that_changed_is_decoded_again(make_folder, pictures):
    pixels = pictures("1.png", "2.png")
    folder = make_folder(pixels)
    before = load_images(folder).split("train")
    one, other = (folder / "1.png").read_bytes(), (folder / "2.png").read_bytes()
    (folder / "1.png").write_bytes(other)
    (folder / "2.png").write_bytes(one)
    os.utime(folder / "1.png", ns=(1, 1))
    after = load_images(folder).split("train")
    np.testing.assert_array_equal(after.images, before.images[::-1])


def test_some_images_are_read_alone(make_zip, pictures, reads):
    path = make_zip(pictures(*(f"{i}.png" for i in range(10))), {"labels": [[f"{i}.png", i] for i in range(10)]})
    dataset = load_images(path)
    spread = dataset.some("train", 4)
    assert (spread.ids, spread.labels.tolist()) == (["0.png", "3.png", "6.png", "9.png"], [0, 3, 6, 9])
    assert spread.source == "birds.zip, 4 of 10"
    assert set(reads) == set(spread.ids)
    first = dataset.some("train", 2, first=True)
    assert (first.ids, first.source) == (["0.png", "1.png"], "birds.zip, first 2 of 10")
    assert len(set(reads)) == 5

    whole = dataset.split("train")
    assert dataset.some("train", 10) is dataset.some("train", None) is whole
    assert spread.sha256 == whole.take([0, 3, 6, 9]).sha256


def test_an_image_that_can_be_read_again_comes_back(make_folder, pictures, cache):
    folder = make_folder(pictures("1.png", "2.png"))
    whole, times = (folder / "2.png").read_bytes(), (1, 1)
    (folder / "2.png").write_bytes(bytes(len(whole)))
    os.utime(folder / "2.png", ns=times)
    assert load_images(folder).split("train").ids == ["1.png"]
    (folder / "2.png").write_bytes(whole)
    os.utime(folder / "2.png", ns=times)
    assert load_images(folder).split("train").ids == ["1.png", "2.png"]
    assert len(list(cache.glob("images/*"))) == 1


def test_a_killed_decoding_goes_on_and_ends_as_one_in_one_go(make_folder, pictures, monkeypatch, reads):
    monkeypatch.setattr(prepared_writer, "_BLOCK", 2)
    folder = make_folder(pictures(*(f"{i}.png" for i in range(7))))
    dataset = load_images(folder)

    def kill(what, done, total):
        assert (what, total) == ("decode birds", 7)
        if done == 4:
            raise KeyboardInterrupt

    dataset.progress = kill
    with pytest.raises(KeyboardInterrupt):
        dataset.split("train")
    reads.clear()
    train = load_images(folder).split("train")
    assert set(reads) == {"0.png", "4.png", "5.png", "6.png"}
    assert train.ids == [f"{i}.png" for i in range(7)]


@pytest.mark.parametrize("lost", ["train.u8", "train.positions"])
def test_what_was_killed_while_it_was_finished_is_begun_anew(make_folder, pictures, monkeypatch, cache, lost):
    folder = make_folder(pictures("1.png", "2.png"))

    def kill(*_):
        (part,) = cache.glob("images/*.part")
        (part / lost).unlink()
        raise KeyboardInterrupt

    dataset = load_images(folder)
    dataset.progress = kill
    with pytest.raises(KeyboardInterrupt):
        dataset.split("train")
    assert len(load_images(folder).split("train")) == 2


def test_gray_images_keep_one_channel_however_many_blocks_they_come_in(make_folder, monkeypatch):
    monkeypatch.setattr(prepared_writer, "_BLOCK", 2)
    monkeypatch.setattr(prepared_writer, "_BLOCK_BYTES", 40)
    gray = {f"{i}.png": np.full((2, 3), 50 * i, np.uint8) for i in range(5)}
    images = load_images(make_folder(gray)).split("train").images
    assert images.shape == (5, 1, 2, 3)
    assert images[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]


def test_of_two_at_a_time_one_decodes_and_the_other_waits(make_folder, pictures, reads):
    folder = make_folder(pictures(*(f"{i}.png" for i in range(50))))
    found = []
    threads = [threading.Thread(target=lambda: found.append(load_images(folder).split("train"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({split.sha256 for split in found}) == 1
    assert len(reads) == 51


def test_file_names_that_no_text_can_hold_do_no_harm(tmp_path, pictures, make_folder):
    folder = make_folder(pictures("1.png", "2.png"))
    try:
        (folder / "1.png").rename(folder / "a\nb\udcff\u2028.png")
    except (OSError, UnicodeError):
        pytest.skip("the file system takes no such name")
    assert len(load_images(folder).split("train")) == 2


def test_a_cache_that_cannot_be_written_is_named(make_folder, pictures, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match=r"decoded into '.*', which cannot be written: .* set DCGAN_ANALYSIS_CACHE"):
        load_images(make_folder(pictures("1.png"))).split("train")


def test_the_key_is_of_names_and_what_tells_contents_apart(make_zip, make_folder, pictures, tmp_path):
    pixels = pictures("1.png", "2.png")
    one = containers.open_container(make_zip(pixels))
    copy = tmp_path / "copy.zip"
    copy.write_bytes(one.path.read_bytes())
    keys = {decoded._key(each, ["1.png", "2.png"]) for each in (one, containers.open_container(copy))}
    assert len(keys) == 1
    other = make_zip({**pixels, "2.png": pixels["1.png"]}, name="other.zip")
    keys |= {decoded._key(one, ["2.png", "1.png"]), decoded._key(one, ["1.png"])}
    keys.add(decoded._key(containers.open_container(other), ["1.png", "2.png"]))
    assert len(keys) == 4
