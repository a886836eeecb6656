from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data import holdout, load_dataset

pytestmark = pytest.mark.data


@pytest.fixture
def load(data_root):
    def load(name):
        file = {"mnist": "MNIST/raw"}.get(name, f"{name}.zip")
        if not (data_root / file).exists():
            pytest.skip(f"{file} is not in {data_root}")
        return load_dataset(name, data_root=data_root, download=False)

    return load


def test_cifar10_zip_has_the_first_thousand_test_images(load):
    dataset = load("cifar10")
    test = dataset.split("test")
    assert test.images.shape[1:] == (3, 32, 32)
    # The first ten of the official test set: cat, ship, ship, airplane, frog, frog, car, ...
    assert test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert dataset.classes[3] == "cat"


def test_mnist_is_the_official_one(load):
    test = load("mnist").split("test")
    assert test.images.shape == (10_000, 1, 28, 28)
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_bedrooms_are_64_wide(load):
    assert load("bedrooms64").split("test").image_shape == (3, 64, 64)


@pytest.mark.slow
def test_svhn_validation_keeps_photos_whole(load):
    train = load("svhn").split("train")
    rng = np.random.default_rng(0)
    rest, held = holdout(len(train), 10_000, rng, labels=train.labels, groups=train.groups)
    assert len(held) == 10_000
    assert not set(train.groups[rest]) & set(train.groups[held])


@pytest.mark.slow
def test_faces_have_attributes_and_some_have_a_yaw(load):
    train = load("faces64").split("train")
    assert train.labels is None
    assert train.attributes.shape == (len(train), 40)
    assert 0 < np.isfinite(train.extras["yaw"]).sum() < len(train)
