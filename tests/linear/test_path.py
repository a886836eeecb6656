from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.path import l2svm_path, predict_classes
from dcgan_analysis.linear.svm import L2SVM

GRID = [1e-4, 1e-3, 1e-2]


@pytest.mark.parametrize(("rows", "columns"), [(800, 400), (300, 500), (800, 50)])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_a_path_equals_separate_fits(make_features, rows, columns, stored):
    features, labels = make_features(rows, columns, 4)
    matrix = torch.from_numpy(features).to(stored)
    path = l2svm_path(matrix, labels, GRID)
    assert path.coef.shape == (3, 4, columns)
    assert path.scores.shape == (3, 4, rows)
    for index, c in enumerate(GRID):
        alone = L2SVM(C=c).fit(matrix, labels)
        np.testing.assert_allclose(path.objective[index], alone.objective_, rtol=5e-5)
        assert (path.predict()[index] == alone.predict(matrix)).mean() >= 0.99


@pytest.mark.parametrize(("rows", "columns"), [(800, 400), (300, 500), (800, 50)])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_held_out_rows_are_scored_but_not_learnt(make_features, rows, columns, stored):
    features, labels = make_features(rows, columns, 4)
    matrix = torch.from_numpy(features).to(stored)
    held_out = np.arange(rows) % 4 == 0
    path = l2svm_path(matrix, labels, GRID, sample_weight=~held_out)
    alone = l2svm_path(matrix[~held_out], labels[~held_out], GRID)
    np.testing.assert_allclose(path.objective, alone.objective, rtol=5e-5)
    expected = path.coef @ matrix.float().numpy().T + path.intercept[..., None]
    np.testing.assert_allclose(path.scores, expected, atol=2e-3)


def test_labels_of_held_out_rows_may_be_unknown(make_features):
    features, labels = make_features(200, 20, 3)
    labels[:50] = 99
    path = l2svm_path(features, labels, [1e-2], sample_weight=np.arange(200) >= 50)
    assert path.classes.tolist() == [0, 1, 2]


def test_the_primal_equals_the_dual(make_features):
    features, labels = make_features(400, 600, 3)
    primal = l2svm_path(features, labels, GRID, solver="primal")
    dual = l2svm_path(features, labels, GRID, solver="dual")
    np.testing.assert_allclose(primal.objective, dual.objective, rtol=5e-5)


def test_a_path_tells_its_grid_its_passes_and_the_gap_of_its_gradient(make_features):
    features, labels = make_features(60, 8, 2)
    path = l2svm_path(features.astype(np.float64), labels, [1, 2], tol=1e-2)
    assert path.cs.tolist() == [1.0, 2.0]
    assert path.cs.dtype == np.float64
    assert path.passes > 0
    rows, signs = np.c_[features, np.ones(60)], np.where(labels == path.classes[1], 1, -1)
    for number, c in enumerate(path.cs):
        w = np.r_[path.coef[number, 0], path.intercept[number]]
        slack = np.maximum(0, 1 - signs * (rows @ w))
        gradient = w - 2 * c * (slack * signs) @ rows
        objective = w @ w / 2 + c * (slack**2).sum()
        assert path.gap[number, 0] == pytest.approx(gradient @ gradient / 2 / objective, rel=0.05, abs=1e-9)


def test_a_decision_of_exactly_nought_is_the_first_class():
    assert predict_classes(np.array([[-1.0, 0.0, 1.0]]), np.array(["a", "b"])).tolist() == ["a", "a", "b"]


def test_a_solver_that_does_not_exist_is_refused(make_features):
    features, labels = make_features(20, 4, 2)
    with pytest.raises(AnalysisError, match=r"^solver is 'newton'; it must be one of auto, primal, dual\.$"):
        l2svm_path(features, labels, [1.0], solver="newton")


def test_rows_that_repeat_do_not_break_the_gram_matrix(make_features):
    features, labels = make_features(150, 900, 3)
    once = l2svm_path(features, labels, [2e-3], solver="dual")
    twice = l2svm_path(np.tile(features, (2, 1)), np.tile(labels, 2), [1e-3], solver="dual")
    np.testing.assert_allclose(once.objective, twice.objective, rtol=5e-5)


def test_the_duality_gap_bounds_the_error(make_features):
    features, labels = make_features(800, 400, 3)
    rough = l2svm_path(features, labels, GRID, tol=1e-3)
    best = l2svm_path(features.astype(np.float64), labels, GRID, tol=1e-9, max_iter=5000)
    error = rough.objective / best.objective - 1
    assert np.all(error <= rough.gap + 1e-6)
    assert np.all(error <= 3e-3)


@pytest.mark.parametrize("cs", [[], [1.0, 0.0], [float("nan")]])
def test_an_unfit_grid_is_refused(make_features, cs):
    features, labels = make_features(50, 10, 2)
    with pytest.raises(AnalysisError, match="each C must be a number > 0"):
        l2svm_path(features, labels, cs)


def test_unfit_weights_and_labels_are_refused(make_features):
    features, labels = make_features(50, 10, 2)
    with pytest.raises(AnalysisError, match="finite number >= 0"):
        l2svm_path(features, labels, [1.0], sample_weight=-np.ones(50))
    with pytest.raises(AnalysisError, match="one per row"):
        l2svm_path(features, labels[:20], [1.0])
    with pytest.raises(AnalysisError, match="at least 2 classes"):
        l2svm_path(features, np.zeros(50), [1.0])
