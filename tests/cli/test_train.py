from __future__ import annotations

import json
import signal

import pytest

from dcgan_analysis.core.files import lock_path, writer_lock
from dcgan_analysis.training import Trainer

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture
def train(cli, tmp_path):
    """Train a tiny network on 64 images."""

    def train(*words, epochs=1):
        settings = {
            "architecture": "dcgan32",
            "parameters.width": 4,
            "parameters.z_size": 8,
            "batch_size": 16,
            "precision": "float32",
            "epochs": epochs,
        }
        pairs = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        return cli("train", "--out", tmp_path / "training", "--dataset", "digits", "--limit", "64", *pairs, *words)

    return train


def test_a_training_leaves_a_checkpoint_and_prints_its_path_alone(train, cli, tmp_path):
    outcome = train().assert_success()
    path = tmp_path / "training" / "model.safetensors"
    assert outcome.out == f"{path}\n"
    assert outcome.err.startswith("Beginning: 4 steps.\nepoch 1, step 4: loss G ")
    assert outcome.err.splitlines()[-1].startswith("1 epochs, 4 steps, sha256 ")
    document = cli("show", path, "--json").assert_success().json()
    assert (document["parameters"]["width"], document["step"]) == (4, 4)
    assert document["data"]["source"].endswith("first 64 of 1297")


def test_a_resumed_training_ends_where_one_without_pause_does(train, cli, tmp_path):
    train().assert_success()
    train("--resume", epochs=2).assert_success()
    resumed = cli("show", tmp_path / "training", "--json").json()
    train("--out", tmp_path / "at once", epochs=2).assert_success()
    at_once = cli("show", tmp_path / "at once", "--json").json()
    assert resumed["step"] == at_once["step"] == 8
    assert resumed["sha256"] == at_once["sha256"]


@pytest.mark.parametrize("words", [(), ("--resume",)])
def test_a_folder_in_which_another_training_is_under_way_is_left_alone(train, tmp_path, words):
    # It has saved nothing yet, so that only its lock tells of it.
    folder = tmp_path / "training"
    folder.mkdir()
    state = folder / "state.safetensors"
    with writer_lock(state, f"Training '{folder}'"):
        outcome = train(*words)
        assert not state.exists()
    assert outcome.exit_code == 1
    assert f"Error: Training '{folder}' is being written by process " in outcome.err
    assert "Wait for it, or stop it" in outcome.err
    train(*words).assert_success()
    assert not lock_path(state).exists()


@pytest.fixture
def asked_to_stop(monkeypatch):
    """Send SIGTERM in the second step."""
    one_step = Trainer._one_step

    def interrupted(self, batch):
        if self.step == 1:
            signal.raise_signal(signal.SIGTERM)
        return one_step(self, batch)

    monkeypatch.setattr(Trainer, "_one_step", interrupted)


@pytest.mark.usefixtures("asked_to_stop")
def test_a_training_asked_to_stop_says_how_it_goes_on(train, cli, tmp_path):
    outcome = train()
    assert outcome.exit_code == 128 + signal.SIGTERM
    folder = tmp_path / "training"
    assert outcome.err.splitlines()[-1] == (
        f"Stopped after step 2 of 4; the state is saved. Go on: dcgan-analyze train --resume --out {folder}"
    )
    assert cli("train", "--resume", "--out", folder).assert_success().err.startswith("Going on after step 2 of 4")


