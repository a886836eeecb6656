from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, ConfigError, DatasetError, UnknownNameError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32, mlp_conditional
from dcgan_analysis.probing.study import LEARNED, TWIN
from dcgan_analysis.units.comparison import compared_metrics
from dcgan_analysis.units.filters import (
    FilterSettings,
    check_filters,
    find_responses,
    last_conv,
    open_images,
    settled_network,
    subjects,
)

SETTINGS = FilterSettings()


@pytest.fixture
def small(dcgan_context):
    """The context with a network of width 4."""
    return replace(dcgan_context, _checkpoint=Checkpoint.random(dcgan32(width=4), seed=7, name="small"))


@pytest.fixture
def conditional(dcgan_context):
    """A context with a conditional network of 28x28 gray images and three classes, and such images."""
    architecture = dcgan28_conditional(width=4, hidden=8, classes=3)
    split = dcgan_context.dataset.split("train")
    pixels = split.images[:, :1, 2:30, 2:30]
    gray = DatasetSplit(pixels, split.labels, split.ids, classes=split.classes, source="gray")
    dataset = Dataset.from_splits("gray", {"train": gray})
    return replace(
        dcgan_context, _checkpoint=Checkpoint.random(architecture, seed=1, name="conditional"), _dataset=dataset
    )


def test_statistics_are_those_of_feature_extraction(small):
    reference = small.split("train")
    network = settled_network(small, SETTINGS, "x", small.checkpoint, [])
    spec = FeatureSpec(taps=("conv6",), precision="float32")
    expected = small.extraction(spec, reference).features(reference.images[:5])
    images = open_images(small, SETTINGS, "train", 0)
    pooled = []
    with torch.no_grad():
        network.conv6.register_forward_hook(lambda _, __, output: pooled.append(output.flatten(1)))
        network(*images.arguments(slice(0, 5)))
    torch.testing.assert_close(pooled[0], expected, atol=1e-4, rtol=1e-3)


def test_running_statistics_stay_where_asked(small):
    network = settled_network(small, FilterSettings(batchnorm="running"), "x", small.checkpoint, [])
    other = small.checkpoint.discriminator()
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images), other(images), atol=1e-5, rtol=1e-4)


def test_the_twin_is_that_of_the_seed(small):
    found = subjects(small)
    assert list(found) == [LEARNED, TWIN]
    assert found[TWIN].sha256() == small.checkpoint.twin(small.seed).sha256()


def test_images_are_drawn_by_seed_and_all_kept_where_asked(small):
    few = open_images(small, SETTINGS, "train", 10)
    assert len(few) == 10
    assert few.split.ids == sorted(few.split.ids)
    assert few.split.ids == open_images(small, SETTINGS, "train", 10).split.ids
    assert few.split.ids != open_images(replace(small, seed=1), SETTINGS, "train", 10).split.ids
    assert "10 of 60 drawn by seed" in few.split.source
    assert len(open_images(small, SETTINGS, "train", 0)) == 60


def test_an_image_is_shown_as_the_network_sees_it(small):
    images = open_images(small, SETTINGS, "train", 0)
    np.testing.assert_array_equal(images.shown(3), small.split("train").images[3])


def test_a_conditional_network_gets_the_labels(conditional):
    images = open_images(conditional, SETTINGS, "train", 0)
    _, labels = images.arguments(np.array([4, 5]))
    assert labels.tolist() == [1, 2]
    network = settled_network(conditional, SETTINGS, "x", conditional.checkpoint, ["conv2"])
    found = find_responses(conditional, "x", network, ["conv2", "hidden"], images, 2)
    assert found["conv2"].map_size == (7, 7)
    assert found["hidden"].map_size == (1, 1)


@pytest.mark.parametrize("have", ["no labels", "4 classes"])
def test_a_conditional_network_refuses_images_without_its_labels(conditional, have):
    split = conditional.split("train")
    if have == "no labels":
        other = DatasetSplit(split.images, None, split.ids)
    else:
        other = DatasetSplit(split.images, split.labels, split.ids, classes=list("abcd"))
    context = replace(conditional, _dataset=Dataset.from_splits("other", {"train": other}), _splits={})
    with pytest.raises(AnalysisError, match=rf"conditioned on 3 classes; the images of 'other' .*{have}"):
        open_images(context, SETTINGS, "train", 0)


def test_images_of_another_shape_are_refused_or_resized(conditional, dcgan_context):
    context = replace(conditional, _dataset=dcgan_context.dataset, _splits={})
    with pytest.raises(DatasetError, match="3x32x32, checkpoint 'conditional' takes 1x28x28"):
        open_images(context, SETTINGS, "train", 0)
    assert open_images(context, FilterSettings(fit="resize"), "train", 0).shown(0).shape == (1, 28, 28)


def test_the_last_conv_layer_is_not_the_last_layer():
    for make, tap in ((dcgan32, "conv6"), (dcgan28_conditional, "conv2"), (mlp_conditional, "hidden2")):
        assert last_conv(Checkpoint.random(make(4), seed=0)) == tap


def test_taps_and_filters_that_are_not_there_are_refused(small):
    check_filters(small, ["conv1", "conv6"], [0, 3])
    with pytest.raises(AnalysisError, match="Tap 'conv1' has features 0 to 3, got 4"):
        check_filters(small, ["conv6", "conv1"], [0, 4])
    with pytest.raises(UnknownNameError, match="Unknown tap 'conv9'"):
        check_filters(small, ["conv9"], [0])


def test_a_filter_named_twice_is_refused():
    with pytest.raises(ConfigError, match="features: must name each filter once"):
        FilterSettings.build({"features": [1, 2, 1]})


def test_metrics_compare_the_network_with_its_twin(small):
    values = {LEARNED: np.array([[0.5], [0.7]]), TWIN: np.array([[0.1], [0.3]])}
    found = compared_metrics(small, "purity", values, "how pure", unit="fraction")
    assert [found[name].value for name in ("purity", "twin_purity", "purity_gain")] == pytest.approx([0.6, 0.2, 0.4])
    assert all(metric.n == 2 for metric in found.values())
    assert found["purity"].description == "learned features: how pure"


def test_a_number_that_a_side_does_not_have_is_no_metric(small):
    values = {LEARNED: np.array([[0.5]]), TWIN: np.array([[np.nan]])}
    assert compared_metrics(small, "purity", values, "how pure") == {}
