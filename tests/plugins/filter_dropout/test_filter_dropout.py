from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.filter_dropout.analysis import FilterDropout
from dcgan_analysis_plugins.filter_dropout.forgetting import CHOSEN, Dropped, Shares, strongest_and_weakest

from dcgan_analysis.annotations import Box, Boxes, read_boxes
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.errors import AnalysisError, AnnotationError, ConfigError, UnknownNameError
from dcgan_analysis.models.tables import dcgan28_conditional, mlp_conditional
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import check_analysis
from dcgan_analysis.units.detector import make_detector, removed

SMALL = {"samples": 24, "draws": 3, "doses": 2}


def test_the_map_that_draws_the_object_is_found_and_nothing_else_changes(run, squares, square_boxes, saved):
    result = run(FilterDropout(), None, squares, boxes=str(square_boxes), layer="maps", detector="pixels", **SMALL)
    metrics = {name: metric.value for name, metric in result.metrics.items()}
    arrays = saved(result, "forgetting")
    assert arrays["dropped"][0] == 1
    # The file alone gives every number again, those of the controls as well.
    most, before = len(arrays["dropped"]), arrays["before"]
    assert removed(before, arrays[f"chosen_{most}"][0])[0] == metrics["object_removed"]
    random = [1 - one.sum() / before.sum() for one in arrays[f"random_{most}"]]
    control = result.metrics["object_removed_random"]
    assert (np.mean(random), min(random), max(random)) == pytest.approx((control.value, control.low, control.high))
    assert removed(before, arrays[f"bright_{most}"][0])[0] == metrics["object_removed_bright"]
    assert metrics["probe_auc"] > 0.99
    assert metrics["object_removed"] > 0.9
    assert metrics["object_before"] == pytest.approx(16 / 256, abs=0.05)
    assert metrics["change_inside"] > 5 * metrics["change_outside"]
    assert result.metrics["object_removed_random"].high < 0.3
    assert metrics["object_removed_bright"] < 0.3
    assert metrics["maps_to_halve"] == 1
    assert all(metric.low is not None and metric.n for name, metric in result.metrics.items() if name != "maps_dropped")


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
        run(FilterDropout(), None, tiny_checkpoint, layer="deconv9", boxes="rule:bright")


@pytest.mark.parametrize("kind", ["pixels", "discriminator"])
def test_the_detector_sees_neither_brightness_nor_contrast(squares, square_boxes, kind):
    """Of samples that were dimmed to 0.9, 0.7 and 0.5, 48, 98 and 100 % of windows counted as removed once."""
    images = squares.sample(40, seed=5)
    detector = make_detector(
        squares,
        images,
        None,
        [*read_boxes(square_boxes).by_sample().values()],
        kind=kind,
        judges=3,
        device=torch.device("cpu"),
        rng=np.random.default_rng(0),
    )
    new = squares.sample(64, seed=6)
    before = share(detector, new)
    assert 0.05 < before.mean() < 0.1
    for dim in (0.9, 0.7, 0.5):
        value, low, _ = removed(before, share(detector, (new + 1) * dim - 1))
        assert abs(value) < 0.02
        assert low < 0.02


def share(detector, images):
    return detector.seen(images, None).double().mean(dim=(2, 3)).T.numpy()


def curve(*left):
    doses = {dose: [Dropped(dose, 0.1, np.array([[share]]))] for dose, share in zip((4, 8, 12), left, strict=True)}
    return Shares(np.array([[0.2]]), {CHOSEN: doses})


def test_half_of_the_object_is_gone_between_two_doses():
    assert curve(0.15, 0.1, 0.0).maps_to_halve() == (4, 8)
    assert curve(0.1, 0.05, 0.0).maps_to_halve() == (0, 4)
    assert curve(0.2, 0.2, 0.15).maps_to_halve() is None


def test_doses_at_which_the_object_comes_back_are_marked():
    assert curve(0.15, 0.1, 0.0).falls() == []
    assert curve(0.1, 0.15, 0.0).falls() == [8]


def test_maps_of_weight_zero_are_neither_for_nor_against():
    strongest, weakest = strongest_and_weakest(np.array([0.0, 1.0, -1.0, 0.0]))
    assert (strongest.tolist(), weakest.tolist()) == ([1], [2])
