"""Runs of built-in analyses on datasets and networks small enough for a test."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import dcgan_analysis as da
from dcgan_analysis import figures
from dcgan_analysis.annotations import Box, Boxes
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.models.architecture import Architecture
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


SIDE = 16


class Maps(nn.Module):
    """Four maps that latent vectors place: a square, stripes, brightness, the lower half."""

    def forward(self, z):
        y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        corner = corners(z)
        down, right = y - corner[:, 0, None, None], x - corner[:, 1, None, None]
        square = ((down >= 0) & (down < 4) & (right >= 0) & (right < 4)).float()
        stripes = (x % 4 < 2) * (z[:, 2, None, None] > 0)
        plain = torch.ones(SIDE, SIDE) * (1 + z[:, 3, None, None])
        lower = (y > 7) * (1 + z[:, 2, None, None])
        return torch.stack([stripes.float(), square, plain, lower], dim=1)


class Square(nn.Module):
    def __init__(self):
        super().__init__()
        self.maps = Maps()
        self.mix = nn.Parameter(torch.tensor([0.2, 1.2, 0.1, 0.2]))

    def forward(self, z):
        return (torch.einsum("nchw,c->nhw", self.maps(z), self.mix) - 1)[:, None].clamp(-1, 1)


class Edges(nn.Module):
    """A discriminator of random weights."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 5, padding=2)
        self.score = nn.Linear(16, 1)

    def forward(self, images):
        return self.score(self.conv(images).relu().mean((2, 3)))[:, 0]


def corners(z):
    return ((z[:, :2] + 1) / 2 * (SIDE - 4)).round()


@pytest.fixture
def squares():
    """A generator that draws a bright square where z says so, with one map; it has no layer table."""
    architecture = Architecture(
        "squares", {}, (1, SIDE, SIDE), (-1.0, 1.0), 4, ("conv",), lambda _: Square(), lambda _: Edges()
    )
    checkpoint = Checkpoint.random(architecture, seed=0, name="squares")
    weights = {"generator": Square().state_dict(), "discriminator": checkpoint.weights["discriminator"]}
    return Checkpoint("squares", architecture, weights, checkpoint.metadata)


@pytest.fixture
def square_boxes(squares, tmp_path):
    corner = corners(squares.latents(40, seed=5)).tolist()
    boxes = [Box(sample=number, box=(x, y, 4, 4)) for number, (y, x) in enumerate(corner)]
    path = tmp_path / "squares.json"
    Boxes(object="square", seed=5, n=40, boxes=boxes, checkpoint_sha256=squares.sha256("generator")).save(path)
    return path


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
