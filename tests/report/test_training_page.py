from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.figures import save_image
from dcgan_analysis.models import tables
from dcgan_analysis.report.training_page import TrainingPage, render_training_page, write_training_page
from dcgan_analysis.runs.library import load_checkpoint

PAGE = "dcgan_analysis.report.training_page"


def row(epoch, **more):
    return {
        "epoch": float(epoch),
        "step": 10 * epoch,
        "generator_loss": 1.5,
        "discriminator_loss": 0.9,
        "real_probability": 0.7,
        "fake_probability": 0.3,
        "images_per_second": 190.0,
        "learning_rate": 2e-4,
        "seconds": 60.0 * epoch,
        "samples": f"samples/{epoch}.png",
        "diversity": 0.9,
        "nearest_sample": 0.8,
        "collapsed_filters": 0.0,
        "warnings": [],
        **more,
    }


@pytest.fixture
def training(tmp_path):
    """Leave a training of two epochs in a folder."""
    folder = tmp_path / "<b>run"
    checkpoint = Checkpoint.random(tables.dcgan32_svhn(width=4), seed=0)
    update = {
        "data": {"name": "digits", "n": 1297, "source": "made up"},
        "training": {"batch_size": 128},
        "provenance": {"recipe": "the paper's", "dcgan_analysis": "0.1.0", "date": "2026-01-01"},
    }
    object.__setattr__(checkpoint, "metadata", checkpoint.metadata.model_copy(update=update))
    checkpoint.save(folder / "model.safetensors")
    rows = [row(1, feature_accuracy=0.6, feature_images=100), row(2, warnings=["Mode collapse: <seen>"])]
    for each in rows:
        save_image(np.zeros((3, 64, 64), np.uint8), folder / each["samples"])
    (folder / "history.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def test_a_page_shows_what_a_person_watches_and_fetches_nothing(training):
    page = render_training_page(training)

    for text in (
        "Feature accuracy",
        "60.0 %",
        "Losses",
        "D(real) / D(fake)",
        "Diversity of samples",
        "Collapsed filters",
    ):
        assert text in page
    assert "Samples after 2 epochs" in page
    assert "rows from above after 1, 2 epochs" in page
    assert "Epoch 2: Mode collapse: &lt;seen&gt;" in page
    assert "&lt;b&gt;run" in page
    assert "<b>run" not in page
    assert page.count("<script") == 1
    assert "://" not in page


def test_a_page_names_the_checkpoint_that_a_training_began_with(training):
    assert "Began with" not in render_training_page(training)

    checkpoint = load_checkpoint(training)
    before = {"name": "older", "sha256": "0" * 64, "epochs": 3.0}
    metadata = checkpoint.metadata
    update = {"provenance": {**metadata.provenance, "started_from": before}}
    replace(checkpoint, metadata=metadata.model_copy(update=update)).save(training / "model.safetensors")
    assert "Began with the networks of older, 3 epochs old, not with random ones." in " ".join(
        render_training_page(training).split()
    )


def test_samples_that_were_deleted_are_left_out(training):
    (training / "samples" / "2.png").unlink()
    assert "Samples after 1 epoch<" in write_training_page(training).read_text(encoding="utf-8")
    (training / "samples" / "1.png").unlink()
    assert "Samples after" not in render_training_page(training)


def test_short_intervals_are_not_slowed_by_the_page_but_the_last_is_on_it(monkeypatch, tmp_path):
    written, now = [], [0.0]

    def write(folder):
        written.append(now[0])
        now[0] += 2

    monkeypatch.setattr(f"{PAGE}.write_training_page", write)
    monkeypatch.setattr(f"{PAGE}.time.monotonic", lambda: now[0])
    page = TrainingPage()
    for _ in range(30):
        page.interval(tmp_path, {})
        now[0] += 3
    page.close()
    page.close()

    assert written == [0, 44, 88, 96]


def test_a_training_keeps_a_card_beside_its_page_and_leaves_one_of_somebody_else(training):
    page = TrainingPage()
    page.interval(training, {})
    card = training / "README.md"
    assert "| recipe | the paper's |" in card.read_text(encoding="utf-8")
    card.write_text("mine", encoding="utf-8")
    page.interval(training, {})
    page.close()
    assert card.read_text(encoding="utf-8") == "mine"
