"""The L2-SVM on matrices of every shape, rank and scale, against liblinear in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from dcgan_analysis.linear import L2SVM, fit_draws, l2svm_path


def objectives(coef, intercept, features, labels, c):
    """liblinear's objective of each class, in float64."""
    features, coef, intercept = (np.asarray(a, dtype=np.float64) for a in (features, coef, intercept))
    classes = np.unique(labels)
    positive = classes if len(classes) > 2 else classes[1:]
    values = []
    for w, b, own in zip(coef, intercept, positive, strict=True):
        sign = np.where(labels == own, 1, -1)
        loss = np.maximum(0, 1 - sign * (features @ w + b)) ** 2
        values.append(0.5 * (w @ w + b * b) + c * loss.sum())
    return np.array(values)


@st.composite
def problems(draw):
    """A matrix with its labels and C: any shape, rank, scale, with repeated rows and constant columns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(4, 40)), draw(st.integers(1, 60))
    rank = draw(st.integers(1, min(n, d)))
    features = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) / np.sqrt(rank)
    if draw(st.booleans()):
        features = features[rng.integers(0, max(1, n // 3), n)]
    if draw(st.booleans()):
        features[:, : max(1, d // 4)] = 1
    features *= 10.0 ** draw(st.integers(-6, 6))
    labels = np.arange(n) % draw(st.integers(2, 4))
    return features, labels, 10.0 ** draw(st.integers(-6, 6))


@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(problem=problems(), dtype=st.sampled_from([np.float32, np.float64]), solver=st.sampled_from(["auto", "dual"]))
def test_an_objective_is_liblinears_or_it_is_said_that_it_is_not(problem, dtype, solver):
    features, labels, c = problem
    features = features.astype(dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours = L2SVM(C=c, solver=solver).fit(features, labels)
        theirs = LinearSVC(C=c, tol=1e-10, max_iter=20_000, dual=True, random_state=0).fit(
            features.astype(np.float64), labels
        )
    said = any(issubclass(one.category, ConvergenceWarning) and "L2-SVM" in str(one.message) for one in caught)
    value = objectives(ours.coef_, ours.intercept_, features, labels, c)
    other = objectives(theirs.coef_, theirs.intercept_, features, labels, c)
    assert np.isfinite(value).all()
    assert said or (value <= other * (1 + 1e-4) + 1e-300).all()


def test_rows_that_are_each_there_five_times_are_fitted():
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(60, 500)).astype(np.float32) * 10, 5, 0)
    labels = np.repeat(rng.integers(0, 10, 60), 5)
    fitted = L2SVM(C=100).fit(features, labels)
    assert fitted.score(features, labels) == 1
    assert fitted.duality_gap_.max() < 1e-4


@pytest.mark.parametrize("c", [1, 100])
@pytest.mark.parametrize("solver", ["auto", "dual"])
def test_the_error_that_is_told_is_no_kinder_than_the_duality_gap(c, solver):
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(140, 80)).astype(np.float32), rng.integers(0, 3, 140)
    path = l2svm_path(features, labels, [c], solver=solver)
    assert (path.error >= 0.1 * np.minimum(path.gap, 1e-4)).all()
    assert (path.gap <= 1e-4).all()


def test_few_rows_of_little_rank_are_fitted_in_draws_too():
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(12, 300)).astype(np.float32) * 30, 3, 0)
    labels = np.repeat(np.arange(12) % 3, 3)
    fits = fit_draws(features, labels, [np.arange(36)], [1e-3, 1e3], evaluate=features)
    assert (fits.predictions[0, -1] == labels).all()
    assert fits.error.max() <= 1e-5


def test_the_solution_does_not_depend_on_which_way_was_taken():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 300, generator=generator)
    labels = torch.randint(0, 3, (200,), generator=generator).numpy()
    first, second = (l2svm_path(features, labels, [1e3], solver=solver) for solver in ("primal", "dual"))
    np.testing.assert_allclose(first.objective, second.objective, rtol=1e-4)
