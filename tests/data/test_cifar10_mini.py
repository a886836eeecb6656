from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data import load_dataset


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The embedded photos, where there is no data root."""
    return load_dataset("cifar10-mini", data_root=tmp_path_factory.mktemp("empty"), download=False)


def test_sizes_and_classes(photos):
    assert photos.split_names == ["train", "test"]
    assert photos.split("train").images.shape == (2000, 3, 32, 32)
    assert photos.split("test").images.shape == (1000, 3, 32, 32)
    assert photos.classes[:3] == ["airplane", "automobile", "bird"]


def test_content_is_the_same_everywhere_and_for_ever(photos):
    hashes = [photos.split(name).sha256[:16] for name in ("train", "test")]
    assert hashes == ["733a31db37f7386b", "516fc79a821522b7"]


def test_training_photos_are_equally_many_of_each_class(photos):
    assert np.bincount(photos.split("train").labels).tolist() == [200] * 10


def test_no_photo_is_on_both_sides_and_names_say_the_official_positions(photos):
    train, test = photos.split("train"), photos.split("test")
    seen = {image.tobytes() for image in train.images}
    assert not seen & {image.tobytes() for image in test.images}
    assert test.ids == [f"test/{position:05d}.webp" for position in range(1000)]
    assert train.ids == sorted(train.ids)
    assert train.ids[-1] < "train/50000.webp"


def test_terms_and_source_are_said_in_every_result(photos):
    for words in ("Krizhevsky", "no licence", "official test split"):
        assert words in photos.note


@pytest.mark.data
def test_photos_are_those_of_cifar10_pixel_by_pixel(photos, data_root):
    if not (data_root / "cifar10.zip").exists():
        pytest.skip(f"cifar10.zip is not in {data_root}")
    official = load_dataset("cifar10", data_root=data_root).split("test")
    assert (official.images[:1000] == photos.split("test").images).all()
    assert (official.labels[:1000] == photos.split("test").labels).all()
