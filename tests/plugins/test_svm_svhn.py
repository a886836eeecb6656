from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.svm_svhn import SvmSvhn

from dcgan_analysis.data import holdout, load_dataset
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.runs.library import import_weights
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import check_analysis

BARE = {"C": (1e-3,), "protocol": "paper", "twin": False, "choosing_draws": 1, "draws": 2}


def test_svm_svhn_keeps_the_contract(dcgan_context):
    settings = {"C": (1e-3, 1e-2), "protocol": "paper", "choosing_draws": 2, "draws": 3, "labels_curve": (2, 4)}
    result = check_analysis(SvmSvhn(), dcgan_context, settings)
    assert set(result.metrics) == {"test_error", "twin_test_error", "validation_error"}
    assert result.headline == "test_error"
    assert not any(metric.higher_is_better for metric in result.metrics.values())
    assert [result.metrics[name].n for name in ("test_error", "validation_error")] == [3, 2]
    assert all(" 4 labels per class" in metric.description for metric in result.metrics.values())


def test_the_test_error_is_that_of_the_saved_predictions(run, make_images, saved):
    result = run(SvmSvhn(), make_images(), **(BARE | {"twin": True}))
    draws = saved(result, "draws")
    for metric, who in (("test_error", "learned features"), ("twin_test_error", "random weights")):
        assert draws[who].shape == (2, 30)
        assert (draws[who] != draws["labels"]).mean() == pytest.approx(result.metrics[metric].value)


def test_predictions_do_not_depend_on_the_labels_of_the_test_images(run, make_images, shuffle_test_labels, saved):
    dataset = make_images()
    settings = BARE | {"C": (1e-4, 1e-2)}
    results = [run(SvmSvhn(), one, **settings) for one in (dataset, shuffle_test_labels(dataset))]
    first, second = (saved(result, "draws")["learned features"] for result in results)
    np.testing.assert_array_equal(first, second)
    assert results[0].metrics["validation_error"] == results[1].metrics["validation_error"]
    assert results[0].metrics["test_error"].value < results[1].metrics["test_error"].value


def test_at_most_half_of_a_small_dataset_is_held_out_and_that_is_said(run, make_images):
    notes = run(SvmSvhn(), make_images(), **BARE).notes
    assert "C was chosen on 30 training images (10,000 were asked for), held out from every draw." in notes
    notes = run(SvmSvhn(), make_images(), validation=9, **BARE).notes
    assert "C was chosen on 9 training images, held out from every draw." in notes


def test_the_curve_has_a_row_for_every_number_of_labels(run, make_images):
    result = run(SvmSvhn(), make_images(), labels_per_class=4, labels_curve=(8, 2, 4), **BARE)
    curve = next(table for table in result.tables if table.name == "labels-curve")
    assert [row[0] for row in curve.rows] == [2, 4, 8]
    at = curve.columns.index("learned features: test error")
    assert curve.rows[1][at] == result.metrics["test_error"].value
    assert "labels-curve" in [figure.name for figure in result.figures]


@pytest.mark.parametrize("settings", [{"labels_per_class": 11}, {"labels_curve": (4, 11)}])
def test_more_labels_than_a_class_has_are_refused_with_its_name(settings, run, make_images):
    with pytest.raises(DatasetError, match=r"Class 'disc' has 10 images, 11 per class were asked for"):
        run(SvmSvhn(), make_images(), **BARE, **settings)


def test_a_class_without_images_is_refused_with_its_name(run, lonely_class):
    with pytest.raises(DatasetError, match=r"Class 'nowhere' has 0 images"):
        run(SvmSvhn(), lonely_class, **BARE)


def test_a_run_without_checkpoint_says_how_to_give_one(run, make_images):
    with pytest.raises(AnalysisError, match=r"'svm-svhn' needs a checkpoint\. Give one;"):
        run(SvmSvhn(), make_images(), checkpoint=None)


def test_published_figures_stand_beside_whole_runs_with_100_labels_on_svhn_only(run, make_images):
    sizes = {"train": 600, "test": 30}
    whole = run(SvmSvhn(), make_images("svhn", **sizes), **BARE, labels_per_class=100)
    assert whole.metrics["test_error"].published == 0.2248
    assert whole.metrics["validation_error"].published is None
    assert whole.tables[0].name == "table-2"
    fewer = run(SvmSvhn(), make_images("svhn", **sizes), **BARE, labels_per_class=50)
    cut = run(SvmSvhn(), make_images("svhn", train=800, test=30), limit=600, **BARE, labels_per_class=50)
    other = run(SvmSvhn(), make_images("shapes", **sizes), **BARE, labels_per_class=100)
    assert cut.smoke
    for result in (fewer, cut, other):
        assert result.metrics["test_error"].published is None
        assert "table-2" not in [table.name for table in result.tables]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(900)
def test_the_authors_svhn_network_gives_their_error(data_root, tmp_path):
    weights = data_root.parent / "weights" / "authors-svhn"
    if not (weights.is_dir() and (data_root / "svhn.zip").is_file()):
        pytest.skip(f"weights/authors-svhn or svhn.zip are not beside {data_root}")
    # Half of the photos of the test split in place of the training split, which is four times as large.
    images = load_dataset("svhn", data_root=data_root, download=False).split("test")
    rest, held = holdout(len(images), 3_000, np.random.default_rng(0), labels=images.labels, groups=images.groups)
    result = run(
        "svm-svhn",
        checkpoint=import_weights(weights, out=tmp_path / "authors-svhn"),
        dataset=Dataset.from_splits("svhn", {"train": images.take(rest), "test": images.take(held)}),
        settings={"C": (2e-4, 5e-4, 1e-3), "protocol": "paper", "validation": 800, "labels_per_class": 100}
        | {"choosing_draws": 2, "draws": 5, "twin": False},
        out=tmp_path / "run",
        cache_dir=tmp_path / "cache",
    )
    assert result.dataset.splits["test"].n == 3_000
    # scikit-learn's LinearSVC on the same features, draws and C = 5e-4: 21.15 %. The paper's 22.48 % is of all images.
    assert result.metrics["test_error"].value == pytest.approx(0.2115, abs=0.005)
    assert result.metrics["test_error"].published == 0.2248
