from __future__ import annotations

import json
import zipfile

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
    # Of the test split, which is a quarter as large: there are several digits of one photo in it, too.
    test = load("svhn").split("test")
    assert len(set(test.groups)) < len(test)
    rng = np.random.default_rng(0)
    rest, held = holdout(len(test), 2_000, rng, labels=test.labels, groups=test.groups)
    assert len(held) == 2_000
    assert not set(test.groups[rest]) & set(test.groups[held])


@pytest.mark.slow
def test_faces_have_attributes_and_some_have_a_yaw(data_root, tmp_path):
    if not (data_root / "faces64.zip").exists():
        pytest.skip(f"faces64.zip is not in {data_root}")
    # The first 300 as they stand: decoding all 17,511 shows nothing more.
    with zipfile.ZipFile(data_root / "faces64.zip") as whole, zipfile.ZipFile(tmp_path / "faces64.zip", "w") as part:
        document = json.loads(whole.read("dataset.json"))
        document["labels"] = document["labels"][:300]
        names = [name for name, _ in document["labels"]]
        document["yaw"] = {name: yaw for name, yaw in document["yaw"].items() if name in names}
        part.writestr("dataset.json", json.dumps(document))
        for name in names:
            part.writestr(name, whole.read(name))
    train = load_dataset("faces64", data_root=tmp_path, download=False).split("train")
    assert train.labels is None
    assert train.attributes.shape == (300, 40)
    assert 0 < np.isfinite(train.extras["yaw"]).sum() < len(train)
