"""Library calls by name: what plugins registered can be used."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import ConfigError, DatasetError, TrainingError, UnknownNameError
from dcgan_analysis.host.host import load_plugins
from dcgan_analysis.models import ArchitectureEntry, tables
from dcgan_analysis.runs.library import load_checkpoint, train

pytestmark = pytest.mark.usefixtures("unrendered")

SETTINGS = {
    "dataset": "digits",
    "architecture": "dcgan32-svhn",
    "parameters": {"width": 4},
    "batch_size": 8,
    "epochs": 1,
    "precision": "float32",
}


def tiny_own(width: int = 4):
    return replace(tables.dcgan32_svhn(width=width), name="tiny-own", parameters={"width": width})


class Plugin:
    """A plugin that brings an architecture."""

    @hookimpl
    def dcgan_register_architectures(self, register):
        register(ArchitectureEntry("tiny-own", "a test", tiny_own))


@pytest.fixture
def host():
    host = load_plugins("")
    host.register(Plugin(), "own")
    return host


def test_a_training_by_names_leaves_a_checkpoint(host, tmp_path):
    steps = []

    checkpoint = train(
        SETTINGS, tmp_path / "run", limit=32, device="cpu", host=host, progress=lambda *event: steps.append(event)
    )

    assert steps[-1] == ("dcgan32-svhn on digits (steps)", 4, 4)
    assert checkpoint.metadata.data["n"] == 32
    assert checkpoint.metadata.data["source"].endswith("first 32 of 1297")
    saved = load_checkpoint(tmp_path / "run", host=host)
    assert (saved.name, saved.sha256()) == ("run", checkpoint.sha256())


def test_an_architecture_of_a_plugin_is_trained_and_loaded(host, tmp_path):
    train(SETTINGS | {"architecture": "tiny-own"}, tmp_path / "run", limit=8, device="cpu", host=host)

    assert load_checkpoint(tmp_path / "run", host=host).architecture.name == "tiny-own"
    with pytest.raises(UnknownNameError, match="Unknown architecture 'tiny-own'"):
        train(SETTINGS | {"architecture": "tiny-own"}, tmp_path / "other", host=load_plugins(""))


def test_a_training_goes_on_only_where_asked(host, tmp_path):
    out = tmp_path / "run"
    first = train(SETTINGS, out, limit=16, device="cpu", host=host)

    with pytest.raises(TrainingError, match=r"run' holds a training\. Resume it, or train into another folder"):
        train(SETTINGS | {"epochs": 2}, out, limit=16, device="cpu", host=host)
    assert load_checkpoint(out, host=host).sha256() == first.sha256()

    train(SETTINGS | {"epochs": 2}, out, limit=16, device="cpu", host=host, resume=True)
    assert [row["step"] for row in json.loads((out / "history.json").read_text())] == [2, 4]


def test_resuming_nothing_begins_anew(host, tmp_path):
    assert train(SETTINGS, tmp_path / "run", limit=8, device="cpu", host=host, resume=True).metadata.step == 1


def test_resuming_nothing_without_saying_what_to_train_is_refused(host, tmp_path):
    with pytest.raises(
        TrainingError,
        match=r"typo' holds no training to continue\. Check the folder \(out\), or start one",
    ):
        train({}, tmp_path / "typo", host=host, resume=True)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dataset": "digitz"}, UnknownNameError, r"^Unknown dataset 'digitz'\. Did you mean 'digits'\?"),
        ({"architecture": "dcgan23"}, UnknownNameError, r"^Unknown architecture 'dcgan23'\. Did you mean 'dcgan32'\?"),
        ({"split": "extra"}, DatasetError, r"^Dataset 'digits' has no split 'extra', only: train, test\."),
        ({"epoch": 2}, ConfigError, r"^Unknown setting 'epoch'\. Did you mean 'epochs'\?"),
        (
            {"parameters": {"image_channels": 1}},
            TrainingError,
            r"^Dataset 'digits' has images of 3x32x32, .* takes 1x32x32",
        ),
        ({"batch_size": 64}, TrainingError, r"has 32 images, fewer than one minibatch of 64\."),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(host, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        train(SETTINGS | change, tmp_path / "run", limit=32, device="cpu", host=host)

    assert not (tmp_path / "run").exists()


def test_an_unknown_device_is_refused(host, tmp_path):
    with pytest.raises(ConfigError, match=r"^Device 'gpu' is unknown"):
        train(SETTINGS, tmp_path / "run", limit=32, device="gpu", host=host)


def test_checkpoints_are_found_by_name(host, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path))
    checkpoint = Checkpoint.random(tables.dcgan32_svhn(width=4), seed=0)
    checkpoint.save(tmp_path / "mine" / "model.safetensors")

    assert load_checkpoint("mine", host=host).name == "mine"
    assert load_checkpoint(checkpoint.sha256()[:8], host=host).name == "mine"
