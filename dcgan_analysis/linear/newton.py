"""Few columns: Newton's method with the exact second derivative.

With at most a few hundred columns the matrix of second derivatives, ``I + 2 C X_A.T S X_A`` over
the rows A inside the margin, is factored outright. The objective is piecewise quadratic, so the
method ends after finitely many steps at the optimum, to rounding (Mangasarian 2002).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dcgan_analysis.linear.descent import Problems, State, line_search

if TYPE_CHECKING:
    from dcgan_analysis.linear.design import Design

__all__ = ["fits_newton", "solve_newton"]

_COLUMNS = 256
_ELEMENTS = 1 << 23


def fits_newton(rows: int, columns: int) -> bool:
    """Return whether a matrix is narrow, and small enough to be held in float64 (64 MB)."""
    return columns <= _COLUMNS and rows * columns <= _ELEMENTS


def solve_newton(design: Design, problems: Problems, *, max_iter: int) -> State:
    """Solve M problems, one after the other, in float64.

    Args:
        design: The data, few columns.
        problems: M problems.
        max_iter: Largest number of steps per problem.

    Returns:
        The optima, in the design's type.
    """
    matrix = design.sample(torch.arange(design.shape[0])).double()
    problems = Problems(problems.labels, problems.weights.double(), problems.positive, problems.c.double())
    parts = [
        _solve_one(matrix, problems.take(torch.tensor([m], device=matrix.device)), max_iter)
        for m in range(len(problems))
    ]
    names = State.__dataclass_fields__
    state = State(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
    for name in ("coef", "scores", "gradient"):
        setattr(state, name, getattr(state, name).to(design.dtype))
    return state


def _solve_one(matrix: torch.Tensor, problem: Problems, max_iter: int) -> State:
    coef = matrix.new_zeros(1, matrix.shape[1])
    scores = matrix.new_zeros(1, matrix.shape[0])
    inside = torch.zeros(matrix.shape[0], dtype=torch.bool, device=matrix.device)
    step, settled = 0, False
    while True:
        dual = problem.dual(scores)
        before, inside = inside, dual[0] != 0
        gradient = coef - dual @ matrix
        if step >= max_iter or (settled and torch.equal(before, inside)):
            break
        active = matrix[inside] * (2 * problem.c * problem.weights[inside]).sqrt()[:, None]
        second = active.T @ active
        second.diagonal().add_(1)
        factor = torch.linalg.cholesky(second)
        direction = -torch.cholesky_solve(gradient.T, factor).T
        length = line_search(
            problem,
            scores,
            direction @ matrix.T,
            along=(coef * direction).sum(1),
            square=direction.square().sum(1),
        )
        coef = coef + length * direction
        scores = coef @ matrix.T
        step += 1
        # A full step that leaves the active set as it was has reached the minimum.
        settled = abs(float(length) - 1) < 1e-3
    objective = problem.objective(coef, scores)
    gap = 0.5 * gradient.square().sum(1) / objective.clamp_min(1e-300)
    steps = torch.tensor([step], device=matrix.device)
    return State(coef, scores, gradient, objective, gap, steps)
