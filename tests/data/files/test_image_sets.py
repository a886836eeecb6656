from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from dcgan_analysis.data import load_images
from dcgan_analysis.data.files import prepared_writer
from dcgan_analysis.errors import DatasetError


def channels_first(array):
    return array.transpose(2, 0, 1)


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp"])
def test_lossless_pixels_come_back_exactly_in_the_order_of_the_labels(make_zip, pictures, suffix):
    pixels = pictures(*(f"train/{i}.{suffix}" for i in range(600)))
    order = list(pixels)[::-1]
    path = make_zip(pixels, {"labels": [[name, i % 3] for i, name in enumerate(order)]})
    train = load_images(path).split("train")
    assert train.ids == order
    assert train.labels.tolist() == [i % 3 for i in range(600)]
    for image, name in zip(train.images, order, strict=True):
        np.testing.assert_array_equal(image, channels_first(pixels[name]))


def test_prefixes_say_the_split_and_metadata_the_rest(make_zip, pictures):
    pixels = pictures("train/0.png", "train/1.png", "val/0.png", "test/0.png")
    labels = [["train/0.png", 0], ["val/0.png", 1], ["train/1.png", 1], ["test/0.png", 0]]
    metadata = {"labels": labels, "classes": ["hen", "owl"], "note": "mine", "name": "fowl"}
    dataset = load_images(make_zip(pixels, metadata))
    assert dataset.split_names == ["train", "validation", "test"]
    assert (dataset.name, dataset.classes, dataset.note) == ("fowl", ["hen", "owl"], "mine")
    assert dataset.split("train").labels.tolist() == [0, 1]
    assert dataset.split("validation").source == "birds.zip, val/"


def test_zip_without_metadata_is_one_unlabelled_split_in_natural_order(make_zip, pictures):
    path = make_zip(pictures("00000/img10.png", "00001/img2.png", "00000/img2.png", "__MACOSX/img1.png"))
    dataset = load_images(path)
    assert dataset.split_names == ["train"]
    assert dataset.split("train").ids == ["00000/img2.png", "00000/img10.png", "00001/img2.png"]
    assert "folders such as '00000/' are not taken for classes" in dataset.note
    assert dataset.split("train").labels is None
    assert (dataset.name, dataset.classes) == ("birds", [])


def test_null_labels_mean_no_labels(make_zip, pictures):
    dataset = load_images(make_zip(pictures("1.png"), {"labels": None}))
    assert dataset.split("train").labels is None


def test_lists_of_numbers_are_attributes_and_not_labels(make_zip, pictures):
    labels = [["train/0.png", [1, 0]], ["train/1.png", [0, 0.5]]]
    metadata = {"labels": labels, "attributes": ["Hat", "Smile"]}
    dataset = load_images(make_zip(pictures("train/0.png", "train/1.png"), metadata))
    train = dataset.split("train")
    assert train.labels is None
    assert train.attributes.tolist() == [[1, 0], [0, 0.5]]
    assert train.attribute_names == dataset.attribute_names == ["Hat", "Smile"]


@pytest.mark.parametrize(
    "photo",
    [
        {"train": [7, 8], "test": [9]},
        {"train/0.png": 7, "train/1.png": 8, "test/0.png": 9},
        [7, 9, 8],
    ],
)
def test_photo_numbers_become_groups_in_any_of_three_forms(make_zip, pictures, photo):
    pixels = pictures("train/0.png", "test/0.png", "train/1.png")
    metadata = {"labels": [[name, 0] for name in pixels], "photo": photo}
    dataset = load_images(make_zip(pixels, metadata))
    assert dataset.split("train").groups.tolist() == [7, 8]
    assert dataset.split("test").groups.tolist() == [9]


