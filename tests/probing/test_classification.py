from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.api import Metric
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing import classification
from dcgan_analysis.probing.classification import confusion, labelled_images, tail_size
from dcgan_analysis.testing import make_dataset


@pytest.fixture
def with_split(dcgan_context):
    """Return a context whose training split has other fields."""

    def make(**changes):
        dataset = make_dataset()
        splits = {"train": replace(dataset.split("train"), **changes), "test": dataset.split("test")}
        return replace(dcgan_context, _dataset=Dataset.from_splits("shapes", splits), _splits={})

    return make


def test_a_share_or_a_number_of_training_images_is_held_out_class_by_class(dcgan_context):
    for validation in (0.2, 12):
        images = labelled_images(dcgan_context, validation=validation)
        assert np.bincount(images.labels[images.held_out]).tolist() == [4, 4, 4]


@pytest.mark.parametrize(("asked", "held"), [(10_000, 30), (1, 1)])
def test_a_number_is_cut_to_half_of_the_training_images(asked, held, dcgan_context):
    assert labelled_images(dcgan_context, validation=asked).held_out.sum() == held


def test_a_photo_lies_on_one_side_only(with_split):
    groups = np.repeat(np.arange(20), 3)
    images = labelled_images(with_split(groups=groups), validation=15)
    assert not set(groups[images.held_out]) & set(groups[~images.held_out])


def test_the_same_seed_holds_out_the_same_images(dcgan_context):
    masks = [labelled_images(replace(dcgan_context, seed=seed)).held_out.tolist() for seed in (1, 1, 2)]
    assert masks[0] == masks[1] != masks[2]


def test_images_without_labels_are_refused(with_split):
    with pytest.raises(AnalysisError, match=r"'shapes': synthetic, train has no labels\. Choose a labelled dataset"):
        labelled_images(with_split(labels=None))


@pytest.mark.parametrize("word", ["test", "last", "last-", "last-0", "last--1", "last-1.5", "first-3"])
def test_anything_but_last_and_a_number_is_no_tail(word):
    assert tail_size(word) is None


def test_confusions_are_counted_by_true_class_and_prediction():
    labels, predictions = np.array([0, 0, 2, 2]), np.array([0, 1, 2, 0])
    assert confusion(labels, predictions, 3).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_test_images_are_shown_of_every_class_rightly_and_wrongly_predicted(with_split, monkeypatch):
    monkeypatch.setattr(classification, "_SHOWN_IMAGES", 12)
    context = with_split()
    test = context.split("test")
    # All of class 0 are right, none of class 1, and of class 2 all but one.
    predictions = np.where(test.labels == 1, 0, test.labels)
    predictions[np.flatnonzero(test.labels == 2)[0]] = 1
    classification.save_test_images(context, test, predictions, whose=" after the first draw")
    (gallery,) = context.result(title="T", headline="m", metrics={"m": Metric(value=0.5)}).galleries
    kinds = Counter((label, label == guess) for label, guess in zip(gallery.labels, gallery.predictions, strict=True))
    assert kinds == {(0, True): 2, (1, False): 2, (2, True): 2, (2, False): 1}
    of_class = np.bincount(test.labels)
    assert gallery.caption == (
        f"3 of {of_class[1] + 1} that are wrong after the first draw and 4 of {of_class[0] + of_class[2] - 1} that are "
        "right, evenly spaced in each class."
    )
    with Image.open(context.output_dir / gallery.file) as sheet:
        assert sheet.size == (gallery.columns * 32, 3 * 32)
    row, column = divmod(4, gallery.columns)
    cell = np.asarray(Image.open(context.output_dir / gallery.file))[row * 32 :, column * 32 :][:32, :32]
    original = test.images[test.ids.index(gallery.ids[4])].transpose(1, 2, 0)
    assert np.abs(cell.astype(int) - original).mean() < 12
