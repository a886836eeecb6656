from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.max_activations.analysis import MaxActivations

from dcgan_analysis.data import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.testing import check_analysis

FAST = {"taps": ("conv2", "conv6"), "features": (0, 2), "top": 3, "counted": 6}


def test_max_activations_keeps_the_contract(dcgan_context):
    result = check_analysis(MaxActivations(), dcgan_context, FAST | {"features": (1,)})
    assert result.headline == "purity"
    assert [figure.name for figure in result.figures] == ["filters-conv2", "filters-conv6", "layers"]
    assert [row[0] for row in result.tables[0].rows] == ["conv2", "conv6"]


def test_the_numbers_are_those_of_the_saved_images(run, make_images, saved):
    dataset = make_images()
    result = run(MaxActivations(), dataset, **FAST)
    arrays, labels = saved(result, "responses"), dataset.split("train").labels
    for prefix in ("", "twin_"):
        images = arrays[f"{prefix}conv6_images"]
        assert images.shape == (16, 6)
        purity = [np.bincount(labels[row]).max() / 6 for row in images]
        assert result.metrics[f"{prefix}purity"].value == pytest.approx(np.mean(purity))


def test_all_layers_that_give_features_are_looked_at_by_default(run, make_images):
    result = run(MaxActivations(), make_images(train=10), features=(0,), top=2)
    assert [row[0] for row in result.tables[0].rows] == [f"conv{i}" for i in range(1, 7)]
    assert "of the 10 strongest" in result.tables[0].note


def test_images_without_labels_have_a_margin_and_no_purity(run, make_images):
    split = make_images().split("train")
    bare = DatasetSplit(split.images, None, split.ids)
    result = run(MaxActivations(), Dataset.from_splits("bare", {"train": bare}), **FAST)
    assert result.headline == "margin"
    assert set(result.metrics) == {"margin", "twin_margin", "margin_gain"}


def test_a_filter_that_a_layer_does_not_have_is_refused(run, make_images):
    with pytest.raises(AnalysisError, match="Tap 'conv2' has features 0 to 3, got 9"):
        run(MaxActivations(), make_images(train=6), **(FAST | {"features": (9,)}))
