"""``dataset.json`` of other people: odd encodings and places are read, nonsense is refused in one line."""

from __future__ import annotations

import json
import time
import zipfile

import numpy as np
import pytest

from dcgan_analysis.data import load_images
from dcgan_analysis.data.files.index import open_images
from dcgan_analysis.errors import DatasetError


@pytest.fixture
def described(make_folder, pictures):
    """Return a function: bytes of a ``dataset.json`` beside 1.png and 2.png -> the folder."""

    def make(data):
        folder = make_folder(pictures("1.png", "2.png"))
        (folder / "dataset.json").write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return folder

    return make


LABELS = [["1.png", 1], ["2.png", 0]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_and_utf_16_are_read(described, encoding):
    folder = described(json.dumps({"labels": LABELS}).encode(encoding))
    assert load_images(folder).split("train").labels.tolist() == [1, 0]


def test_names_with_back_slashes_mean_the_same_files(make_folder, pictures):
    folder = make_folder(pictures("train/a.png", "test/b.png"))
    labels = [["train\\a.png", 0], [".\\test\\b.png", 1]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "photo": {"train\\a.png": 5, "test/b.png": 6}}))
    dataset = load_images(folder)
    assert dataset.split("test").ids == ["test/b.png"]
    assert dataset.split("train").groups.tolist() == [5]


def test_one_below_the_only_folder_is_read_and_one_elsewhere_is_said_to_be_unused(make_folder, pictures):
    folder = make_folder(pictures("top/images/1.png", "top/images/2.png"))
    listed = {"labels": [["images/1.png", 1], ["images/2.png", 0]]}
    (folder / "top" / "dataset.json").write_text(json.dumps(listed))
    assert load_images(folder).split("train").labels.tolist() == [1, 0]
    (folder / "top" / "dataset.json").rename(folder / "top" / "images" / "dataset.json")
    with pytest.raises(DatasetError, match=r"'images/1\.png' is listed but not there"):
        load_images(folder)
    (folder / "other").mkdir()
    (folder / "top" / "images" / "dataset.json").rename(folder / "other" / "dataset.json")
    _, index = open_images(folder)
    assert index.remarks == [
        "1 file is not used: .json (1, first 'other/dataset.json'). Labels are read from dataset.json alone."
    ]


def test_splits_below_a_folder_are_found_for_names_in_dataset_json_too(make_zip, pictures):
    pixels = pictures("top/train/1.png", "top/test/2.png")
    dataset = load_images(make_zip(pixels, {"labels": [[name, 0] for name in pixels]}))
    assert dataset.split_names == ["train", "test"]
    assert dataset.split("test").ids == ["top/test/2.png"]


def test_a_test_split_without_class_folders_costs_the_others_no_labels(make_folder, pictures):
    dataset = load_images(make_folder(pictures("train/hen/1.png", "train/owl/2.png", "test/3.png")))
    assert dataset.split("train").labels.tolist() == [0, 1]
    assert dataset.split("test").labels is None
    assert dataset.note == "No labels in test: 1 of 1 images lie in no class folder, first 'test/3.png'."


def test_folders_of_a_split_that_train_does_not_know_are_no_classes(make_folder, pictures):
    # As tiny-imagenet-200 comes: train/<class>/images, val/images, test/images.
    names = ("train/n01/images/1.png", "train/n02/images/2.png", "val/images/3.png", "test/images/4.png")
    dataset = load_images(make_folder(pictures(*names)))
    assert dataset.classes == ["n01", "n02"]
    assert dataset.split("train").labels.tolist() == [0, 1]
    assert dataset.split("validation").labels is None
    assert "No labels in validation: its folder 'images/' is not a class of train." in dataset.note


def test_a_class_that_train_does_not_have_is_said(make_folder, pictures):
    dataset = load_images(make_folder(pictures("train/hen/1.png", "test/hen/2.png", "test/owl/3.png")))
    assert dataset.split("test").labels.tolist() == [0, 1]
    assert dataset.note == "Classes of test that train does not have: 1, 'owl'."


