"""Folders of names to splits and classes; what could mix test into training is refused."""

from __future__ import annotations

import pytest

from dcgan_analysis.data.files.layout import arrange, split_named, wrapper_of
from dcgan_analysis.errors import DatasetError


def splits_of(*names, sharded=False):
    layout = arrange(names, "photos", sharded=sharded)
    return [layout.splits[name.rpartition("/")[0]] for name in names]


def classes_of(*names, sharded=False):
    layout = arrange(names, "photos", sharded=sharded)
    return [layout.classes[name.rpartition("/")[0]] for name in names]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("Train", "train"),
        ("TRAINING", "train"),
        ("train2017", "train"),
        ("training_set", "train"),
        ("Train Images", "train"),
        ("val", "validation"),
        ("valid", "validation"),
        ("ValidationData", "validation"),
        ("dev", "validation"),
        ("test1", "test"),
        ("img_test", "test"),
        ("testing", "test"),
        ("unlabelled", "unlabeled"),
        ("train_station", None),
        ("testament", None),
        ("values", None),
        ("seg_test", None),
        ("images", None),
        ("", None),
    ],
)
def test_usual_names_of_split_folders_are_understood(folder, split):
    assert split_named(folder) == split


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "TEST"), ("training", "testing")])
def test_splits_and_classes_are_found_below_any_number_of_folders_that_hold_everything(train, test):
    for top in ("", "mydata/", "a/b c/"):
        names = [f"{top}{train}/cat/1.png", f"{top}{train}/dog/2.png", f"{top}{test}/cat/3.png"]
        assert splits_of(*names) == ["train", "train", "test"]
        assert classes_of(*names) == ["cat", "dog", "cat"]
        assert wrapper_of(names) == top


def test_a_split_folder_within_the_same_split_folder_is_no_class():
    names = [
        "training_set/training_set/cat/1.png",
        "training_set/training_set/dog/1.png",
        "test_set/test_set/cat/2.png",
    ]
    assert splits_of(*names) == ["train", "train", "test"]
    assert classes_of(*names) == ["cat", "dog", "cat"]


def test_a_class_may_be_called_train():
    names = ["train/train/1.png", "train/bus/2.png", "test/train/3.png", "test/bus/4.png"]
    assert splits_of(*names) == ["train", "train", "test", "test"]
    assert classes_of(*names) == ["train", "bus", "train", "bus"]


def test_classes_are_the_folders_right_below_the_split():
    assert classes_of("train/cat/persian/1.png", "train/2.png") == ["cat", None]
    assert classes_of("cat/persian/1.png", "dog/2.png") == ["cat", "dog"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/a/1.png", "odd.png"], r"'train/'\) and 1 outside of them, first 'odd\.png'"),
        (["top/train/1.png", "top/test/1.png", "other/1.png"], r"'test/' inside of 'top/'"),
        (["train/1.png", "training/2.png"], r"two folders for the split train: 'train/' and 'training/'"),
        (["val/1.png", "valid/2.png", "train/1.png"], r"two folders for the split validation"),
        (["train/1.png", "Train/2.png"], r"two folders for the split train"),
        (["seg_train/a/1.png", "seg_test/a/2.png"], r"sound like splits.*'seg_test/', 'seg_train/'"),
        (["cats_train/1.png", "dogs_train/1.png", "cats_val/1.png"], r"sound like splits"),
        (["bottle/train/1.png", "bottle/test/2.png", "cup/train/1.png"], r"'test/' inside of 'bottle/'.* split train"),
        (["train/a/1.png", "train/test/2.png", "train/val/3.png"], r"inside of 'train/'"),
        (["train/images/test/1.png", "val/2.png"], r"'test/' inside of 'train/images/'"),
        (["train/a/1.png", "train_masks/2.png", "test/3.png"], r"1 outside of them, first 'train_masks/2\.png'"),
    ],
)
def test_what_could_mix_splits_is_refused_in_one_line_that_names_the_folder(names, message):
    with pytest.raises(DatasetError, match=message) as caught:
        arrange(names, "photos")
    assert "\n" not in str(caught.value)


def test_classes_with_words_of_one_split_alone_are_classes():
    names = ["train_station/1.png", "toy train/2.png", "bus/3.png"]
    assert splits_of(*names) == ["train"] * 3
    assert classes_of(*names) == ["train_station", "toy train", "bus"]


def test_names_of_archives_say_splits_when_all_do():
    names = ["set-train-000/1.jpg", "set-train-001/1.jpg", "set-val-000/1.jpg"]
    assert splits_of(*names, sharded=True) == ["train", "train", "validation"]
    assert classes_of(*names, sharded=True) == [None, None, None]
    with pytest.raises(DatasetError, match=r"\(first 'a-test\.tar'\) and shards that are not \(first 'b\.tar'\)"):
        arrange(["a-test/1.jpg", "b/1.jpg"], "photos", sharded=True)


def test_folders_within_archives_say_splits_and_classes_otherwise():
    names = ["0/photos/train/cat/1.jpg", "1/photos/train/dog/1.jpg", "1/photos/test/cat/1.jpg"]
    assert splits_of(*names, sharded=True) == ["train", "train", "test"]
    assert classes_of(*names, sharded=True) == ["cat", "dog", "cat"]
