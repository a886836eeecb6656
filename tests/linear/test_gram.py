"""Solving with a shifted Gram matrix, block by block."""

from __future__ import annotations

import pytest
import torch

from dcgan_analysis.linear.gram import ShiftedFactor


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
