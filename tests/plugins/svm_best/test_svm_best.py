from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.svm_best.analysis import SvmBest

from dcgan_analysis import linear
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.testing import check_analysis, make_dataset

SHORT = {"C": (1e-3, 1e-2), "best_C": (1e-4, 1e-3), "grids": (2,), "layers": False}


def steps(result):
    table = next(table for table in result.tables if table.name == "steps")
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def short(run_once):
    return run_once(SvmBest(), make_dataset(), **SHORT)


def test_svm_best_keeps_the_contract(dcgan_context):
    settings = {"C": (1e-3,), "best_C": (1e-3,), "grids": (2,), "mirror": False}
    result = check_analysis(SvmBest(), dcgan_context, settings)
    assert list(result.metrics) == ["accuracy", "paper_accuracy", "gain"]
    assert any(name.startswith("without ") for name in steps(result))


def test_the_paper_preset_is_that_of_svm_cifar(short, run_once, saved):
    svm_cifar = pytest.importorskip("dcgan_analysis_plugins.svm_cifar.analysis")
    cifar = run_once(
        svm_cifar.SvmCifar(), make_dataset(), C=(1e-3, 1e-2), labels_per_class=0, twin=False, ablation=False
    )
    assert short.metrics["paper_accuracy"].value == cifar.metrics["accuracy"].value
    ours, theirs = saved(short, "predictions"), saved(cifar, "predictions")
    assert ours["paper"].tolist() == theirs["learned features"].tolist()


def test_the_gain_is_that_of_the_saved_predictions(short, saved):
    arrays = saved(short, "predictions")
    right = {name: float((arrays[name] == arrays["labels"]).mean()) for name in ("best", "paper")}
    assert short.metrics["gain"].value == pytest.approx(right["best"] - right["paper"])
    assert short.metrics["gain"].low <= short.metrics["gain"].value <= short.metrics["gain"].high


def test_only_steps_that_help_are_kept(short):
    for step in list(steps(short).values())[1:]:
        assert step["kept"] == (step["gain"] > 0)
        assert (step["best without it"] is not None) == step["kept"]


def test_where_no_step_helps_the_best_is_the_paper_preset_fitted_once_and_that_is_said(run, make_images, monkeypatch):
    fits = []
    fit = linear.L2SVM.fit
    monkeypatch.setattr(linear.L2SVM, "fit", lambda self, *data: fits.append(1) or fit(self, *data))
    none = {"root": False, "standardise": False, "mirror": False, "grids": (), "layers": False}
    result = run(SvmBest(), make_images(), C=(1e-3,), **none)
    assert result.metrics["gain"].value == 0
    assert any("'best' is 'paper' here" in note for note in result.notes)
    assert len(fits) == 1


def test_test_images_take_no_part_in_any_choice(short, run_once, shuffle_test_labels, saved):
    images = make_dataset()
    shuffled = run_once(SvmBest(), shuffle_test_labels(images), **SHORT)
    assert steps(short) == steps(shuffled)
    assert saved(short, "predictions")["best"].tolist() == saved(shuffled, "predictions")["best"].tolist()
    test = images.split("test")
    blank = DatasetSplit(np.zeros_like(test.images), test.labels, test.ids, classes=test.classes)
    other = run_once(SvmBest(), Dataset.from_splits("shapes", {"train": images.split("train"), "test": blank}), **SHORT)
    assert steps(other) == steps(short)


def test_the_scaler_sees_no_held_out_row_while_choosing_and_no_test_row_ever(run, make_images, monkeypatch):
    seen = []
    real = linear.learn_standardisation

    def watched(rows, used=None):
        seen.append((rows.shape[0], rows.shape[0] if used is None else int(used.sum())))
        return real(rows, used=used)

    monkeypatch.setattr(linear, "learn_standardisation", watched, raising=False)
    images = make_images()
    result = run(SvmBest(), images, **{**SHORT, "root": False, "mirror": False})
    n, held = len(images.split("train")), round(0.2 * len(images.split("train")))
    assert {rows for rows, _ in seen} == {n}
    assert seen[0] == (n, n - held)
    # Only the refit of a preset that kept the step learns from all training rows.
    assert [used for _, used in seen].count(n) == int(steps(result)["standardised"]["kept"])
