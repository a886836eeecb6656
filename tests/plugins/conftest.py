"""Runs of built-in analyses on datasets and networks small enough for a test."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dcgan_analysis as da
from dcgan_analysis import figures
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.testing import make_dataset


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of the real datasets, or skip."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    root = Path(os.environ.get("DCGAN_ANALYSIS_DATA") or beside)
    if not root.is_dir():
        pytest.skip(f"real data not found: {root} (set DCGAN_ANALYSIS_DATA)")
    return root


@cache
def _network():
    # With statistics of its own: samples of fresh ones are nearly one image.
    return with_sample_statistics(Checkpoint.random(dcgan32(width=4), seed=7, name="tiny"), batches=1)


@pytest.fixture
def network():
    """A discriminator and generator of width 4: 896 features."""
    return _network()


def _save_blank(figure, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (1, 1)).save(path)


@pytest.fixture(autouse=True)
def rendered_once(monkeypatch):
    """A figure is rendered when it is first saved in a test, and not again when the analysis runs a second time."""
    save, seen = figures.save_png, set()

    def save_png(figure, path, **options):
        if path.name in seen:
            return _save_blank(figure, path)
        seen.add(path.name)
        return save(figure, path, **options)

    monkeypatch.setattr(figures, "save_png", save_png)


def _runs(folder, network):
    """Return a function that runs an analysis, each time into another folder; feature stores are shared."""
    folders = iter(range(100))

    def run(analysis, dataset, checkpoint=network, limit=None, seed=0, **settings):
        return da.run(
            analysis,
            settings=settings,
            checkpoint=checkpoint,
            dataset=dataset,
            out=folder / f"run-{next(folders)}",
            limit=limit,
            seed=seed,
            cache_dir=folder / "cache",
        )

    return run


@pytest.fixture
def run(tmp_path, network, unrendered):
    """Run an analysis on the tiny network and a dataset; feature stores are shared within the test.

    Figures are made but not rendered, which would take most of the time; the tests of the contract render them.
    """
    return _runs(tmp_path, network)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """The same for a result that several tests of a module read, and none changes."""
    run = _runs(tmp_path_factory.mktemp("once"), _network())

    def run_unrendered(analysis, dataset, **settings):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(figures, "save_png", _save_blank)
            return run(analysis, dataset, **settings)

    return run_unrendered


def _renamed(dataset, name):
    return Dataset.from_splits(name, {split: dataset.split(split) for split in dataset.split_names})


@pytest.fixture
def make_images():
    """Make discs and stripes, three classes, under any name."""

    def make(name="shapes", **sizes):
        return _renamed(make_dataset(**sizes), name)

    return make


@pytest.fixture
def shuffle_test_labels():
    """Return the same dataset with the labels of its test images in another order."""

    def shuffle(dataset):
        test = dataset.split("test")
        labels = np.random.default_rng(5).permutation(test.labels)
        assert (labels != test.labels).any()
        shuffled = DatasetSplit(test.images, labels, test.ids, classes=test.classes, source=test.source)
        return Dataset.from_splits(dataset.name, {"train": dataset.split("train"), "test": shuffled})

    return shuffle


@pytest.fixture
def lonely_class():
    """A dataset that names two classes and holds images of the first alone."""
    blank = np.zeros((20, 3, 32, 32), np.uint8)
    split = DatasetSplit(blank, np.zeros(20, np.int64), [f"{i}" for i in range(20)], classes=["here", "nowhere"])
    return Dataset.from_splits("lonely", {"train": split, "test": split})


@pytest.fixture
def saved():
    """Read an array file of a run."""

    def saved(result, name):
        with np.load(result.folder / f"{name}.npz", allow_pickle=False) as file:
            return dict(file)

    return saved
