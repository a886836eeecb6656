from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sample_files import save_samples
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32


@pytest.fixture(scope="module")
def plain():
    return Checkpoint.random(dcgan32(width=2), seed=0, name="tiny")


@pytest.fixture(scope="module")
def conditional():
    return Checkpoint.random(dcgan28_conditional(width=2, hidden=8, image_size=8, z_size=5), seed=0, name="classes")


@pytest.mark.parametrize("name", ["samples.zip", "samples"])
def test_pictures_read_back_as_the_dataset_they_are(plain, tmp_path, name):
    dataset = da.load_dataset(save_samples(plain, tmp_path / name, 12, seed=3))

    split = dataset.split("train")
    low, high = plain.metadata.image_range
    expected = ((plain.sample(64, seed=3)[:12] - low) / (high - low) * 255).round().clamp(0, 255).byte().numpy()
    assert np.array_equal(split.images, expected)
    assert split.labels is None
    assert "samples 0 to 11 of seed 3 of the checkpoint tiny" in dataset.note


def test_the_same_samples_are_the_same_zip_at_any_time_of_day(plain, tmp_path, monkeypatch):
    written = []
    for year in (2001, 2031):
        monkeypatch.setattr(time, "localtime", lambda *_, year=year: time.gmtime((year - 1970) * 365 * 86400))
        written.append(save_samples(plain, tmp_path / f"{year}.zip", 2).read_bytes())
    assert written[0] == written[1]


def test_classes_of_a_conditional_generator_are_labels(conditional, tmp_path):
    turn = da.load_dataset(save_samples(conditional, tmp_path / "turn.zip", 23)).split("train")
    assert turn.labels.tolist() == [i % 10 for i in range(23)]
    one = np.load(save_samples(conditional, tmp_path / "one.npz", 5, label=7))
    assert one["labels"].tolist() == [7] * 5
    with pytest.raises(AnalysisError, match="has the classes 0 to 9"):
        save_samples(conditional, tmp_path / "none.npz", 5, label=10)


def test_a_sample_is_named_by_seed_and_number_whatever_else_is_drawn(plain, tmp_path):
    whole = np.load(save_samples(plain, tmp_path / "whole.npz", 150))
    part = np.load(save_samples(plain, tmp_path / "part.npz", 3, start=70))

    assert np.array_equal(part["images"], whole["images"][70:73])
    assert np.array_equal(part["z"], plain.latents(150, 0)[70:73].numpy())
    assert part["indices"].tolist() == [70, 71, 72]


def test_a_sheet_is_a_square_of_pictures_enlarged_without_smoothing(plain, tmp_path):
    with Image.open(save_samples(plain, tmp_path / "sheet.png", 7)) as sheet:
        assert sheet.size == (4 * (3 * 34 - 2), 4 * (3 * 34 - 2))
        first = np.asarray(sheet)[:128:4, :128:4]
    assert np.array_equal(first.transpose(2, 0, 1), np.load(save_samples(plain, tmp_path / "a.npz", 1))["images"][0])


def test_what_exists_is_not_written_over_and_unknown_endings_are_refused(plain, tmp_path):
    (tmp_path / "there.zip").write_text("precious")
    with pytest.raises(ConfigError, match=r"there\.zip' exists"):
        save_samples(plain, tmp_path / "there.zip", 4)
    with pytest.raises(ConfigError, match=r"'\.jpg' is none of the formats\. Give a name that ends in \.png"):
        save_samples(plain, tmp_path / "samples.jpg", 4)
    with pytest.raises(ConfigError, match="n must be at least 1 and start at least 0, got 0 and 0"):
        save_samples(plain, tmp_path / "samples.png", 0)
    with pytest.raises(AnalysisError, match=r"at most 10,000 samples, asked for 10,001"):
        save_samples(plain, tmp_path / "samples.png", 10_001)
    assert [path.name for path in tmp_path.iterdir()] == ["there.zip"]


def test_a_generator_that_fails_leaves_nothing(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_samples(plain, tmp_path / "samples", 4)
    assert not list(tmp_path.iterdir())
