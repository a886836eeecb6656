from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from pydantic import ValidationError

from dcgan_analysis.errors import StoreError
from dcgan_analysis.features.format import ELEMENTS, Difference
from dcgan_analysis.features.store import FeatureStore


def test_equal_parts_give_equal_hashes_and_every_part_counts(make_key):
    key = make_key()
    assert key.sha256 == make_key().sha256
    others = {
        "weights_sha256": "x",
        "architecture": "x",
        "architecture_parameters": {"width": 9},
        "taps": ("conv2", "conv1"),
        "pooling": "x",
        "preprocessing": "x",
        "batchnorm": "running",
        "batchnorm_split_sha256": None,
        "batchnorm_batch_size": 64,
        "batchnorm_seed": 1,
        "dataset_sha256": "x",
        "split": "test",
        "compute_dtype": "float32",
        "store_dtype": "float16",
        "code_version": 2,
    }
    assert set(others) == set(type(key).model_fields)
    assert len({make_key(**{part: value}).sha256 for part, value in others.items()}) == len(others)


def test_difference_names_the_parts_that_differ(make_key):
    assert make_key().difference(make_key()) == []
    assert make_key().difference(make_key(split="test", code_version=2)) == [
        Difference("split", "train", "test"),
        Difference("code_version", 1, 2),
    ]


def test_a_key_cannot_be_changed_or_take_unknown_parts(make_key):
    with pytest.raises(ValidationError):
        make_key().split = "test"
    with pytest.raises(ValidationError):
        make_key(colour="red")


def test_every_element_carries_its_encoding(write_store, tmp_path):
    found = {}

    def visit(name, element):
        found[f"/{name}"] = element.attrs["encoding-type"], element.attrs["encoding-version"]

    with h5py.File(write_store(tmp_path / "store.h5"), "r") as file:
        found["/"] = file.attrs["encoding-type"], file.attrs["encoding-version"]
        file.visititems(visit)
    assert found == ELEMENTS


def test_the_document_lists_every_element_with_its_encoding():
    document = Path(__file__).parents[2] / "docs" / "store-format.md"
    listed = {}
    for line in document.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")]
        if len(cells) > 4:
            listed[cells[1]] = cells[2], cells[3]
    assert {name: listed.get(name) for name in ELEMENTS} == ELEMENTS


def test_newer_version_of_an_element_asks_for_an_update(write_store, tmp_path):
    path = write_store(tmp_path / "out.h5")
    with h5py.File(path, "r+") as file:
        file["features"].attrs["encoding-version"] = "2"
    message = "out.h5: /features has encoding-version '2', this release reads '1'. Update dcgan-analysis."
    with pytest.raises(StoreError, match=message):
        FeatureStore(path)


@pytest.mark.parametrize("version", ["0", "one"])
def test_version_that_is_not_newer_asks_for_extraction(write_store, tmp_path, version):
    path = write_store(tmp_path / "out.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["encoding-version"] = version
    with pytest.raises(StoreError, match=r"/ has encoding-version .* Extract the features again"):
        FeatureStore(path)


def test_missing_element_is_named(write_store, tmp_path):
    path = write_store(tmp_path / "out.h5")
    with h5py.File(path, "r+") as file:
        del file["ids"]
    with pytest.raises(StoreError, match="/ids is missing"):
        FeatureStore(path)


def test_elements_that_the_format_does_not_name_are_ignored(write_store, tmp_path):
    path = write_store(tmp_path / "out.h5")
    with h5py.File(path, "r+") as file:
        file["comment"] = "mine"
    assert len(FeatureStore(path)) == 23
