from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dcgan_analysis_plugins.dissect.analysis import Dissect
from torch import nn
from torch.nn import functional as F

import dcgan_analysis as da
from dcgan_analysis.annotations import Box, Boxes
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.errors import AnalysisError, AnnotationError, UnknownNameError
from dcgan_analysis.models.tables import dcgan28_conditional, mlp_conditional
from dcgan_analysis.testing import check_analysis

SHORT = {"shuffles": 2, "draws": 2, "walks": 2, "steps": 2, "judges": 2}


def test_the_unit_that_draws_the_square_is_found_and_draws_it(run, squares, square_boxes, saved):
    settings = {"boxes": str(square_boxes), "detector": "pixels", "units": 1, "layer": "maps", "walks": 8}
    result = run(Dissect(), None, squares, **{**SHORT, **settings})
    value = {name: metric.value for name, metric in result.metrics.items()}

    assert saved(result, "units")["changed"].tolist() == [1]
    assert value["generator_iou"] > 0.5
    assert value["generator_iou"] > 4 * value["generator_iou_shuffled"]
    assert value["generator_iou"] > 2 * value["generator_iou_random"]
    assert value["generator_precision"] > 0.8  # a place of the grid may lie half in a box
    assert value["object_share"] == pytest.approx(16 / 256, abs=0.01)
    assert value["removed"] > 0.9
    assert result.metrics["removed_random"].high < 0.3
    # The square is of one shade: to paint it over is to take it away, to paint one is to put it in.
    assert value["removed_painted"] > 0.9
    assert value["inserted_painted"] > 0.4
    assert value["inserted"] > 0.4
    assert result.metrics["inserted_random"].high < 0.2
    # Pixels change within the place, and nowhere else.
    assert value["removal_change_inside"] > 20 * value["removal_change_outside"]
    assert value["insertion_change_inside"] > 20 * value["insertion_change_outside"]


class Lamp(nn.Module):
    """Four maps: the third lights the whole image where the first latent number is positive, the others draw dots."""

    def __init__(self):
        super().__init__()
        self.maps, self.mix = nn.ReLU(), nn.Parameter(torch.tensor([0.1, 0.1, 1.0, 0.1]))

    def forward(self, z):
        light = (z[:, :1] > 0).float().expand(-1, 64)
        dots = [(z[:, unit : unit + 64] > 1).float() for unit in (1, 2, 3)]
        maps = self.maps(torch.stack([dots[0], dots[1], light, dots[2]], dim=1).view(-1, 4, 8, 8))
        image = torch.einsum("nchw,c->nhw", maps, self.mix) - 0.6
        return F.interpolate(image[:, None].expand(-1, 3, -1, -1), scale_factor=4)


def test_the_unit_that_lights_whole_images_is_that_of_brightness(run, make_images, saved):
    lamp = da.wrap(generator=Lamp(), latent=80)
    settings = {"attribute": "brightness", "samples": 80, "classifier_steps": 2, "units": 1, "layer": "maps"}
    result = run(Dissect(), make_images(), lamp, **{**SHORT, **settings})
    value = {name: metric.value for name, metric in result.metrics.items()}

    assert saved(result, "units")["changed"].tolist() == [2]
    assert value["generator_iou"] > 0.9
    assert value["generator_precision"] > 0.99
    assert value["removed"] == value["inserted"] == 1
    assert result.metrics["removed_random"].high < 0.1
    assert result.metrics["inserted_random"].high < 0.1
    assert "removal_change_outside" not in value


def test_dissect_keeps_the_contract(dcgan_context, tmp_path):
    boxes = [Box(sample=number, box=(5 * number, 9, 8, 8)) for number in range(4)]
    Boxes(object="thing", n=12, boxes=boxes, done=list(range(8))).save(tmp_path / "b.json")
    result = check_analysis(Dissect(), dcgan_context, {**SHORT, "boxes": str(tmp_path / "b.json")})

    assert result.headline == "generator_iou"
    assert {"discriminator_iou", "removed_random", "inserted_random", "removal_change_outside"} <= result.metrics.keys()
    assert [figure.name for figure in result.figures] == [
        "layers",
        "units-generator",
        "units-discriminator",
        "removed",
        "inserted",
        "walks",
    ]


def test_a_generator_alone_is_dissected_by_the_pixels(run, squares, square_boxes):
    alone = replace(squares, weights={"generator": squares.weights["generator"]})
    metrics = run(Dissect(), None, alone, boxes=str(square_boxes), units=1, layer="maps", **SHORT).metrics

    assert metrics["generator_precision"].value > 0.8
    assert not any(name.startswith("discriminator") for name in metrics)


def test_a_conditional_generator_draws_the_class_that_the_boxes_are_of(run, tmp_path):
    fresh = Checkpoint.random(dcgan28_conditional(width=4, hidden=8, classes=3), seed=1)
    checkpoint = with_sample_statistics(fresh, batches=1)
    boxes = [Box(sample=number, box=(number, 9, 8, 8)) for number in range(12)]
    Boxes(object="thing", n=12, label=2, boxes=boxes).save(tmp_path / "b.json")
    result = run(Dissect(), None, checkpoint, boxes=str(tmp_path / "b.json"), detector="pixels", **SHORT)

    assert result.metrics["inserted"].n == 6
    assert "discriminator_iou" in result.metrics


def test_a_generator_without_maps_is_refused_first(run):
    with pytest.raises(AnalysisError, match="has no layer with maps"):
        run(Dissect(), None, Checkpoint.random(mlp_conditional(width=8), seed=0), boxes="rule:bright")


def test_what_is_missing_is_said_in_one_line(run, squares, square_boxes, make_images, tmp_path):
    with pytest.raises(AnnotationError, match="No boxes lie beside"):
        run(Dissect(), None)
    with pytest.raises(UnknownNameError, match="Unknown generator layer 'deconv9'"):
        run(Dissect(), None, layer="deconv9", boxes="rule:bright")
    with pytest.raises(AnalysisError, match="units=3: layer 'maps' has 4 units"):
        run(Dissect(), None, squares, boxes=str(square_boxes), layer="maps", units=3, **SHORT)
    with pytest.raises(UnknownNameError, match="Unknown attribute 'smile'"):
        run(Dissect(), make_images(), attribute="smile", **SHORT)
    boxes = [Box(sample=number, box=(1, 1, 4, 4)) for number in range(3)]
    Boxes(object="thing", n=12, boxes=boxes).save(tmp_path / "few.json")
    with pytest.raises(AnalysisError, match="on 3 samples; 4 are needed"):
        run(Dissect(), None, boxes=str(tmp_path / "few.json"), **SHORT)
