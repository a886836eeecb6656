"""The example plugin that sends runs to a tracker: the real TensorBoard, and a stand-in for trackio and W&B."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "track_runs.py"


@pytest.fixture
def run_tracked(run_cli, monkeypatch, tmp_path):
    """Run an analysis of a plugin file beside the tracker; return the outcome."""
    source = (
        "from dcgan_analysis import hookimpl\n"
        "from dcgan_analysis.api import AnalysisConfig, Metric, Needs\n\n"
        "class Half:\n"
        "    name = summary = question = reference = 'half'\n"
        "    config_type, needs = AnalysisConfig, Needs()\n\n"
        "    def run(self, context, config):\n"
        "        import numpy as np\n"
        "        context.save_image(np.zeros((3, 8, 8), np.uint8), 'black', 'Black')\n"
        "        metrics = {'half': Metric(value=0.5, low=0.25, high=0.75)}\n"
        "        return context.result(title='Half', headline='half', metrics=metrics)\n\n"
        "@hookimpl\n"
        "def dcgan_register_analyses(register):\n"
        "    register(Half())\n"
    )
    (tmp_path / "half.py").write_text(source, encoding="utf-8")

    def run(tracker):
        monkeypatch.setenv("DCGAN_TRACKER", tracker)
        monkeypatch.setenv("DCGAN_TRACKER_FOLDER", str(tmp_path / "events"))
        plugins = ["--plugin", tmp_path / "half.py", "--plugin", PLUGIN]
        return run_cli(*plugins, "run", "half", "--json", "--out", tmp_path / tracker).assert_success()

    return run


def test_tensorboard_gets_metrics_with_their_intervals_and_figures(run_tracked, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is needed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_tracked("tensorboard")
    events = EventAccumulator(str(tmp_path / "events" / "half" / "tensorboard"))
    events.Reload()
    scalars = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    assert scalars == {"half": 0.5, "half/low": 0.25, "half/high": 0.75}
    assert events.Tags()["images"] == ["Black"]


@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_trackio_and_wandb_get_the_same_calls(tracker, run_tracked, monkeypatch):
    calls = []
    stand_in = SimpleNamespace(
        init=lambda **words: calls.append(words),
        log=calls.append,
        Image=lambda path: Path(path).name,
        finish=lambda: calls.append("finished"),
    )
    monkeypatch.setitem(sys.modules, tracker, stand_in)
    run_tracked(tracker)
    begun, logged, figures, finished = calls
    assert (begun["project"], begun["name"], begun["group"]) == ("dcgan-analysis", tracker, "half")
    assert begun["config"]["command"].startswith("dcgan-analyze run half")
    assert logged == {"half": 0.5, "half/low": 0.25, "half/high": 0.75}
    assert figures == {"Black": "black.png"}
    assert finished == "finished"


def test_a_tracker_that_is_not_there_is_a_warning_and_no_failure(run_tracked, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    outcome = run_tracked("trackio")
    assert outcome.json()["metrics"]["half"]["value"] == 0.5
    assert "trackio" in outcome.json()["warnings"][0]
    assert "must be tensorboard, trackio or wandb" in run_tracked("abacus").json()["warnings"][0]
