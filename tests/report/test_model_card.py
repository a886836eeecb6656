"""Model cards: what a training writes of itself, and with the numbers of runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dcgan_analysis.checkpoints.catalogue import list_checkpoints
from dcgan_analysis.errors import ConfigError
from dcgan_analysis.report.model_card import MARK, write_card
from dcgan_analysis.runs.library import write_model_card


@pytest.fixture
def weights(tiny_checkpoint, tmp_path):
    """Leave a checkpoint in a folder."""
    metadata = tiny_checkpoint.metadata.model_copy(deep=True)
    metadata.data.update(name="digits", split="train", n=1297)
    metadata.provenance.update(recipe="the paper's", date="2026-01-01", hours=0.5, started_from={"epochs": 3})
    path = tmp_path / "net" / "model.safetensors"
    replace(tiny_checkpoint, metadata=metadata).save(path)
    (path.parent / "samples.png").touch()
    return path


@pytest.fixture
def measured(weights, tiny_checkpoint, make_result):
    """Return a run of this checkpoint."""
    record = make_result().checkpoint.model_copy(update={"name": "net", "sha256": tiny_checkpoint.sha256()})
    return make_result(checkpoint=record)


def test_a_card_says_what_a_checkpoint_is_and_what_runs_measured(weights, measured, monkeypatch, tmp_path):
    card = write_model_card(weights, [measured]).read_text(encoding="utf-8")
    assert "# net" in card
    assert "| data | `digits`, train (1,297 images) |" in card
    assert "| length | 3 epochs, 0.0039 million images seen, at least 0.5 hours |" in card
    assert "| Accuracy | 73.6 % [72.7, 74.5] |" in card.replace(" | 82.80 % |", " |")
    assert "Command: `dcgan-analyze run svm-cifar --seed 0`" in card
    assert "![Samples](samples.png)" in card
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path))
    (entry,) = [entry for entry in list_checkpoints() if entry.name == "net"]
    assert entry.measured == ("cifar10, accuracy 73.6 % [72.7, 74.5], random twin 61.0 % [60.0, 62.0] (svm-cifar)")


def test_the_library_of_the_hub_reads_a_card(weights, measured):
    hub = pytest.importorskip("huggingface_hub", reason="the extra 'hub' is needed")
    card = hub.ModelCard.load(write_model_card(weights, [measured]))
    accuracy = next(each for each in card.data.eval_results if each.metric_type == "accuracy")
    assert (card.data.model_name, accuracy.dataset_name, accuracy.metric_value) == ("net", "cifar10", 0.736)
    assert accuracy.metric_args["low"] == 0.7273


def test_a_run_of_another_checkpoint_is_refused(weights, make_result):
    with pytest.raises(ConfigError, match=r"measured checkpoint 'cifar10-dcgan32', not '.*' as it is\. Leave it out"):
        write_model_card(weights, [make_result()])


def test_a_card_of_somebody_else_is_left_alone(weights):
    path = weights.with_name("README.md")
    path.write_text("# Mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'.*README\.md' was written by somebody else\. Write into another file"):
        write_card(weights)
    assert path.read_text(encoding="utf-8") == "# Mine"
    assert MARK in write_card(weights, out=weights.with_name("card.md")).read_text(encoding="utf-8")


def test_the_last_sheet_that_is_there_is_shown(weights):
    folder = weights.parent
    (folder / "samples").mkdir()
    (folder / "samples" / "1.png").touch()
    rows = [{"samples": "samples/1.png"}, {"samples": "samples/2.png"}]
    (folder / "history.json").write_text(json.dumps(rows), encoding="utf-8")
    assert "![Samples](samples/1.png)" in write_card(weights).read_text(encoding="utf-8")
