from __future__ import annotations

from pathlib import Path

import pytest

from dcgan_analysis.core.folders import data_folder
from dcgan_analysis.data import DatasetEntry, load_dataset
from dcgan_analysis.data.files.sources import builtin_datasets, builtin_registry
from dcgan_analysis.data.torchvision_sets import TORCHVISION_SETS
from dcgan_analysis.errors import DatasetError, UnknownNameError


def test_built_in_names_and_those_of_torchvision_agree():
    names = {entry.name for entry in builtin_datasets()}
    assert names == {*TORCHVISION_SETS, "digits", "cifar10-mini", "faces64", "bedrooms64"}


def test_a_zip_in_the_data_root_is_found_by_its_name(make_zip, pictures):
    root = make_zip(pictures("1.png"), {"name": "inner", "labels": None}).parent
    dataset = load_dataset("birds", data_root=root)
    assert (dataset.name, len(dataset.split("train"))) == ("birds", 1)


def test_a_folder_in_the_data_root_is_found_by_its_name(make_folder, pictures):
    root = make_folder(pictures("hen/1.png", "owl/1.png")).parent
    assert load_dataset("birds", data_root=root).classes == ["hen", "owl"]


def test_a_zip_may_stand_for_a_registered_name(make_zip, pictures):
    root = make_zip(pictures("1.png"), name="cifar10.zip").parent
    assert load_dataset("cifar10", data_root=root, download=False).name == "cifar10"


def test_a_path_is_loaded_whatever_it_is_called(make_zip, make_folder, pictures, monkeypatch):
    path = make_zip(pictures("1.png"), name="digits.zip")
    make_folder(pictures("1.png"))
    assert load_dataset(path).split_names == ["train"]
    assert load_dataset(str(path)).split_names == ["train"]
    monkeypatch.chdir(path.parent)
    assert load_dataset("digits.zip").split_names == ["train"]
    assert load_dataset("./birds").name == "birds"


def test_progress_reaches_the_dataset(make_zip, pictures):
    steps = []
    path = make_zip(pictures("1.png"))
    load_dataset(path, progress=lambda *step: steps.append(step)).split("train")
    assert steps == [("decode birds.zip", 1, 1)]


def test_plugins_names_are_loaded_by_their_own_loader(tmp_path):
    given = []

    def load(root, download):
        given.append((root, download))
        return load_dataset("digits")

    registry = builtin_registry()
    registry.add("mine", DatasetEntry("mine", "my own", load), owner="me")
    load_dataset("mine", data_root=tmp_path, registry=registry, download=False)
    assert given == [(tmp_path, False)]


def test_unknown_name_suggests_what_is_registered_and_what_lies_there(make_zip, pictures):
    root = make_zip(pictures("1.png")).parent
    with pytest.raises(UnknownNameError, match=r"'cifr10'\. Did you mean 'cifar10'"):
        load_dataset("cifr10", data_root=root)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'birds'.*Nor is there bird\.zip or"):
        load_dataset("bird", data_root=root)


def test_unknown_name_that_is_a_folder_here_says_how_to_write_it(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=r"For the path write \./photos"):
        load_dataset("photos", data_root=tmp_path / "elsewhere")


def test_absent_path_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.zip' does not exist"):
        load_dataset(tmp_path / "none.zip")


def test_data_root_is_the_argument_then_the_variable_then_the_users_folder(monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_DATA", "/from/variable")
    assert data_folder(Path("/given")) == Path("/given")
    assert data_folder() == Path("/from/variable")
    monkeypatch.delenv("DCGAN_ANALYSIS_DATA")
    assert data_folder().parts[-2:] == ("dcgan-analysis", "data")
