from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.activation_maximization.analysis import ActivationMaximization

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.testing import check_analysis

FAST = {"taps": ("conv2", "conv5"), "features": (0, 2), "steps": 8}


def test_activation_maximization_keeps_the_contract(dcgan_context, unrendered):
    result = check_analysis(ActivationMaximization(), dcgan_context, FAST)
    assert result.headline == "activation_ratio"
    assert [row[0] for row in result.tables[0].rows] == ["conv2", "conv5"]
    assert result.metrics["activation_ratio"].n == 4


def test_more_steps_reach_a_stronger_response(run, make_images):
    def reached(steps):
        result = run(ActivationMaximization(), make_images(train=8), **(FAST | {"steps": steps, "rate": 0.1}))
        return np.array([row[3] for row in result.tables[1].rows])

    assert (reached(16) > reached(1)).all()


def test_images_found_depend_on_the_seed_alone(run, make_images, saved):
    first, second, other = (
        saved(run(ActivationMaximization(), make_images(train=8), seed=seed, **(FAST | {"steps": 3})), "images")
        for seed in (0, 0, 1)
    )
    assert first["conv5"].dtype == np.uint8
    assert first["conv5"].shape == (2, 3, 32, 32)
    assert all((first[name] == second[name]).all() for name in first)
    assert (first["conv5"] != other["conv5"]).any()


def test_the_unit_lies_in_the_middle_and_pixels_that_it_does_not_see_stay_near_gray(run, make_images, saved):
    settings = {"taps": ("conv2",), "features": (0,), "steps": 30, "l2": 0.0, "tv": 0.0, "start": 0.0}
    image = saved(run(ActivationMaximization(), make_images(train=8), **settings), "images")["conv2"][0].astype(int)
    changed = np.abs(image - 127.5).max(axis=0) > 1
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert rows.min() >= 14
    assert rows.max() <= 18
    assert columns.min() >= 14
    assert columns.max() <= 18


def test_a_conditional_discriminator_is_maximised_under_the_label_of_the_strongest_image(run, make_images):
    split = make_images(train=12).split("train")
    gray = DatasetSplit(split.images[:, :1, 2:30, 2:30], split.labels, split.ids, classes=split.classes)
    network = Checkpoint.random(dcgan28_conditional(width=4, hidden=8, classes=3), seed=1, name="conditional")
    dataset = Dataset.from_splits("gray", {"train": gray})
    result = run(ActivationMaximization(), dataset, checkpoint=network, features=(0, 1), steps=4)
    assert [row[0] for row in result.tables[0].rows] == ["conv1", "conv2"]


def test_a_filter_that_a_layer_does_not_have_is_refused(run, make_images):
    with pytest.raises(AnalysisError, match="Tap 'conv2' has features 0 to 3, got 4"):
        run(ActivationMaximization(), make_images(train=6), **(FAST | {"features": (4,)}))


def test_filters_that_respond_to_nothing_are_refused(run, make_images, network):
    weights = {
        role: {name: tensor.clone() for name, tensor in state.items()} for role, state in network.weights.items()
    }
    weights["discriminator"]["conv2.norm.weight"].zero_()
    weights["discriminator"]["conv2.norm.bias"].fill_(-1)
    dead = Checkpoint("dead", network.architecture, weights, network.metadata)
    with pytest.raises(AnalysisError, match="No filter of conv2 responds to the images of 'shapes'"):
        run(ActivationMaximization(), make_images(train=6), checkpoint=dead, taps=("conv2",), features=(0,), steps=1)
