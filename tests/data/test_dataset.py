from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.data import Dataset, DatasetSplit
from dcgan_analysis.errors import DatasetError


def split_of_four(**changes):
    values = {
        "images": np.arange(4 * 3 * 2 * 2, dtype=np.uint8).reshape(4, 3, 2, 2),
        "labels": np.array([0, 1, 1, 0]),
        "ids": ["a", "b", "c", "d"],
        "groups": np.array([5, 5, 6, 7]),
        "classes": ["cat", "dog"],
        "source": "four.zip",
        "attributes": np.eye(4, 2, dtype=np.float32),
        "attribute_names": ["young", "old"],
        "extras": {"yaw": np.array([1.0, np.nan, 3.0, 4.0])},
    }
    return DatasetSplit(**{**values, **changes})


def test_take_keeps_everything_that_belongs_to_an_image_together():
    taken = split_of_four().take([2, 0])
    assert taken.ids == ["c", "a"]
    assert taken.labels.tolist() == [1, 0]
    assert taken.groups.tolist() == [6, 5]
    assert taken.attributes.tolist() == [[0, 0], [1, 0]]
    assert taken.extras["yaw"].tolist() == [3, 1]
    np.testing.assert_array_equal(taken.images, split_of_four().images[[2, 0]])
    assert (taken.classes, taken.source) == (["cat", "dog"], "four.zip")


def test_take_accepts_a_mask():
    assert split_of_four().take([True, False, False, True]).ids == ["a", "d"]


def test_hash_does_not_depend_on_names_or_origin():
    other = split_of_four(ids=["w", "x", "y", "z"], source="elsewhere", groups=None)
    assert other.sha256 == split_of_four().sha256


def test_hash_changes_with_one_pixel():
    images = split_of_four().images.copy()
    images[3, 2, 1, 1] += 1
    assert split_of_four(images=images).sha256 != split_of_four().sha256


@pytest.mark.parametrize("labels", [np.array([0, 1, 1, 1]), None])
def test_hash_changes_with_a_label(labels):
    assert split_of_four(labels=labels).sha256 != split_of_four().sha256


