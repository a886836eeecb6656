from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.svm import L2SVM


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([L2SVM()])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def liblinear(features, labels, c, weight=None, **options):
    machine = LinearSVC(C=c, tol=1e-10, max_iter=100_000, dual=len(features) < features.shape[1], **options)
    return machine.fit(np.asarray(features, np.float64), labels, sample_weight=weight)


@pytest.mark.parametrize(
    ("rows", "columns", "classes", "solver"),
    [
        (600, 100, 4, "primal"),
        (700, 400, 4, "primal"),
        (700, 400, 2, "primal"),
        (700, 400, 3, "dual"),
        (300, 500, 4, "dual"),
        (150, 500, 2, "dual"),
        (300, 500, 4, "primal"),
    ],
)
@pytest.mark.parametrize("c", [1e-4, 1e-2])
def test_reaches_the_optimum_of_liblinear(make_features, liblinear_objective, rows, columns, classes, solver, c):
    features, labels = make_features(rows + 200, columns, classes)
    train, test, known = features[:rows], features[rows:], labels[:rows]
    theirs = liblinear(train, known, c)
    ours = L2SVM(C=c, solver=solver).fit(train, known)
    best = liblinear_objective(theirs.coef_, theirs.intercept_, train, known, theirs.classes_, c)
    reached = liblinear_objective(ours.coef_, ours.intercept_, train, known, ours.classes_, c)
    assert np.all(reached <= best * (1 + 5e-5))
    np.testing.assert_allclose(ours.objective_, reached, rtol=1e-5)
    assert ours.coef_.shape == theirs.coef_.shape
    assert (ours.predict(test) == theirs.predict(test)).mean() >= 0.99


@pytest.mark.parametrize("solver", ["primal", "dual"])
def test_rounded_features_give_the_optimum_for_the_rounded_values(make_features, liblinear_objective, solver):
    features, labels = make_features(900, 500, 5)
    stored = torch.from_numpy(features).bfloat16()
    rounded = stored.float().numpy()
    theirs = liblinear(rounded, labels, 1e-3)
    ours = L2SVM(C=1e-3, solver=solver).fit(stored, labels)
    best = liblinear_objective(theirs.coef_, theirs.intercept_, rounded, labels, theirs.classes_, 1e-3)
    reached = liblinear_objective(ours.coef_, ours.intercept_, rounded, labels, ours.classes_, 1e-3)
    assert np.all(reached <= best * (1 + 5e-5))
    assert (ours.predict(stored) == theirs.predict(rounded)).mean() >= 0.99


def test_float16_features_are_solved_too(make_features):
    features, labels = make_features(500, 300, 3)
    stored = torch.from_numpy(features).half()
    exact = L2SVM(C=1e-3).fit(stored.float(), labels)
    np.testing.assert_allclose(L2SVM(C=1e-3).fit(stored, labels).objective_, exact.objective_, rtol=5e-5)


@pytest.mark.parametrize("intercept", [{"fit_intercept": False}, {"intercept_scaling": 10.0}])
def test_intercept_settings_mean_the_same_as_in_scikit_learn(make_features, intercept):
    features, labels = make_features(300, 20, 3)
    theirs = liblinear(features, labels, 1e-2, **intercept)
    ours = L2SVM(C=1e-2, **intercept).fit(features.astype(np.float64), labels)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-4)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=2e-4)


@pytest.mark.parametrize("columns", [30, 400])
def test_a_weight_equals_as_many_repeated_rows(make_features, columns):
    features, labels = make_features(500, columns, 3)
    weight = np.random.default_rng(1).integers(0, 4, size=500)
    weighted = L2SVM(C=1e-2, solver="primal").fit(features, labels, sample_weight=weight)
    repeated = L2SVM(C=1e-2, solver="primal").fit(np.repeat(features, weight, axis=0), np.repeat(labels, weight))
    np.testing.assert_allclose(weighted.objective_, repeated.objective_, rtol=5e-5)


def test_one_problem_by_hand():
    # One feature, no intercept, points -1 and 1: w^2 / 2 + 2 C (1 - w)^2 is least at 4C / (1 + 4C).
    machine = L2SVM(C=0.25, fit_intercept=False).fit(np.array([[-1.0], [1.0]]), ["no", "yes"])
    np.testing.assert_allclose(machine.coef_, [[0.5]], rtol=1e-12)
    np.testing.assert_allclose(machine.objective_, [0.25], rtol=1e-12)
    assert machine.predict(np.array([[-3.0], [2.0]])).tolist() == ["no", "yes"]


def test_chunks_give_the_same_as_the_whole(make_features, counted):
    features, labels = make_features(700, 400, 3)
    stored = torch.from_numpy(features).bfloat16()
    whole = L2SVM(C=1e-3).fit(stored, labels)
    source = counted(stored, 64)
    chunked = L2SVM(C=1e-3).fit(source, labels)
    np.testing.assert_allclose(chunked.objective_, whole.objective_, rtol=2e-5)
    assert (chunked.predict(source) == whole.predict(stored)).mean() >= 0.995


def test_a_store_is_never_read_as_a_whole(counted, monkeypatch):
    # Larger than what is refined in float64.
    monkeypatch.setattr("dcgan_analysis.linear.newton._REFINED_BYTES", 0)
    generator = torch.Generator().manual_seed(0)
    stored = (torch.rand(3000, 9000, generator=generator) + 0.5).bfloat16()
    source = counted(stored, 500)
    labels = torch.arange(3000) % 2
    with pytest.warns(ConvergenceWarning, match="relative error"):
        machine = L2SVM(C=1e-4, solver="primal", max_iter=2).fit(source, labels)
    machine.predict(source)
    assert source.reads
    assert max(stop - start for start, stop in source.reads) <= 1024


def test_a_fit_that_is_cut_short_says_so(make_features):
    features, labels = make_features(700, 400, 3)
    with pytest.warns(ConvergenceWarning, match="raise max_iter or lower C"):
        L2SVM(C=1.0, max_iter=3).fit(features, labels)


@pytest.mark.parametrize("stored", [np.asarray, torch.from_numpy])
def test_nan_is_refused_with_its_place(make_features, stored):
    features, labels = make_features(300, 400, 3)
    features[211, 5] = np.nan
    with pytest.raises(AnalysisError, match="NaN at row 211, column 5"):
        L2SVM().fit(stored(features), labels)


def test_unfit_settings_are_named(make_features):
    features, labels = make_features(50, 10, 2)
    with pytest.raises(AnalysisError, match="C is -1"):
        L2SVM(C=-1).fit(features, labels)
    with pytest.raises(AnalysisError, match="solver is 'newton'"):
        L2SVM(solver="newton").fit(features, labels)
    with pytest.raises(AnalysisError, match="intercept_scaling is 0"):
        L2SVM(intercept_scaling=0).fit(features, labels)
    with pytest.raises(AnalysisError, match="at least 2 classes"):
        L2SVM().fit(features, np.zeros(50))
    machine = L2SVM().fit(torch.from_numpy(features), labels)
    with pytest.raises(AnalysisError, match="11 columns"):
        machine.predict(torch.zeros(3, 11))


def test_progress_is_told(make_features):
    features, labels = make_features(700, 400, 3)
    lines = []
    L2SVM(C=1e-3, progress=lines.append).fit(features, labels)
    assert lines
    assert lines[0].startswith("L2-SVM step 1: 3 problems left")