def test_images_beside_class_folders_are_said_to_cost_the_labels(make_folder, pictures):
    dataset = load_images(make_folder(pictures("hen/1.png", "owl/2.png", "3.png")))
    assert (dataset.split("train").labels, dataset.classes) == (None, [])
    assert dataset.note == "No labels in train: 1 of 3 images lie in no class folder, first '3.png'."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"labels": ' + b"[" * 100_000, "recursion limit|EOF"),
        (b'{"a":' * 50_000, "recursion limit|EOF"),
        (b'{"labels": [["1.png", ' + b"9" * 5000 + b"]]}", "labels"),
        (b'{"labels": [["1.png", 99999999999999999999], ["2.png", 0]]}', "run from 0 to 9+; they must number"),
        (b'{"labels": [["1.png", [NaN]], ["2.png", [0]]]}', r"labels\.0\.1.*finite number"),
        (b'{"labels": [["1.png", [1e999]], ["2.png", [0]]]}', "finite number"),
        (b'{"labels": [["1.png", true], ["2.png", 0]]}', r"labels\.0\.1"),
        (b'{"labels": [["1.png", "cat"], ["2.png", "dog"]]}', r"labels\.0\.1"),
        (b'{"labels": [["1.png", 1.5], ["2.png", 0]]}', r"labels\.0\.1"),
        (b'{"labels": {"1.png": 0}}', "labels: Input should be a valid"),
        (b'{"labels": 3}', "labels: Input should be a valid"),
        (b'{"labels": null, "classes": "cat"}', "classes"),
        (b'{"labels": null, "note": ["a"]}', "note: Input should be a valid string"),
        (
            b'{"labels": [["1.png", [0, 1]], ["2.png", [1, 0]]], "attributes": ["Hat"]}',
            "names 1 columns, but labels have 2",
        ),
        (b"\xff\xfe\xfa", "cannot be used"),
        (b"", "cannot be used"),
        (b"<html>", "cannot be used"),
        (b"[]" * 2_000_000, "more than 1,056,768 bytes|more than"),
    ],
)
def test_nonsense_is_refused_in_one_short_line(described, data, message):
    begun = time.perf_counter()
    with pytest.raises(DatasetError, match=message) as caught:
        load_images(described(data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"photo": {"1.png": 3.5, "2.png": 1}}, "'photo' .* must give a whole number for every image"),
        ({"photo": [1e300, 1]}, "'photo' .* must give a whole number"),
        ({"yaw": [10**400, 1]}, "'yaw' .* beyond the range of float64"),
        ({"labels": [["1.png", [1e300]], ["2.png", [0]]]}, "attributes beyond the range of float32"),
    ],
)
def test_numbers_out_of_range_are_refused_when_the_split_is_read(described, more, message):
    with pytest.raises(DatasetError, match=message):
        load_images(described({"labels": LABELS, **more})).split("train")


def test_a_dataset_json_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path, make_zip, pictures):
    path = make_zip(pictures("1.png"))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("dataset.json", "w") as file:
        for _ in range(40):
            file.write(b" " * 1_000_000)
    with pytest.raises(DatasetError, match=r"more than [\d,]+ bytes \(40,000,000\)"):
        load_images(path)


def test_texts_that_would_steer_a_terminal_are_written_as_escapes(described):
    dataset = load_images(described({"labels": LABELS, "name": "a\x1b[2J", "note": "n\x07", "classes": ["x\r", "y"]}))
    assert (dataset.name, dataset.note, dataset.classes) == ("a\\x1b[2J", "n\\x07", ["x\\r", "y"])


def test_columns_that_are_unknown_for_some_images_hold_nan(described):
    train = load_images(described({"labels": LABELS, "yaw": [None, 2]})).split("train")
    np.testing.assert_array_equal(train.extras["yaw"], [np.nan, 2])
