"""Trainings and networks with a planted failure, and without one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.stability import Stability, networks

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.models.tables import dcgan32_svhn
from dcgan_analysis.runs.library import train
from dcgan_analysis.testing import check_analysis

SHORT = {"draws": 2, "judged": 40}
ROW = {
    "generator_loss": 1.8,
    "discriminator_loss": 0.9,
    "real_probability": 0.7,
    "fake_probability": 0.3,
    "diversity": 0.9,
    "nearest_sample": 1.0,
    "sample_distance": 0.2,
    "real_distance": 0.1,
    "filters": {"project": {"maps": 16, "dead": 0, "fixed": 0, "oscillating": 0}},
}


def test_stability_keeps_the_contract(dcgan_context, unrendered):
    result = check_analysis(Stability(), dcgan_context, SHORT)

    assert result.metrics["real_diversity"].value == pytest.approx(1, abs=0.2)


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes the folder of a training whose history has these changes to a healthy row."""

    def write(*changes):
        folder = tmp_path / "training"
        Checkpoint.random(dcgan32_svhn(width=4, z_size=8), seed=0).save(folder / "model.safetensors")
        rows = [{"epoch": 10.0 * n, "step": 1000 * n, **ROW, **change} for n, change in enumerate(changes, start=1)]
        (folder / "history.json").write_text(json.dumps(rows), encoding="utf-8")
        return da.load_checkpoint(folder)

    return write


def test_a_healthy_history_is_accused_of_nothing_and_needs_no_dataset(run, folder):
    result = run(Stability(), None, folder({}, {}, {}, {}, {}))

    assert result.title == "Stability of training: no failure"
    assert (result.metrics["failures"].value, result.metrics["failures"].n) == (0, 5)
    assert {figure.name for figure in result.figures} == {"losses", "distance", "probabilities", "diversity", "filters"}


OSCILLATING = {"filters": {"project": {"maps": 16, "dead": 0, "fixed": 4, "oscillating": 3}}}


@pytest.mark.parametrize(
    ("changes", "verdict", "evidence"),
    [
        ([{}, {}, {"diversity": 0.3}, {"diversity": 0.2}], "mode collapse since epoch 30", "0.20 times as far apart"),
        ([{}, OSCILLATING, OSCILLATING], "collapsing filters since epoch 20", "3 of them another one"),
        (
            [{}, {}, {}, *[{"generator_loss": 6.0, "sample_distance": 0.25}] * 4],
            "discriminator ahead since epoch 40",
            "the generator's loss is 6.00 over 3 readings",
        ),
        (
            [{}, {"diversity": 0.3}, {}, {}],
            "no failure at the end; mode collapse from epoch 20 to 30",
            "0.30 times as far apart",
        ),
    ],
    ids=["collapse", "filters", "ahead", "passed"],
)
def test_a_planted_failure_is_found_with_the_epoch_in_which_it_began(run, folder, changes, verdict, evidence):
    result = run(Stability(), None, folder(*changes))

    assert result.title == f"Stability of training: {verdict}"
    assert evidence in result.tables[0].rows[0][-1]


def test_networks_without_a_history_are_judged_as_they_are(run):
    whole = da.load_checkpoint("digits-dcgan32")
    weights = {role: dict(state) for role, state in whole.weights.items()}
    weights["generator"]["project.operation.weight"] = torch.zeros_like(
        weights["generator"]["project.operation.weight"]
    )

    healthy = run(Stability(), "digits", whole, **SHORT)
    broken = run(Stability(), "digits", replace(whole, weights=weights, path=None, name="broken"), **SHORT)

    assert healthy.title == "Stability of digits-dcgan32: no failure to be seen in its networks"
    assert broken.title == "Stability of broken: mode collapse, collapsing filters"
    assert broken.metrics["collapsed_filters"].value == 1
    assert broken.metrics["twin_collapsed_filters"].value < 0.1
    assert any("No history lies beside the checkpoint" in note for note in healthy.notes)


