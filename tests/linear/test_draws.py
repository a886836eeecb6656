from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear import draws as dual
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.draws import fit_draws
from dcgan_analysis.linear.gram import gram, solve_gram
from dcgan_analysis.linear.path import as_problems
from dcgan_analysis.linear.rows import ArrayRows
from dcgan_analysis.linear.svm import L2SVM

GRID = [1e-4, 1e-2]


@pytest.fixture
def data(make_features):
    features, labels = make_features(900, 700, 3)
    rng = np.random.default_rng(0)
    draws = [rng.permutation(600)[:120] for _ in range(3)]
    return torch.from_numpy(features).bfloat16(), labels, draws


@pytest.mark.parametrize("budget", [1 << 29, 1])
def test_draws_equal_separate_fits(data, monkeypatch, budget):
    monkeypatch.setattr(dual, "_GROUP_BYTES", budget)
    stored, labels, draws = data
    fits = fit_draws(stored, labels, draws, GRID, stored[600:])
    assert fits.predictions.shape == (3, 2, 300)
    for number, draw in enumerate(draws):
        for place, c in enumerate(GRID):
            alone = L2SVM(C=c).fit(stored[draw], labels[draw])
            np.testing.assert_allclose(fits.objective[number, place], alone.objective_, rtol=5e-5)
            agree = fits.predictions[number, place] == alone.predict(stored[600:])
            assert agree.mean() >= 0.99


def test_the_source_is_read_once_for_many_draws(data, counted):
    stored, labels, draws = data
    source, target = counted(stored, 100), counted(stored[600:], 100)
    fit_draws(source, labels, draws, GRID, target)
    assert len(source.reads) == len(set(source.reads))
    assert len(target.reads) == len(set(target.reads))


def test_gram_matrices_kept_for_more_c_are_not_multiplied_again_and_change_nothing(data, monkeypatch):
    stored, labels, draws = data
    alone = fit_draws(stored, labels, draws, GRID[1:], stored[600:])
    products = {}
    fit_draws(stored, labels, draws, GRID[:1], stored[600:], products=products)
    assert sorted(products) == [0, 1, 2]
    monkeypatch.setattr(dual, "gram", None)
    again = fit_draws(stored, labels, draws, GRID[1:], stored[600:], products=products)
    np.testing.assert_array_equal(again.predictions, alone.predictions)
    np.testing.assert_array_equal(again.objective, alone.objective)


def test_no_more_gram_matrices_are_kept_than_the_memory_for_them_holds(data, monkeypatch):
    stored, labels, draws = data
    products = {}
    monkeypatch.setattr(dual, "_KEPT_BYTES", 120 * 120 * 4)
    fit_draws(stored, labels, draws, GRID[:1], stored[600:], products=products)
    assert len(products) == 1


def test_a_draw_without_a_class_is_named(data):
    stored, labels, draws = data
    draws[1] = draws[1][labels[draws[1]] != 2]
    with pytest.raises(AnalysisError, match="Draw 1 holds 2 of 3 classes"):
        fit_draws(stored, labels, draws, GRID, stored)


def test_no_draws_are_refused(data):
    with pytest.raises(AnalysisError, match="0 draws"):
        fit_draws(data[0], data[1], [], GRID, data[0])


def test_the_gram_matrix_is_as_accurate_in_bfloat16_as_in_float32():
    rng = np.random.default_rng(0)
    # A large common mean: one rounding of a sum near 700 to bfloat16 would be an error of 2.
    features = torch.from_numpy(rng.standard_normal((1500, 700)).astype(np.float32) + 1).bfloat16()
    exact = features.double() @ features.double().T + 4
    used = torch.arange(1500)
    for stored in (features, features.float()):
        found = gram(Design(ArrayRows(stored), 2.0, "cpu"), used)
        assert float((found - exact).abs().max()) < 2e-2
    some = used[::2].contiguous()
    found = gram(Design(ArrayRows(features), 2.0, "cpu"), some)
    assert float((found - exact[::2, ::2]).abs().max()) < 2e-2


def test_values_that_bfloat16_cannot_hold_are_multiplied_in_float32():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((40, 30)).astype(np.float32))
    found = gram(Design(ArrayRows(features), 0.0, "cpu"), torch.arange(40))
    torch.testing.assert_close(found, features @ features.T)


def test_a_grid_is_solved_through_the_gram_matrix_in_few_steps(make_features, liblinear_objective):
    features, labels = make_features(150, 700, 3)
    exact = [L2SVM(C=c, solver="primal", tol=1e-9).fit(features.astype(np.float64), labels).objective_ for c in GRID]
    design = Design(ArrayRows(features), 1.0, "cpu")
    fit = solve_gram(design, as_problems(design, labels, np.ones(150), GRID, 3), tol=1e-5, max_iter=200)
    np.testing.assert_allclose(fit.objective.reshape(2, 3), exact, rtol=2e-5)
    coef = design.exact_adjoint(fit.dual).double().numpy().reshape(2, 3, -1)
    for c, found, own in zip(GRID, fit.objective.reshape(2, 3), coef, strict=True):
        np.testing.assert_allclose(
            liblinear_objective(own[:, :-1], own[:, -1], features, labels, [0, 1, 2], c), found, rtol=2e-5
        )
    assert fit.steps.max() < 60


def test_problems_that_cannot_be_finished_say_so(make_features):
    from sklearn.exceptions import ConvergenceWarning

    features, labels = make_features(60, 100, 3)
    with pytest.warns(ConvergenceWarning, match="stopped at a relative error"):
        fit_draws(features, labels, [np.arange(60)], [10.0], features, max_iter=2)


def test_rounding_over_many_steps_is_taken_away_until_the_error_asked_for_is_reached():
    digits = load_digits()
    random = np.random.default_rng(0)
    # Features with a large common mean, as after LeakyReLU and max-pooling, and a C that takes a hundred steps.
    features = np.maximum(digits.data / 32 @ random.standard_normal((64, 3000)), 0) + 1
    draw = random.permutation(len(features))[:400]
    fits = fit_draws(features.astype(np.float32), digits.target, [draw], [5e-3], features[:10].astype(np.float32))
    assert fits.error.max() <= 1e-5


def test_a_matrix_too_large_to_be_held_gives_the_same_gram_matrix(monkeypatch):
    from dcgan_analysis.linear import gram as module

    features = np.random.default_rng(0).standard_normal((90, 40)).astype(np.float32)
    used = torch.arange(90)[::2].contiguous()
    held = gram(Design(ArrayRows(features), 1.0, "cpu"), used)
    monkeypatch.setattr(module, "_HELD_BYTES", 0)
    monkeypatch.setattr(module, "_FLOAT_BLOCK", 16)
    apart = gram(Design(ArrayRows(features), 1.0, "cpu"), used)
    torch.testing.assert_close(apart, held)
    torch.testing.assert_close(
        held.double(),
        torch.from_numpy(features[::2]).double() @ torch.from_numpy(features[::2]).double().T + 1,
        rtol=1e-5,
        atol=1e-5,
    )
