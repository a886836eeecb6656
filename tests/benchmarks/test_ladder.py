"""The ladder of trainings: short rungs on embedded data, stopped and begun again."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

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
