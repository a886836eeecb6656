"""Solving with a shifted Gram matrix, block by block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC

from dcgan_analysis.core import parallel
from dcgan_analysis.linear import gram as gram_module
from dcgan_analysis.linear.descent import Problems
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.gram import ShiftedFactor, gram, prefers_one_factor, solve_gram
from dcgan_analysis.linear.newton import newton_on_gram, solve_shifted
from dcgan_analysis.linear.rows import ArrayRows


def gram_of(size, columns, dtype=torch.float64):
    rows = torch.randn(size, columns, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return rows @ rows.T


# Less than a block, a whole one, one more, and several with a rest.
@pytest.mark.parametrize("size", [1, 7, 256, 257, 700])
def test_it_solves_the_shifted_system_for_every_right_hand_side(size):
    product = gram_of(size, 30)
    right = torch.randn(3, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    factor = ShiftedFactor(product, 0.5)
    assert factor.shift == 1
    matrix = torch.eye(size, dtype=torch.float64) + 0.5 * product
    torch.testing.assert_close(factor.solve(right) @ matrix, right, rtol=1e-10, atol=1e-10)


def test_in_float32_it_is_as_accurate_as_lapack():
    product = gram_of(600, 2000, torch.float32)
    right = torch.randn(10, 600, generator=torch.Generator().manual_seed(1))
    exact = torch.linalg.solve(torch.eye(600).double() + product.double(), right.double().T).T
    lower = torch.linalg.cholesky(torch.eye(600) + product)
    theirs = torch.cholesky_solve(right.T, lower).T
    ours = ShiftedFactor(product, 1.0).solve(right)
    assert (ours - exact).norm() < 1.5 * (theirs - exact).norm() + 1e-7 * exact.norm()


def test_the_shift_grows_until_rounding_lets_it_be_factored():
    # Two equal rows with a large scale: in float32 the unit shift is lost.
    rows = torch.full((2, 4), 1000.0)
    factor = ShiftedFactor(rows @ rows.T, 1e6)
    assert factor.shift > 1
    assert torch.isfinite(factor.solve(torch.ones(1, 2))).all()


def test_the_right_hand_sides_are_left_as_they_are():
    right = torch.ones(2, 5)
    ShiftedFactor(gram_of(5, 3, torch.float32), 1.0).solve(right)
    assert torch.equal(right, torch.ones(2, 5))


def three_classes(rows, columns):
    """Features of three classes around centres of their own, and the problems of all classes at two C."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % 3
    centres = torch.randn(3, columns, generator=generator)
    features = centres[labels] + torch.randn(rows, columns, generator=generator) + 0.5
    problems = Problems(
        labels, torch.ones(rows), torch.arange(3).repeat(2), torch.tensor([1e-2, 1e-1]).repeat_interleave(3)
    )
    return Design(ArrayRows(features), 1.0, "cpu"), problems


def test_newton_on_the_rows_inside_the_margin_ends_at_the_optimum():
    # One feature, two rows at 1 and -1: both inside, w = 2 C (1 - w) 2, so w = 4 C / (1 + 4 C) = 0.8 at C = 1.
    product = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    problem = Problems(torch.tensor([1, 0]), torch.ones(2).double(), torch.tensor([1]), torch.ones(1).double())
    dual, scores, gap, _ = newton_on_gram(product, problem, torch.zeros(1, 2).double(), max_iter=9, most=2)
    torch.testing.assert_close(dual, torch.tensor([[0.4, -0.4]]).double())
    torch.testing.assert_close(scores, torch.tensor([[0.8, -0.8]]).double())
    assert float(gap) < 1e-12
    # Too many rows inside: the start is handed back, with the gap that it has, w = 4 C at the other end.
    dual, _, gap, steps = newton_on_gram(product, problem, torch.zeros(1, 2).double(), max_iter=9, most=1)
    assert (int(steps), float(gap)) == (0, 8)
    assert not dual.any()


