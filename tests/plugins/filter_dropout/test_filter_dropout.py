from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.filter_dropout.analysis import FilterDropout
from dcgan_analysis_plugins.filter_dropout.forgetting import Shares, removed, weakest_and_strongest
from torch import nn

from dcgan_analysis.annotations import Box, Boxes
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.errors import AnalysisError, AnnotationError, ConfigError, UnknownNameError
from dcgan_analysis.models.architecture import Architecture
from dcgan_analysis.models.tables import dcgan28_conditional, mlp_conditional
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import check_analysis

SMALL = {"samples": 24, "draws": 3, "doses": 2}
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


def corners(z):
    return ((z[:, :2] + 1) / 2 * (SIDE - 4)).round()


@pytest.fixture
def squares():
    """A generator that draws a bright square where z says so, with one map; it has no layer table, no discriminator."""
    architecture = Architecture(
        "squares", {}, (1, SIDE, SIDE), (-1.0, 1.0), 4, (), lambda _: Square(), lambda _: Square()
    )
    checkpoint = Checkpoint.random(architecture, seed=0, name="squares")
    return Checkpoint("squares", architecture, {"generator": Square().state_dict()}, checkpoint.metadata)


@pytest.fixture
def square_boxes(squares, tmp_path):
    corner = corners(squares.latents(40, seed=5)).tolist()
    boxes = [Box(sample=number, box=(x, y, 4, 4)) for number, (y, x) in enumerate(corner)]
    path = tmp_path / "squares.json"
    Boxes(object="square", seed=5, n=40, boxes=boxes, checkpoint_sha256=squares.sha256()).save(path)
    return path


def test_the_map_that_draws_the_object_is_found_and_nothing_else_changes(run, squares, square_boxes):
    result = run(FilterDropout(), None, squares, boxes=str(square_boxes), layer="maps", **SMALL)
    metrics = {name: metric.value for name, metric in result.metrics.items()}
    with np.load(result.folder / "forgetting.npz") as saved:
        assert saved["dropped"][0] == 1
    assert metrics["probe_auc"] > 0.99
    assert metrics["object_removed"] > 0.9
    assert metrics["object_before"] == pytest.approx(16 / 256, abs=0.02)
    assert metrics["change_inside"] > 5 * metrics["change_outside"]
    assert metrics["object_removed_negative"] < 0.5
    assert metrics["maps_to_halve"] == 1


def test_filter_dropout_keeps_the_contract(dcgan_context, tmp_path):
    boxes = [Box(sample=number, box=(5 * number, 9, 8, 8)) for number in range(4)]
    Boxes(object="thing", n=12, boxes=boxes).save(tmp_path / "b.json")
    settings = {"boxes": str(tmp_path / "b.json"), "samples": 12, "draws": 2, "doses": 2}
    result = check_analysis(FilterDropout(), dcgan_context, settings)
    assert result.headline == "object_removed"
    assert {"probe_auc", "detector_auc", "object_removed_random", "change_outside"} <= result.metrics.keys()
    assert [figure.name for figure in result.figures] == ["dose", "new-samples", "replaced", "boxes"]


def test_a_conditional_generator_draws_the_class_that_the_boxes_are_of(run, tmp_path):
    fresh = Checkpoint.random(dcgan28_conditional(width=4, hidden=8, classes=3), seed=1)
    checkpoint = with_sample_statistics(fresh, batches=1)
    boxes = [Box(sample=number, box=(number, 9, 8, 8)) for number in range(12)]
    Boxes(object="thing", n=12, label=2, boxes=boxes).save(tmp_path / "b.json")
    result = run(FilterDropout(), None, checkpoint, boxes=str(tmp_path / "b.json"), detector="pixels", **SMALL)
    assert result.metrics["object_removed"].n == 24
    with pytest.raises(AnalysisError, match="classes 0 to 2"):
        run(FilterDropout(), None, checkpoint, boxes=str(tmp_path / "b.json"), label=3)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({}, AnnotationError, "No boxes lie beside"),
        ({"boxes": "rule:pink"}, AnnotationError, "Unknown rule 'pink'"),
        ({"boxes": "none.json"}, AnnotationError, "does not exist"),
        ({"boxes": "rule:green"}, AnalysisError, "at least two are needed"),
        ({"draws": 1}, ConfigError, "draws"),
    ],
)
def test_what_is_missing_is_said_in_one_line(run, settings, error, text):
    with pytest.raises(error, match=text):
        run(FilterDropout(), None, **settings)


def test_boxes_beside_the_checkpoint_are_found_and_must_be_its_own(network, tmp_path):
    network.save(tmp_path / "model.safetensors")
    for name in ("door", "window"):
        Boxes(object=name, n=9, checkpoint_sha256="0" * 64).save(tmp_path / f"boxes-{name}.json")

    def message(**settings):
        with pytest.raises(AnnotationError) as caught:
            run("filter-dropout", settings=settings, checkpoint=tmp_path, out=tmp_path / "run")
        return str(caught.value)

    assert "several objects" in message()
    assert "door, window" in message()
    assert "only of door, window" in message(object="lamp")
    assert "its samples are others" in message(object="door")


def test_a_generator_without_convolutions_says_which_layers_have_maps(run):
    checkpoint = Checkpoint.random(mlp_conditional(width=8), seed=0)
    with pytest.raises(AnalysisError, match="no two convolutional layers"):
        run(FilterDropout(), None, checkpoint)


def test_an_unknown_layer_is_named_as_a_layer_of_the_generator(run, tiny_checkpoint):
    with pytest.raises(
        UnknownNameError, match=r"^Unknown generator layer 'deconv9'\. Did you mean 'deconv.'\? Available: "
    ):
        run(FilterDropout(), None, tiny_checkpoint, layer="deconv9")


def test_removed_is_the_share_that_is_gone_and_more_than_before_is_negative():
    rng = np.random.default_rng(0)
    value, low, high = removed(np.array([0.2, 0.0, 0.6]), np.array([0.1, 0.1, 0.2]), rng)
    assert value == pytest.approx(0.5)
    assert low <= value <= high
    assert removed(np.array([0.1, 0.1]), np.array([0.3, 0.3]), rng)[0] == pytest.approx(-2)


def test_half_of_the_object_is_gone_at_the_first_dose_that_takes_half_on_average():
    half, none = np.array([0.1]), np.array([0.2])
    shares = Shares(np.array([0.2]), {"random": {4: [none, half], 8: [half, np.array([0.0])]}, "other": {4: [none]}})
    assert shares.maps_to_halve("random") == 8
    assert shares.maps_to_halve("other") is None


def test_maps_of_weight_zero_are_neither_for_nor_against():
    strongest, weakest = weakest_and_strongest(np.array([0.0, 1.0, -1.0, 0.0]))
    assert (strongest.tolist(), weakest.tolist()) == ([1], [2])