def test_other_numbers_per_image_become_extras_with_nan_where_unknown(make_zip, pictures):
    pixels = pictures("a.png", "b.png")
    labels = [["a.png", 0], ["b.png", 0]]
    metadata = {"labels": labels, "yaw": {"b.png": -3.5}, "tool": "x", "names": ["p", "q"]}
    extras = load_images(make_zip(pixels, metadata)).split("train").extras
    assert list(extras) == ["yaw"]
    np.testing.assert_array_equal(extras["yaw"], [np.nan, -3.5])


def test_all_gray_images_have_one_channel_and_mixed_ones_three(make_zip, pictures):
    gray = np.arange(20, dtype=np.uint8).reshape(4, 5)
    images = load_images(make_zip({"1.png": gray, "2.png": gray})).split("train").images
    np.testing.assert_array_equal(images, np.stack([gray[None], gray[None]]))

    mixed = load_images(make_zip({"1.png": gray, **pictures("2.png")}, name="mixed.zip"))
    np.testing.assert_array_equal(mixed.split("train").images[0], np.stack([gray] * 3))


def test_progress_ends_at_the_number_of_images(make_zip, pictures, monkeypatch):
    monkeypatch.setattr(prepared_writer, "_BLOCK", 256)
    dataset = load_images(make_zip(pictures(*(f"{i}.png" for i in range(300)), size=(1, 1))))
    steps = []
    dataset.progress = lambda what, done, total: steps.append((what, done, total))
    dataset.split("train")
    assert steps == [("decode birds.zip", 256, 300), ("decode birds.zip", 300, 300)]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"labels": [["1.png", 0]]}, "'2.png' is there but not listed"),
        ({"labels": [["1.png", 0], ["2.png", 0], ["3.png", 0]]}, "'3.png' is listed but not there"),
        ({"labels": [["1.png", 0], ["2.png", 0], ["2.png", 1]]}, "lists 1 images more than once"),
        ({"labels": [["1.png", 0], ["2.png", [1]]]}, "must be all integers"),
        ({"labels": [["1.png", [0, 1]], ["2.png", [1]]]}, "lists of as many numbers"),
        ({"labels": ["1.png", "2.png"]}, r"must hold \"labels\": \[\[name, label\]"),
        ({"labels": [["1.png", 0], ["2.png", -1]]}, "run from -1 to 0; they must number"),
        ({"labels": [["1.png", 0], ["2.png", 10**9]]}, "from 0 to 99999 at most"),
        ([1, 2], "cannot be used"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(make_zip, pictures, metadata, message):
    with pytest.raises(DatasetError, match=message):
        load_images(make_zip(pictures("1.png", "2.png"), metadata))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"labels": [["1.png", 0], ["2.png", 2]], "classes": ["a"]}, "run from 0 to 2"),
        ({"labels": [["1.png", 0], ["2.png", 0]], "photo": {"1.png": 3}}, "for every image"),
        ({"labels": [["1.png", 0], ["2.png", 0]], "photo": {"train": [3]}}, "2 images but 1 gro"),
    ],
)
def test_columns_that_do_not_fit_are_refused_when_read(make_zip, pictures, metadata, message):
    dataset = load_images(make_zip(pictures("1.png", "2.png"), metadata))
    with pytest.raises(DatasetError, match=message):
        dataset.split("train")


def test_images_outside_of_split_folders_are_refused(make_zip, pictures):
    with pytest.raises(DatasetError, match=r"1 outside of them, first 'odd\.png'"):
        load_images(make_zip(pictures("train/1.png", "odd.png")))