def test_a_float32_factor_is_refined_to_float64_or_replaced():
    product = gram_of(300, 200, torch.float32) + 1e4
    chosen = torch.arange(0, 300, 2)
    right = torch.randn(150, generator=torch.Generator().manual_seed(1)).double()
    # The last shift is lost in float32: 1e-9 beside 1e4.
    for shift in (50.0, 1e-2, 1e-9):
        diagonal = torch.full((150,), shift).double()
        solution = solve_shifted(product, chosen, diagonal, right)
        system = product[chosen[:, None], chosen].double() + torch.diag(diagonal)
        assert float((system @ solution - right).norm() / right.norm()) < 2e-6


def test_newton_in_parts_finds_the_optimum_of_liblinear_where_conjugate_gradients_stop_short(monkeypatch):
    design, problems = three_classes(1030, 40)
    newton = solve_gram(design, problems, tol=1e-6, max_iter=1000)
    features, labels = design.rows.read(0, 1030).double().numpy(), problems.labels.numpy()
    optimum = []
    for c in (1e-2, 1e-1):
        machine = LinearSVC(C=c, tol=1e-8, max_iter=100_000).fit(features, labels)
        signs = np.where(labels[:, None] == machine.classes_, 1, -1)
        loss = (np.maximum(0, 1 - signs * machine.decision_function(features)) ** 2).sum(0)
        optimum.extend(0.5 * ((machine.coef_**2).sum(1) + machine.intercept_**2) + c * loss)
    assert (newton.error <= 1e-8).all()
    torch.testing.assert_close(newton.objective, torch.tensor(optimum), rtol=1e-6, atol=0)
    monkeypatch.setattr(gram_module, "_MOST_INSIDE", 0)
    conjugate = solve_gram(design, problems, tol=1e-6, max_iter=1000)
    assert (newton.steps < conjugate.steps).all()
    assert (conjugate.error > newton.error).any()


def test_one_factor_of_all_rows_serves_many_problems_and_newton_few():
    product, dual = torch.zeros(512, 512), torch.zeros(10, 512)
    ten = Problems(torch.arange(512) % 10, torch.ones(512), torch.arange(10), torch.full((10,), 1e-2))
    # 0.4 of the rows of each: ten times 0.4 ^ 3 = 0.64 of the work of one factor of all of them, five times 0.32.
    assert prefers_one_factor(product, ten, dual)
    assert not prefers_one_factor(product, ten.take(torch.arange(5)), dual[:5])
    assert not prefers_one_factor(product[:511, :511], ten, dual[:, :511])
    # With a start it is known how many are inside: scores are 1, so that those of the class are not.
    assert prefers_one_factor(torch.eye(512), ten, torch.ones(10, 512))
    assert not prefers_one_factor(torch.eye(512), ten, torch.where(ten.labels == ten.positive[:, None], 1.0, -1.0))


@pytest.mark.parametrize("c", [1e-3, 3.0])
def test_problems_that_share_a_factor_reach_the_same_optimum(monkeypatch, c):
    design, problems = three_classes(600, 800)
    problems = replace(problems.take(torch.arange(3)), c=torch.full((3,), c))
    newton = solve_gram(design, problems, tol=1e-5, max_iter=1000)
    monkeypatch.setattr(gram_module, "_FACTOR_WORK", 0)
    shared = solve_gram(design, problems, tol=1e-5, max_iter=1000)
    assert not torch.equal(shared.dual, newton.dual)
    assert (shared.error <= 1e-5).all()
    torch.testing.assert_close(shared.objective, newton.objective, rtol=1e-5, atol=0)


def test_a_gram_matrix_has_the_same_bits_for_any_number_of_workers(monkeypatch):
    design, _ = three_classes(1300, 40)
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(parallel, "worker_count", lambda device=None, count=count: count)
        found.append(gram(design, torch.arange(1300)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
