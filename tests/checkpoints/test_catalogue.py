from __future__ import annotations

import os
from dataclasses import replace

import pytest

from dcgan_analysis.checkpoints import catalogue as library
from dcgan_analysis.checkpoints.catalogue import checkpoint_folders, list_checkpoints, load_checkpoint
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.core.registry import Registry
from dcgan_analysis.errors import CheckpointError, UnknownNameError
from dcgan_analysis.models import tables
from dcgan_analysis.models.registry import ArchitectureEntry, builtin_architectures

ARCHITECTURE = tables.dcgan32_svhn(width=4, z_size=6, image_channels=1)


@pytest.fixture
def architectures():
    registry = Registry[ArchitectureEntry]("architecture")
    for entry in builtin_architectures():
        registry.add(entry.name, entry, owner="test")
    return registry


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of checkpoints, named by the environment variable; nothing else is searched."""
    found = [tmp_path / "mine", tmp_path / "ours"]
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", os.pathsep.join(map(str, found)))
    monkeypatch.setattr(library.platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "user"))
    monkeypatch.setattr(library, "__file__", str(tmp_path / "package" / "stores" / "library.py"))
    return found


@pytest.fixture
def put(folders):
    """Save random weights under a name into one of the folders."""

    def save(name, seed=0, folder=0):
        checkpoint = Checkpoint.random(ARCHITECTURE, seed)
        path = folders[folder] / name / "model.safetensors"
        checkpoint.save(path)
        return path, checkpoint.sha256()

    return save


def test_a_name_finds_its_checkpoint(put, architectures):
    put("first", seed=1)
    path, sha256 = put("second", seed=2, folder=1)

    checkpoint = load_checkpoint("second", architectures)

    assert (checkpoint.name, checkpoint.path, checkpoint.sha256()) == ("second", path, sha256)


def test_the_first_folder_wins(put, architectures):
    put("same", seed=2, folder=1)
    _, sha256 = put("same", seed=1, folder=0)

    assert load_checkpoint("same", architectures).sha256() == sha256
    assert len(list_checkpoints()) == 1


def test_user_and_shipped_folders_are_searched_after_the_named_ones(folders, tmp_path):
    assert checkpoint_folders() == [*folders, tmp_path / "user" / "checkpoints", tmp_path / "checkpoints"]

    (tmp_path / "package" / "_checkpoints").mkdir(parents=True)
    assert checkpoint_folders()[-1] == tmp_path / "package" / "_checkpoints"


def test_shipped_checkpoints_of_a_clone_lie_beside_the_package(monkeypatch):
    monkeypatch.delenv("DCGAN_ANALYSIS_CHECKPOINTS", raising=False)

    user, shipped = checkpoint_folders()

    assert user.name == "checkpoints"
    assert shipped.name in ("checkpoints", "_checkpoints")


def test_a_file_and_a_folder_are_loaded_by_path(put, architectures):
    path, sha256 = put("first")

    by_file = load_checkpoint(path, architectures)
    by_folder = load_checkpoint(str(path.parent), architectures)

    assert (by_file.name, by_folder.name) == ("model", "first")
    assert by_file.sha256() == by_folder.sha256() == sha256


def test_the_beginning_of_a_hash_finds_its_checkpoint(put, architectures):
    put("first", seed=1)
    _, sha256 = put("second", seed=2)

    assert load_checkpoint(sha256[:6], architectures).name == "second"
    assert load_checkpoint(sha256, architectures).name == "second"


def test_unusable_checkpoints_do_not_hide_others_from_a_hash(put, folders, architectures):
    damaged, _ = put("a-damaged", seed=1)
    damaged.write_bytes(damaged.read_bytes()[:-8])
    plugins = Checkpoint.random(ARCHITECTURE, seed=3)
    metadata = plugins.metadata.model_copy(update={"architecture": "of-an-absent-plugin"})
    replace(plugins, metadata=metadata).save(folders[0] / "b-foreign" / "model.safetensors")
    _, sha256 = put("c-whole", seed=2)

    assert load_checkpoint(sha256[:8], architectures).name == "c-whole"


@pytest.mark.parametrize("text", ["abcde", "ABCDEF12", "0123456789"])
def test_what_is_no_known_hash_is_an_unknown_name(put, architectures, text):
    put("first")

    with pytest.raises(UnknownNameError, match=rf"^Unknown checkpoint '{text}'\. Available: first\.$"):
        load_checkpoint(text, architectures)


def test_an_unknown_name_gets_the_nearest_one(put, architectures):
    put("cifar10-dcgan32")

    with pytest.raises(
        UnknownNameError, match=r"^Unknown checkpoint 'cifar-dcgan32'\. Did you mean 'cifar10-dcgan32'\?"
    ):
        load_checkpoint("cifar-dcgan32", architectures)


@pytest.mark.parametrize("text", ["absent.safetensors", "absent/folder"])
def test_an_absent_path_is_named(folders, architectures, text):
    with pytest.raises(
        CheckpointError, match=rf"^Checkpoint '{text}' does not exist as a file, nor as a folder with mod"
    ):
        load_checkpoint(text, architectures)


def test_an_empty_folder_is_no_checkpoint(folders, architectures, tmp_path):
    with pytest.raises(CheckpointError, match=r"does not exist as a file, nor as a folder with model\.safetensors\.$"):
        load_checkpoint(tmp_path, architectures)


def test_listing_says_what_is_damaged_and_lists_the_rest(put):
    put("b-whole")
    path, _ = put("a-damaged")
    path.write_bytes(b"damaged")

    damaged, whole = list_checkpoints()

    assert (damaged.name, damaged.metadata, whole.error) == ("a-damaged", None, None)
    assert "cannot be read as safetensors" in damaged.error
    assert whole.metadata.architecture == "dcgan32-svhn"


def test_no_folder_at_all_is_an_empty_list(folders):
    assert list_checkpoints() == []
