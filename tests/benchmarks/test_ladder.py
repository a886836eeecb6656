"""The ladder of trainings: short rungs on embedded data, stopped and begun again."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from dcgan_analysis.api import Result
from dcgan_analysis.runs.library import load_checkpoint
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.presets import with_preset

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def ladder():
    spec = importlib.util.spec_from_file_location("ladder_run", FOLDER / "ladder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["ladder.toml", "recipes.toml", "transfer.toml"])
def test_every_rung_is_a_preset_with_settings_that_it_has(ladder, tmp_path, name):
    rungs = ladder.read_ladder(FOLDER / name)
    assert len({rung["name"] for rung in rungs}) == len(rungs)
    for rung in rungs:
        for full in (False, True):
            TrainingConfig.build(with_preset(rung["preset"], ladder.settings_of(rung, tmp_path, full=full)))


def test_a_rung_brings_those_that_it_starts_from(ladder):
    names = [rung["name"] for rung in ladder.needed(ladder.read_ladder(), "imagenet-dcgan32")]
    assert names == ["imagenet-dcgan32-w64", "imagenet-dcgan32"]


def test_seeds_train_every_rung_once_in_rounds_with_the_settings_of_all(ladder, tmp_path):
    path = tmp_path / "seeds.toml"
    text = """
        seeds = [0, 5]
        [settings]
        images = 300
        batch_size = 128
        [[rung]]
        name = "narrow"
        [rung.settings]
        batch_size = 100
        [[rung]]
        name = "wide"
        [rung.settings]
        start_from = "rung:narrow"
    """
    path.write_text(text, encoding="utf-8")
    rungs = ladder.read_ladder(path)
    assert [rung["name"] for rung in rungs] == ["narrow-0", "wide-0", "narrow-5", "wide-5"]
    assert rungs[2]["settings"] == {"images": 300, "batch_size": 100, "seed": 5}
    assert rungs[3]["settings"] == {"images": 300, "batch_size": 128, "start_from": "rung:narrow-5", "seed": 5}
    assert [rung["name"] for rung in ladder.needed(rungs, "wide-5")] == ["narrow-5", "wide-5"]


def test_a_rung_is_as_long_as_its_processor_seconds_last(ladder, tmp_path):
    settings = {"images": 1_000, "batch_size": 100}
    rung = {"name": "short", "processor_seconds": 240, "step_seconds": 0.8, "settings": settings}
    # 300 steps of 10 an epoch.
    assert ladder.settings_of(rung, tmp_path, full=False)["epochs"] == 30


@pytest.fixture
def judged(tmp_path):
    """Leave the histories of a rung and of its control, of two seeds each; the second seed of a third is not judged."""
    accuracies = {"plain-0": 0.5, "turned-0": 0.54, "more-0": 0.6, "plain-1": 0.6, "turned-1": 0.62, "more-1": None}
    rungs = []
    for name, accuracy in accuracies.items():
        recipe, seed = name.split("-")
        settings = {"seed": int(seed)} | ({"start_from": f"rung:plain-{seed}"} if recipe == "more" else {})
        rungs.append({"name": name, "recipe": recipe, "control": "plain", "why": f"{recipe}.", "settings": settings})
        (tmp_path / name).mkdir()
        row = {"epoch": 1, "seconds": 1800} | (
            {"feature_accuracy": accuracy, "feature_images": 100} if accuracy else {}
        )
        (tmp_path / name / "history.json").write_text(json.dumps([row]), encoding="utf-8")
    return rungs


def test_rungs_are_compared_with_their_control_seed_by_seed(ladder, judged, tmp_path):
    metrics = ladder.compare(judged, tmp_path)
    assert metrics["plain"].value == pytest.approx(0.55)
    # Gains of 4 and 2 points: 3, and 12.7 standard errors of 1 either way.
    gain = metrics["turned_gain"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.03, 0.03 - 0.12706, 0.03 + 0.12706), abs=1e-4)
    assert (gain.n, gain.interval) == (2, "95 % Student's t over seeds")
    assert (metrics["more_gain"].value, metrics["more_gain"].n) == (pytest.approx(0.1), 1)
    assert metrics["more"].interval is None

    ladder.write_comparison(judged, tmp_path, Path("three.toml"))
    assert Result.load(tmp_path / "comparison").metrics["turned_gain"] == gain


def test_hours_count_from_the_beginning_of_what_a_rung_starts_from(ladder, judged, tmp_path, monkeypatch):
    drawn = {}

    def curve(series, **_):
        drawn.update(series)
        return Figure()

    monkeypatch.setattr(ladder.figures, "curve", curve)
    ladder.write_page(tmp_path, judged)
    assert {name: line.x for name, line in drawn.items() if name.endswith("0")} == {
        **{"plain-0": [0.5], "turned-0": [0.5], "more-0": [1.0]}
    }
    assert "Means over seeds" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_two_rungs_are_climbed_once_and_the_page_shows_both(ladder, tmp_path):
    small = {"dataset": "digits", "images": 128, "probe_every": 1, "probe_images": 50, "precision": "float32"}
    first = {**small, "epochs": 1, "parameters": {"width": 2, "z_size": 4}}
    second = {**first, "start_from": "rung:first"}
    rungs = [
        {"name": "first", "preset": "svhn", "why": "it is <short>", "settings": first},
        {"name": "second", "preset": "svhn", "why": "it goes on", "settings": second},
    ]
    ladder.climb(rungs, tmp_path, device="cpu")
    weights = (tmp_path / "second" / "model.safetensors").read_bytes()
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "it is &lt;short&gt;" in page
    assert page.count("1 epochs") == 2
    assert "data:image/png" in page
    history = json.loads((tmp_path / "second" / "history.json").read_text(encoding="utf-8"))
    assert 0 <= history[-1]["feature_accuracy"] <= 1

    ladder.climb(rungs, tmp_path, device="cpu")
    assert (tmp_path / "second" / "model.safetensors").read_bytes() == weights


def test_stopped_in_its_second_rung_it_goes_on_in_another_place_to_the_same_bits(ladder, tmp_path, monkeypatch, capsys):
    path = tmp_path / "two.toml"
    text = """
        [settings]
        dataset = "digits"
        images = 256
        batch_size = 8
        epochs = 1
        probe_every = 1
        probe_images = 50
        precision = "float32"
        parameters = {width = 2, z_size = 4}
        [[rung]]
        name = "first"
        preset = "svhn"
        why = "begins"
        [rung.settings]
        [[rung]]
        name = "second"
        preset = "svhn"
        why = "goes on"
        [rung.settings]
        start_from = "rung:first"
    """
    path.write_text(text, encoding="utf-8")

    def climb(folder):
        ladder.main(["--ladder", str(path), "--out", str(tmp_path / folder), "--device", "cpu"])
        return [load_checkpoint(tmp_path / folder / name).sha256() for name in ("first", "second")]

    whole = climb("whole")

    def stop(page, at):
        if page._name == "second" and at.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    # While the last interval of the first is measured: what is done is not begun again.
    with monkeypatch.context() as stopping:
        stopping.setattr(ladder._Page, "interval", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit) as stopped:
            climb("here")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "Stopped after first; the same command goes on.\n"
    assert not (tmp_path / "here" / "second").exists()

    with monkeypatch.context() as stopping:
        stopping.setattr(ladder._Page, "steps", stop)
        with pytest.raises(SystemExit) as stopped:
            climb("here")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "Stopped after step 10 of 32; the same command goes on.\n"
    (tmp_path / "here").rename(tmp_path / "there")

    assert climb("there") == whole
    history = json.loads((tmp_path / "there" / "second" / "history.json").read_text(encoding="utf-8"))
    assert [row["step"] for row in history] == [32]
