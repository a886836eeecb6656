from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.pixels import Pixels, learn_whitening, pixel_features

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import DatasetError
from dcgan_analysis.testing import check_analysis

BARE = {"C": (1e-3, 1e-1), "labels_per_class": 0}


def make_split(n, seed):
    """Make 6x6 images whose class, one of two, is the brighter half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int64) % 2
    pixels = rng.integers(0, 120, (n, 1, 6, 6))
    pixels[labels == 0, :, :3] += 100
    pixels[labels == 1, :, 3:] += 100
    return DatasetSplit(pixels.astype(np.uint8), labels, [f"{i}" for i in range(n)], classes=["top", "bottom"])


@pytest.fixture
def halves():
    return Dataset.from_splits("halves", {"train": make_split(80, 1), "test": make_split(40, 2)})


def test_pixels_keeps_the_contract_and_needs_no_checkpoint(dcgan_context, halves):
    context = replace(dcgan_context, _checkpoint=None, _dataset=halves)
    result = check_analysis(Pixels(), context, {"C": (1e-3, 1e-1), "draws": 2, "labels_per_class": 4})
    assert list(result.metrics) == [
        "accuracy",
        "few_label_accuracy",
        "whitened_accuracy",
        "whitened_few_label_accuracy",
    ]
    assert result.checkpoint is None


def test_classes_that_pixels_tell_apart_are_told_apart(run, halves):
    metrics = run(Pixels(), halves, checkpoint=None, **BARE).metrics
    assert metrics["accuracy"].value == metrics["whitened_accuracy"].value == 1
    assert metrics["accuracy"].low < 1


def test_bytes_become_rows_between_minus_one_and_one():
    images = np.array([[[[0, 255]], [[51, 102]]]], np.uint8)
    torch.testing.assert_close(pixel_features(images), torch.tensor([[-1.0, 1.0, -0.6, -0.2]]))


def test_whitened_training_pixels_are_uncorrelated_with_variance_one():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(500, 4, generator=generator) @ torch.randn(4, 4, generator=generator) + 3
    whitened = learn_whitening(features, 1e-9)(features)
    torch.testing.assert_close(whitened.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(whitened.T @ whitened / 500, torch.eye(4), atol=1e-3, rtol=0)


def test_the_whitening_is_symmetric_so_that_images_stay_images():
    matrix = learn_whitening(torch.randn(50, 6, generator=torch.Generator().manual_seed(1)), 0.1).matrix
    torch.testing.assert_close(matrix, matrix.T)


def test_epsilon_keeps_a_constant_pixel_from_being_blown_up():
    features = torch.randn(100, 3, generator=torch.Generator().manual_seed(2))
    features[:, 1] = 0.5
    whitened = learn_whitening(features, 0.1)(features + 0.01)
    assert whitened[:, 1].abs().max() < 0.1


def test_the_whitening_is_learned_on_training_images_alone(run, halves, saved):
    test = halves.split("test")
    changed = DatasetSplit(test.images.copy(), test.labels, test.ids, classes=test.classes)
    changed.images[20:] = 255
    other = Dataset.from_splits("halves", {"train": halves.split("train"), "test": changed})
    first, second = (
        saved(run(Pixels(), dataset, checkpoint=None, **BARE), "predictions")["whitened pixels"]
        for dataset in (halves, other)
    )
    np.testing.assert_array_equal(first[:20], second[:20])


def test_predictions_do_not_depend_on_the_labels_of_the_test_images(run, halves, shuffle_test_labels, saved):
    first, second = (
        saved(run(Pixels(), dataset, checkpoint=None, **BARE), "predictions")
        for dataset in (halves, shuffle_test_labels(halves))
    )
    for who in ("raw pixels", "whitened pixels"):
        np.testing.assert_array_equal(first[who], second[who])


def test_whitening_can_be_left_out(run, halves):
    assert list(run(Pixels(), halves, checkpoint=None, whitening=False, **BARE).metrics) == ["accuracy"]


def test_more_labels_than_a_class_has_are_refused_with_its_name(run, halves):
    with pytest.raises(DatasetError, match=r"Class 'top' has 32 images, 33 per class were asked for"):
        run(Pixels(), halves, checkpoint=None, **(BARE | {"labels_per_class": 33}))
