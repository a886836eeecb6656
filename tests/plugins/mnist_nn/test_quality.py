from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.mnist_nn.images import ImageSamples
from dcgan_analysis_plugins.mnist_nn.quality import class_coverage, train_classifier

from dcgan_analysis.data.dataset import DatasetSplit


def make_split(n, seed, bright=(40, 200)):
    """Make 8x8 images of two classes that differ in brightness."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.integers(0, 40, (n, 1, 8, 8)) + np.array(bright)[labels][:, None, None, None]
    return DatasetSplit(images.astype(np.uint8), labels, [f"{i}" for i in range(n)], classes=["dark", "light"])


def test_a_network_learns_classes_that_differ_and_learns_the_same_again():
    train, test = make_split(300, 0), make_split(50, 1)
    found = [train_classifier(train.images, train.labels, test.images, classes=2, passes=1) for _ in range(2)]
    np.testing.assert_array_equal(found[0], test.labels)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_network_trained_on_wrong_labels_is_wrong():
    train, test = make_split(300, 0), make_split(50, 1)
    found = train_classifier(train.images, 1 - train.labels, test.images, classes=2, passes=1)
    np.testing.assert_array_equal(found, 1 - test.labels)


def test_sides_need_not_be_multiples_of_four():
    images = np.zeros((3, 2, 7, 10), np.uint8)
    assert train_classifier(images, np.array([0, 1, 0]), images, classes=2, passes=1).shape == (3,)


def test_samples_that_miss_a_class_cover_the_others_alone():
    real = ImageSamples(make_split(80, 0), 0)
    samples = ImageSamples(make_split(80, 1, bright=(40, 40)), 0)
    found = class_coverage(samples, real, 2, 40)
    assert found.images == 20
    assert found.samples[0] > 12
    assert found.samples[1] == 0
    assert found.control.min() > 12


def test_real_images_as_samples_cover_as_much_as_the_control():
    real = ImageSamples(make_split(60, 0), 0)
    found = class_coverage(real, real, 2, 1000)
    assert found.images == 15
    assert found.samples.tolist() == found.control.tolist()


@pytest.mark.parametrize(("n", "images"), [(20, 1000), (80, 11)])
def test_too_few_images_for_neighbourhoods_have_no_coverage(n, images):
    real = ImageSamples(make_split(n, 0), 0)
    assert class_coverage(real, real, 2, images) is None