def test_a_discriminator_that_knows_its_training_images_by_heart_is_found_out(run, make_images, monkeypatch):
    dataset = make_images()
    known = {image.tobytes() for image in dataset.split("train").images}

    def logits(checkpoint, device, images, labels=None):
        return np.array([2.0 if image.tobytes() in known else -1.0 for image in images]) + np.linspace(
            0, 1, len(images)
        )

    monkeypatch.setattr("dcgan_analysis_plugins.stability.networks.discriminator_logits", logits)
    metrics = run(Stability(), dataset, **SHORT).metrics

    assert metrics["told_from_held_out"].value == metrics["told_from_samples"].value == 1
    assert metrics["probability_training"].value > 0.85 > 0.5 > metrics["probability_held_out"].value


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short training on the first 32 digits."""
    folder = tmp_path_factory.mktemp("trained") / "digits"
    settings = {"architecture": "dcgan32-svhn", "parameters": {"width": 4, "z_size": 8}, "precision": "float32"}
    train(settings | {"dataset": "digits", "images": 32, "batch_size": 16, "epochs": 2, "sample_every": 1}, folder)
    return folder


def test_the_training_images_are_those_that_were_trained_on_and_the_first_epochs_are_shown(run, trained):
    result = run(Stability(), "digits", da.load_checkpoint(trained), **SHORT)

    assert result.title == "Stability of digits: no failure"
    # Figures 2 and 3; no reading is nearer to the fifth epoch than the last.
    assert [figure.name for figure in result.figures if "samples" in figure.name] == ["samples-1", "samples-2"]
    assert not any("does not name these" in note for note in result.notes)
    assert result.metrics["told_from_held_out"].n == 32


def test_other_images_than_those_trained_on_are_named(run, trained, make_images):
    result = run(Stability(), make_images(), da.load_checkpoint(trained), **SHORT)

    assert any("as those it was trained on, but 32 of 'digits'." in note for note in result.notes)


def test_an_older_history_is_judged_with_the_filters_of_the_states(run, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("dcgan_analysis.training.failures.EARLY", 0)
    folder = tmp_path / "older"
    shutil.copytree(trained, folder)
    rows = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    older = [{key: value for key, value in row.items() if key not in ("filters", "sample_distance")} for row in rows]
    (folder / "history.json").write_text(json.dumps(older), encoding="utf-8")

    result = run(Stability(), None, da.load_checkpoint(folder))
    readings = json.loads((result.folder / "readings.json").read_text(encoding="utf-8"))

    assert [row["epoch"] for row in readings["states"]] == [1, 2]
    # The monitors count on other latent vectors.
    assert readings["states"][-1]["filters"].keys() == rows[-1]["filters"].keys()
    (folder / "history.json").unlink()
    assert run(Stability(), None, da.load_checkpoint(folder)).metrics["failures"].n == 2


@pytest.mark.parametrize(
    ("text", "problem"), [("[", "Expecting value"), ('[{"epoch": 1}]', "its rows lack discriminator_loss")]
)
def test_a_file_that_is_no_history_is_refused_in_one_line(run, folder, text, problem):
    checkpoint = folder({})
    checkpoint.path.with_name("history.json").write_text(text, encoding="utf-8")

    with pytest.raises(AnalysisError, match=f"history.json' is no history of a training: {problem}"):
        run(Stability(), None, checkpoint)


def test_images_of_another_shape_are_refused(run, folder):
    gray = DatasetSplit(np.zeros((4, 1, 28, 28), np.uint8), None, list("abcd"))

    with pytest.raises(DatasetError, match=r"has images of 1x28x28, checkpoint 'training' takes 3x32x32"):
        run(Stability(), Dataset.from_splits("gray", {"train": gray}), folder({}))


def test_the_twin_is_the_one_whose_statistics_other_analyses_estimate(run, monkeypatch):
    twins, measured = [], networks.spreads

    def spreads(context, twin, *others):
        twins.append(twin)
        return measured(context, twin, *others)

    monkeypatch.setattr(networks, "spreads", spreads)
    whole = Checkpoint.random(dcgan32_svhn(width=4, z_size=8), seed=0)
    result = run(Stability(), "digits", whole, limit=40, **SHORT)

    (twin,) = twins
    assert twin.sha256() == with_sample_statistics(whole.twin(0)).sha256()
    assert any("statistics were re-estimated on latent vectors" in note for note in result.notes)


def test_a_generator_alone_is_judged(run):
    whole = Checkpoint.random(dcgan32_svhn(width=4, z_size=8), seed=0)
    alone = replace(whole, weights={"generator": whole.weights["generator"]})

    metrics = run(Stability(), "digits", alone, limit=40, **SHORT).metrics

    assert "diversity" in metrics
    assert "told_from_samples" not in metrics


def test_conditional_networks_are_judged_with_the_labels_of_their_images(run):
    # From the repository: an installed package holds its generator alone.
    whole = Path(__file__).parents[3] / "checkpoints" / "digits-conditional"
    metrics = run(Stability(), "digits", str(whole), limit=60, **SHORT).metrics

    assert metrics["told_from_samples"].value > 0.5