def test_hash_changes_with_the_order_of_images():
    assert split_of_four().take([1, 0, 2, 3]).sha256 != split_of_four().sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((4, 3, 2, 2))}, "must be uint8 .* got float64"),
        ({"images": np.zeros((4, 2, 2), np.uint8)}, r"got uint8 \(4, 2, 2\)"),
        ({"labels": np.array([0, 1])}, "4 images but 2 labels"),
        ({"extras": {"yaw": np.zeros(5)}}, "4 images but 5 yaw"),
        ({"labels": np.array([0, 1, 2, 0])}, "run from 0 to 2, but with 2 classes"),
        ({"labels": np.array([0, 1, -1, 0])}, "run from -1 to 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(DatasetError, match=message):
        split_of_four(**changes)


def test_splits_are_read_once_and_only_when_asked_for():
    calls = []

    def load(progress):
        calls.append(progress)
        return split_of_four()

    dataset = Dataset("four", {"test": load, "train": load}, classes=["cat", "dog"])
    dataset.progress = print
    assert dataset.split_names == ["train", "test"]
    assert calls == []
    assert dataset.split("test") is dataset.split("test")
    assert calls == [print]


def test_splits_in_memory_make_a_dataset():
    dataset = Dataset.from_splits("four", {"train": split_of_four()}, note="small")
    assert len(dataset.split("train")) == 4
    assert dataset.image_shape == (3, 2, 2)
    assert (dataset.classes, dataset.note) == (["cat", "dog"], "small")
    assert dataset.attribute_names == ["young", "old"]


def test_absent_split_is_named_with_those_there_are():
    dataset = Dataset.from_splits("four", {"train": split_of_four()})
    with pytest.raises(DatasetError, match="'four' has no split 'test', only: train"):
        dataset.split("test")


@pytest.mark.parametrize("splits", [{}, {"training": split_of_four()}])
def test_only_known_split_names_are_accepted(splits):
    with pytest.raises(DatasetError, match="Allowed, at least one: train, validation, test"):
        Dataset.from_splits("four", splits)


def test_a_dataset_shows_itself_without_decoding_anything():
    def fail(progress):
        pytest.fail("decoded")

    dataset = Dataset("<pets>", {"test": fail, "train": fail}, classes=["cat", "dog"], note="None.")
    assert repr(dataset).splitlines() == ["Dataset '<pets>'", "  splits: train; test", "  classes: 2", "  note: None."]
    assert "&lt;pets&gt;" in dataset._repr_html_()


def test_a_dataset_shows_the_sizes_that_are_known():
    images = np.zeros((1200, 3, 8, 8), np.uint8)
    split = DatasetSplit(images, None, [str(i) for i in range(1200)], source="<here>")
    dataset = Dataset.from_splits("pets", {"train": split})
    assert repr(dataset).splitlines()[1:] == ["  splits: train", "  classes: none"]
    dataset.split("train")
    assert repr(dataset).splitlines()[1] == "  splits: train, 1,200 images of 3x8x8"
    assert repr(split).splitlines() == ["DatasetSplit of 1,200 images of 3x8x8", "  labels: none", "  source: <here>"]
    assert "&lt;here&gt;" in split._repr_html_()


@pytest.mark.parametrize(
    ("images", "remedy"),
    [
        (np.zeros((4, 32, 32, 3), np.uint8), r"images\.transpose\(0, 3, 1, 2\)"),
        (np.zeros((4, 32, 32), np.uint8), r"images\[:, None\]"),
        (np.full((4, 3, 2, 2), 255.0), r"Values run from 255 to 255: np\.rint\(images\)\.astype\(np\.uint8\)"),
        (np.linspace(0, 1, 48).reshape(4, 3, 2, 2), r"from 0 to 1: np\.rint\(images \* 255\)"),
        (np.linspace(-1, 1, 48).reshape(4, 3, 2, 2), r"from -1 to 1: np\.rint\(\(images \+ 1\) \* 127\.5\)"),
        (np.arange(48).reshape(4, 3, 2, 2), r"from 0 to 47: np\.rint\(images\)\.astype"),
        (np.full((4, 3, 2, 2), 4095, np.uint16), r"from 4095 to 4095; scale them to bytes"),
        (torch.zeros((4, 3, 2, 2), dtype=torch.uint8), r"images\.cpu\(\)\.numpy\(\)"),
        (np.zeros(4, object), r"Give bytes, 0 to 255"),
    ],
)
def test_images_of_another_form_are_refused_with_what_mends_them(images, remedy):
    with pytest.raises(DatasetError, match=rf"must be uint8 \(N, C, H, W\), got .*{remedy}"):
        Dataset.from_arrays("mine", {"train": images})
    with pytest.raises(DatasetError, match=remedy):
        split_of_four(images=images)


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        (np.array([[0], [1], [1], [0]]), r"labels\.ravel\(\)"),
        (np.eye(4, 2), r"labels\.argmax\(axis=1\)"),
        (np.array([0.0, 1.0, 1.0, 0.0]), r"labels\.astype\(np\.int64\)"),
        (np.array(["cat", "dog", "dog", "cat"]), r"must be whole numbers \(N,\), got <U3 \(4,\)\."),
    ],
)
def test_labels_of_another_form_are_refused_with_what_mends_them(labels, remedy):
    with pytest.raises(DatasetError, match=remedy):
        split_of_four(labels=labels)
    with pytest.raises(DatasetError, match=remedy):
        Dataset.from_arrays("mine", {"train": (np.zeros((4, 3, 2, 2), np.uint8), labels)})


def test_whole_numbers_of_any_type_are_class_numbers_and_give_one_hash():
    narrow = split_of_four(labels=np.array([0, 1, 1, 0], np.uint8))
    assert narrow.labels.dtype == np.int64
    assert narrow.sha256 == split_of_four().sha256


def test_arrays_make_a_dataset_with_numbered_or_named_classes():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    dataset = Dataset.from_arrays("mine", {"train": (images, np.array([0, 2])), "test": images}, note="small")
    assert (dataset.split_names, dataset.classes, dataset.note) == (["train", "test"], ["0", "1", "2"], "small")
    assert dataset.split("train").ids == ["train/000000", "train/000001"]
    assert (dataset.split("test").labels, dataset.split("test").source) == (None, "mine, test")
    assert Dataset.from_arrays("mine", {"train": (images, np.array([0, 1]))}, classes=["a", "b"]).classes == ["a", "b"]
    with pytest.raises(DatasetError, match="run from 0 to 2, but with 1 classes"):
        Dataset.from_arrays("mine", {"train": (images, np.array([0, 2]))}, classes=["a"])