@pytest.mark.usefixtures("asked_to_stop")
def test_of_several_processes_asked_to_stop_the_first_alone_says_so(train, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    outcome = train()
    assert (outcome.exit_code, outcome.err.strip()) == (128 + signal.SIGTERM, "")


def test_a_training_is_not_overwritten(train, tmp_path, complains):
    train().assert_success()
    complains(train(), "holds a training. Resume it, or train into another folder (out).")
    history = json.loads((tmp_path / "training" / "history.json").read_text(encoding="utf-8"))
    assert history[-1]["step"] == 4


def test_a_training_is_resumed_with_the_same_settings_only(train, complains):
    train().assert_success()
    complains(train("--resume", "--set", "seed=5"), "other settings, saved at step 4: seed (saved 0, now 5).")


def test_a_resume_needs_no_settings_and_says_where_it_goes_on(train, cli, tmp_path, complains):
    train().assert_success()
    outcome = cli("train", "--resume", "--out", tmp_path / "training", "--set", "epochs=2").assert_success()

    assert outcome.err.startswith("Going on after step 4 of 8 (epoch 1).\n")
    complains(
        cli("train", "--resume", "--out", tmp_path / "training", "--set", "parameters.width=8"),
        "saved at step 8: parameters",
    )


def test_a_preset_is_trained_with_other_settings_in_its_place(cli, tmp_path, complains):
    out = tmp_path / "training"
    words = ["dataset=digits", "parameters.width=4", "batch_size=16", "epochs=1", "precision=float32"]
    cli("train", "svhn", "--out", out, "--limit", 32, *(w for s in words for w in ("--set", s))).assert_success()

    training = cli("show", out, "--json").assert_success().json()["training"]
    assert (training["preset"], training["z_prior"], training["learning_rate"]) == ("svhn", "normal", 5e-4)
    assert (training["parameters"], training["images"]) == ({"width": 4, "z_size": 100}, 32)
    assert "Recipe: the paper&#39;s." in (out / "report.html").read_text(encoding="utf-8")
    # The preset says nothing new on a resume: what was given in its place stays.
    cli("train", "svhn", "--out", out, "--resume").assert_success()
    assert cli("show", out, "--json").json()["training"] == training
    complains(cli("train", "cifar10", "--out", out, "--resume"), "other settings, saved at step 2: architecture")


def test_an_unknown_preset_is_refused(cli, tmp_path, complains):
    complains(cli("train", "svnh", "--out", tmp_path), "Unknown preset 'svnh'. Did you mean 'svhn'?")


def test_all_settings_of_a_preset_are_shown_with_their_meaning(cli):
    outcome = cli("train", "mnist-conditional", "--settings", "--set", "epochs=3").assert_success()

    assert outcome.out.startswith("mnist-conditional: class-conditional MNIST")
    assert "Deviations: An epoch here" in outcome.out
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if line.strip()}
    assert lines["images"].split()[1] == "50000"
    assert lines["epochs"].split()[1] == "3.0"
    assert lines["learning_rate_decay"].split()[1] == "linear"


def test_a_training_needs_a_folder(cli):
    outcome = cli("train", "svhn")
    assert outcome.exit_code == 2
    assert "Give the folder of the training: --out DIR" in outcome.err


def test_presets_are_listed(cli):
    rows = cli("list", "presets", "--json").assert_success().json()["presets"]
    assert {"imagenet32", "svhn", "mnist-conditional-mlp"} <= {row["name"] for row in rows}
    assert all(row["summary"] for row in rows)


def test_near_duplicates_that_were_found_are_not_trained_on(train, cli, tmp_path, complains):
    found = cli("dedup", "digits", "--out", "d.json", "--limit", "64", "--steps", "2", "--bits", "30", "--json").json()
    n = len(found["leave_out"])
    assert n > 0
    train("--set", f"leave_out={tmp_path / 'd.json'}", "--set", "batch_size=4").assert_success()
    data = cli("show", tmp_path / "training", "--json").assert_success().json()["data"]
    assert data["n"] == 64 - n
    assert data["left_out"]["n"] == n
    assert len(data["left_out"]["file_sha256"]) == 64

    wrong = ("--out", tmp_path / "other", "--set", f"leave_out={tmp_path / 'd.json'}", "--limit", "60")
    complains(train(*wrong), "was made of other images ('digits', split 'train'")
    complains(train("--out", tmp_path / "other", "--set", "leave_out=absent.json"), "'absent.json' cannot be read")
    assert not (tmp_path / "other").exists()