def test_an_image_of_another_size_is_named(make_zip, pictures):
    pixels = {**pictures("1.png"), **pictures("2.png", size=(9, 8))}
    with pytest.raises(DatasetError, match=r"'2\.png' in birds\.zip is 9x8 .* '1\.png', is 4x5"):
        load_images(make_zip(pixels)).split("train")


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_an_unreadable_image_is_left_out_counted_and_listed(make_zip, pictures, suffix, caplog, cache):
    pixels = pictures("1.png", "3.png")
    path = make_zip(pixels)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"2.{suffix}", b"RIFF\x10\x00\x00\x00WEBPVP8L damaged")
        archive.writestr("dataset.json", json.dumps({"labels": [["1.png", 0], [f"2.{suffix}", 1], ["3.png", 2]]}))
    train = load_images(path).split("train")
    assert (train.ids, train.labels.tolist()) == (["1.png", "3.png"], [0, 2])
    np.testing.assert_array_equal(train.images[1], channels_first(pixels["3.png"]))
    assert train.source == "birds.zip, 1 unreadable left out"
    (listed,) = cache.glob("images/*/skipped.tsv")
    assert listed.read_text().startswith(f"2.{suffix}\tImage '2.{suffix}' in birds.zip cannot be read")
    assert caplog.messages == [f"birds.zip: 1 of 3 images cannot be read: damaged (1); see {listed}"]


def test_where_no_image_can_be_read_the_reasons_are_listed(make_zip, cache):
    with pytest.raises(DatasetError, match=r"None of the 1 images .* can be read; '.*skipped\.tsv' says why"):
        load_images(make_zip({"1.png": np.zeros((2, 2), np.uint16)})).split("train")
    (listed,) = cache.glob("images/*.part/skipped.tsv")
    assert "the range of dcgan-analyze prepare" in listed.read_text()


def test_a_damaged_zip_is_named(make_zip, pictures, tmp_path, cache):
    whole = make_zip(pictures("1.png", "2.png")).read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"cut\.zip' cannot be read as a zip"):
        load_images(cut)
    spoiled = tmp_path / "spoiled.zip"
    spoiled.write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    assert load_images(spoiled).split("train").ids == ["2.png"]
    assert (
        "'1.png' in spoiled.zip cannot be read: damaged or encrypted in the zip, Bad CRC"
        in next(cache.glob("images/*/skipped.tsv")).read_text()
    )
    # The whole zip has the same directory, and the hash that it always had.
    (tmp_path / "whole.zip").write_bytes(whole)
    assert load_images(tmp_path / "whole.zip").split("train").ids == ["1.png", "2.png"]


def test_folder_of_splits_and_classes(make_folder, pictures):
    pixels = pictures("train/owl/1.png", "train/hen/1.png", "test/owl/2.png")
    dataset = load_images(make_folder(pixels))
    assert (dataset.split_names, dataset.classes) == (["train", "test"], ["hen", "owl"])
    assert dataset.split("train").ids == ["train/hen/1.png", "train/owl/1.png"]
    assert dataset.split("train").labels.tolist() == [0, 1]
    assert dataset.split("test").labels.tolist() == [1]


def test_folder_of_classes_alone_is_a_training_split(make_folder, pictures):
    dataset = load_images(make_folder(pictures("hen/10.png", "hen/9.png", "owl/1.png")))
    assert dataset.split_names == ["train"]
    assert dataset.split("train").ids == ["hen/9.png", "hen/10.png", "owl/1.png"]
    assert dataset.split("train").labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("names", [("1.png", "2.png"), ("train/1.png", "train/2.png")])
def test_flat_folder_has_no_labels(make_folder, pictures, names):
    train = load_images(make_folder(pictures(*names))).split("train")
    assert train.labels is None
    assert train.ids == list(names)


def test_folder_with_metadata_is_read_like_a_zip(make_folder, pictures):
    folder = make_folder(pictures("b.png", "a.png"))
    (folder / "dataset.json").write_text(json.dumps({"labels": [["b.png", 1], ["a.png", 0]]}))
    train = load_images(folder).split("train")
    assert (train.ids, train.labels.tolist()) == (["b.png", "a.png"], [1, 0])


def test_folder_and_zip_of_the_same_images_have_the_same_hash(make_folder, make_zip, pictures):
    pixels = pictures("1.png", "2.png")
    folder, archive = load_images(make_folder(pixels)), load_images(make_zip(pixels))
    assert folder.split("train").sha256 == archive.split("train").sha256


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no images"):
        load_images(tmp_path)
