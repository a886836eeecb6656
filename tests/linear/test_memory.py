"""The L2-SVM under a limit of memory: fewer problems or draws at a time, the same answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.core import memory
from dcgan_analysis.core.memory import limited_memory
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear import L2SVM, fit_draws, l2svm_path
from dcgan_analysis.linear import solve as solver
from dcgan_analysis.linear.rows import ArrayRows, SomeRows

GRID = [1e-4, 1e-3, 1e-2]
HELD = 100


@pytest.fixture(autouse=True)
def held(monkeypatch):
    """Let the process hold so many bytes, whatever it holds."""
    monkeypatch.setattr(memory, "_resident", lambda kind: HELD)
    monkeypatch.setattr(memory, "_FILES", 0)


def left(size: int):
    """Allow so much that this is left."""
    return limited_memory((HELD + size) / 1e9)


def test_problems_that_have_no_room_together_are_solved_one_part_after_the_other(make_features, monkeypatch):
    features, labels = make_features(900, 400, 3)
    whole = l2svm_path(features, labels, GRID, solver="primal")
    sizes = []
    solve = solver.solve_primal
    monkeypatch.setattr(
        solver,
        "solve_primal",
        lambda design, problems, *rest, **more: sizes.append(len(problems)) or solve(design, problems, *rest, **more),
    )
    shared, each = 4 * (2048 + 512) * 401, 4 * (8 * 401 + 6 * 900)
    with left(shared + 4 * each):
        parts = l2svm_path(features, labels, GRID, solver="primal")
    assert sizes == [4, 4, 1]
    np.testing.assert_allclose(parts.objective, whole.objective, rtol=2e-5)
    assert (parts.predict() == whole.predict()).mean() > 0.999
    with left(shared), pytest.raises(AnalysisError, match="An L2-SVM on 900 rows of 400 features"):
        L2SVM(solver="primal").fit(features, labels)


def test_draws_are_fitted_one_at_a_time_where_two_have_no_room_with_the_same_predictions(make_features):
    features, labels = make_features(900, 700, 3)
    stored = torch.from_numpy(features).bfloat16()
    rng = np.random.default_rng(0)
    draws = [rng.permutation(600)[:120] for _ in range(3)]
    whole = fit_draws(stored, labels, draws, GRID, stored[600:])
    one = (120 * 2 + 4 * 9) * 700
    with left(2 * one + 8 * 120**2):
        fits = fit_draws(stored, labels, draws, GRID, stored[600:], products={})
    np.testing.assert_allclose(fits.objective, whole.objective, rtol=5e-5)
    assert (fits.predictions == whole.predictions).mean() > 0.999
    with left(one), pytest.raises(AnalysisError, match="Fitting 120 rows of 700 features needs"):
        fit_draws(stored, labels, draws, GRID, stored[600:])


def test_some_rows_read_what_they_name_in_blocks_that_span_about_a_block_of_the_source():
    source = ArrayRows(torch.arange(40.0).reshape(20, 2))
    some = SomeRows(source, np.array([1, 4, 5, 19]))
    assert some.shape == (4, 2)
    assert torch.equal(some.read(1, 4), source.read(0, 20)[[4, 5, 19]])
