from __future__ import annotations

import pytest
from dcgan_analysis_plugins.label_curve import LabelCurve

from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.testing import check_analysis

BARE = {"C": (1e-3, 1e-2), "protocol": "paper", "twin": False, "choosing_draws": 2, "draws": 3}


def test_label_curve_keeps_the_contract(dcgan_context):
    result = check_analysis(LabelCurve(), dcgan_context, {**BARE, "labels": (4, 1), "twin": True})
    assert list(result.metrics) == ["accuracy_4", "accuracy_1", "twin_accuracy_4", "twin_accuracy_1"]
    assert result.headline == "accuracy_4"
    curve = next(table for table in result.tables if table.name == "labels-curve")
    assert [row[0] for row in curve.rows] == [1, 4]
    assert [result.metrics[name].n for name in ("accuracy_1", "twin_accuracy_4")] == [3, 3]


def test_a_point_of_the_curve_is_what_svm_svhn_finds_with_as_many_labels(run, make_images):
    svm_svhn = pytest.importorskip("dcgan_analysis_plugins.svm_svhn")
    dataset = make_images()
    curve = run(LabelCurve(), dataset, labels=(2, 6), **BARE).metrics
    for labels in (2, 6):
        alone = run(svm_svhn.SvmSvhn(), dataset, labels_per_class=labels, **BARE).metrics["test_error"]
        assert curve[f"accuracy_{labels}"].value == pytest.approx(1 - alone.value)
        assert curve[f"accuracy_{labels}"].low == pytest.approx(1 - alone.high)


def test_more_labels_are_better(run, make_images):
    metrics = run(LabelCurve(), make_images(), labels=(1, 8), **BARE).metrics
    assert metrics["accuracy_8"].value > metrics["accuracy_1"].value


def test_left_open_the_numbers_are_those_that_half_of_each_class_can_give(run, make_images):
    assert list(run(LabelCurve(), make_images(), **BARE).metrics) == ["accuracy_4", "accuracy_1"]


def test_predictions_of_the_largest_number_are_saved(run, make_images, saved):
    result = run(LabelCurve(), make_images(), labels=(2, 4), **BARE)
    draws = saved(result, "draws")
    assert (draws["learned features"] == draws["labels"]).mean() == pytest.approx(result.metrics["accuracy_4"].value)


def test_more_labels_than_a_class_has_are_refused_with_its_name(run, make_images):
    with pytest.raises(DatasetError, match=r"Class 'disc' has 10 images, 11 per class were asked for"):
        run(LabelCurve(), make_images(), labels=(4, 11), **BARE)


def test_a_class_without_images_is_refused_with_its_name(run, lonely_class):
    with pytest.raises(AnalysisError, match=r"Class 'nowhere' has 0 training images .* a curve needs 2"):
        run(LabelCurve(), lonely_class, **BARE)
