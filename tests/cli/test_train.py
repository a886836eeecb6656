from __future__ import annotations

import json

import pytest


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
    assert outcome.err.startswith("epoch 1, step 4: loss G ")
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


def test_a_training_is_not_overwritten(train, tmp_path, complains):
    train().assert_success()
    complains(train(), "holds a training. Go on with it: --resume. Or train into another --out.")
    history = json.loads((tmp_path / "training" / "history.json").read_text(encoding="utf-8"))
    assert history[-1]["step"] == 4


def test_a_training_is_resumed_with_the_same_settings_only(train, complains):
    train().assert_success()
    complains(train("--resume", "--set", "seed=5"), "other settings, saved at step 4: seed (saved 0, now 5).")
