from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.guided_backprop.analysis import GuidedBackprop

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, UnknownNameError
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.testing import check_analysis

FAST = {"features": (0, 3), "top": 2, "measured": 3, "noise_draws": 1}


def test_guided_backprop_keeps_the_contract(dcgan_context, unrendered):
    result = check_analysis(GuidedBackprop(), dcgan_context, FAST | {"features": (2,)})
    assert result.headline == "concentration"
    assert {"twin_concentration", "stability_gain", "shift_stability", "margin_gain"} <= set(result.metrics)
    assert [figure.name for figure in result.figures] == ["features", "numbers"]


def test_strongest_images_and_their_order_are_saved(run, make_images, saved):
    result = run(GuidedBackprop(), make_images(), **FAST)
    arrays = saved(result, "responses")
    assert arrays["features"].tolist() == [0, 3, 1]
    assert arrays["ids"].shape == arrays["twin_ids"].shape == (3, 2)
    assert (np.diff(arrays["values"], axis=1) <= 0).all()
    assert arrays["concentration"].shape == (3, 2)
    assert result.metrics["concentration"].value == pytest.approx(np.nanmean(arrays["concentration"]))


def test_the_guided_rule_differs_from_the_plain_gradient_and_the_plain_gradient_from_nothing(run, make_images):
    guided = run(GuidedBackprop(), make_images(), **FAST).metrics
    plain = run(GuidedBackprop(), make_images(), method="saliency", **FAST).metrics
    assert plain["gradient_agreement"].value == pytest.approx(1)
    assert guided["gradient_agreement"].value < 0.9
    assert guided["concentration"].value != plain["concentration"].value
    # Which images respond most does not depend on how responses are attributed.
    assert guided["margin"].value == plain["margin"].value


@pytest.mark.parametrize("settings", [{"tap": "conv2"}, {"tap": "logit", "features": (0,)}, {"tap": "conv3.operation"}])
def test_any_tap_can_be_looked_at(run, make_images, settings):
    result = run(GuidedBackprop(), make_images(train=12), **(FAST | settings))
    assert f"on {settings['tap']} of" in result.title


def test_a_contribution_method_can_be_chosen(run, make_images):
    result = run(GuidedBackprop(), make_images(train=12), method="input-x-gradient", **FAST)
    assert "orange adds to the response" in result.figures[0].caption


def test_a_conditional_discriminator_gets_the_labels_of_the_images(run, make_images):
    split = make_images(train=12).split("train")
    gray = DatasetSplit(split.images[:, :1, 2:30, 2:30], split.labels, split.ids, classes=split.classes)
    network = Checkpoint.random(dcgan28_conditional(width=4, hidden=8, classes=3), seed=1, name="conditional")
    other = DatasetSplit(gray.images, (gray.labels + 1) % 3, gray.ids, classes=gray.classes)
    first, second = (
        run(GuidedBackprop(), Dataset.from_splits("gray", {"train": one}), checkpoint=network, **FAST).metrics
        for one in (gray, other)
    )
    assert first["margin"].value != second["margin"].value


def test_features_that_respond_to_nothing_are_left_out_and_that_is_said(run, make_images, network):
    weights = {
        role: {name: tensor.clone() for name, tensor in state.items()} for role, state in network.weights.items()
    }
    state = weights["discriminator"]
    state["conv6.norm.weight"][3], state["conv6.norm.bias"][3] = 0, -1
    dead = Checkpoint("dead", network.architecture, weights, network.metadata)
    result = run(GuidedBackprop(), make_images(train=12), checkpoint=dead, **FAST)
    assert result.metrics["concentration"].n == 2
    assert any("2 of 6 attributions are zero everywhere" in note for note in result.notes)
    state["conv6.norm.weight"].zero_()
    state["conv6.norm.bias"].fill_(-1)
    with pytest.raises(AnalysisError, match="No pixel gets any guided-backprop attribution from tap 'conv6'"):
        run(GuidedBackprop(), make_images(train=12), checkpoint=dead, **FAST)


def test_an_unknown_method_or_tap_or_feature_is_refused_in_one_line(run, make_images):
    with pytest.raises(UnknownNameError, match=r"'guided-backprob'\. Did you mean 'guided-backprop'"):
        run(GuidedBackprop(), make_images(), method="guided-backprob")
    with pytest.raises(UnknownNameError, match=r"Unknown tap 'conv7'\. Did you mean 'conv"):
        run(GuidedBackprop(), make_images(train=4), tap="conv7")
    with pytest.raises(AnalysisError, match="Tap 'conv6' has features 0 to 15, got 16"):
        run(GuidedBackprop(), make_images(train=4), features=(16,))
