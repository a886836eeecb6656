"""Newton's method in float64: for few columns or rows, and where conjugate gradients do not converge.

Factored is the Hessian, ``I + 2 C X_A.T S X_A`` over the rows A inside the margin, or, with fewer rows than columns,
``(2 C S)^-1 + X_A X_A.T``. The objective is piecewise quadratic, so finitely many steps reach the optimum
(Mangasarian 2002).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dcgan_analysis.linear.descent import Problems, State, line_search

if TYPE_CHECKING:
    from dcgan_analysis.linear.design import Design

_SHORT_SIDE = 256
_ELEMENTS = 1 << 23
_IDLE_STEPS = 3
# Rows of a Gram matrix converted at a time: they stay in the cache.
_ROWS = 64
# A factor of this size takes a second in float64, and so many elements 1 GB.
_REFINED_SIZE = 4096
_REFINED_ELEMENTS = 1 << 27


def fits_newton(rows: int, columns: int) -> bool:
    """Return whether a matrix is narrow or flat, and small enough to be held in float64 (64 MB).

    Args:
        rows: Rows with a weight above 0.
        columns: D + 1.
    """
    return min(rows, columns) <= _SHORT_SIDE and rows * columns <= _ELEMENTS


def fits_refinement(rows: int, columns: int) -> bool:
    """Return whether a matrix can be held in float64 (1 GB) and has a side short enough to be factored again and again.

    Args:
        rows: Rows with a weight above 0.
        columns: D + 1.
    """
    return min(rows, columns) <= _REFINED_SIZE and rows * columns <= _REFINED_ELEMENTS


def solve_newton(design: Design, problems: Problems, *, max_iter: int) -> State:
    """Solve M problems, one after the other, in float64.

    Args:
        design: The data, of which `fits_newton` is true.
        problems: M problems.
        max_iter: Largest number of steps per problem.

    Returns:
        The optima, in the design's type.
    """
    return _solve_each(design, problems, None, max_iter)


def refine_newton(design: Design, problems: Problems, start: torch.Tensor, *, max_iter: int) -> State:
    """Continue M problems on which conjugate gradients stopped short, one after the other, in float64.

    Args:
        design: The data, of which `fits_refinement` is true.
        problems: M problems.
        start: (M, D + 1) coefficients; rows that are not finite start at zero.
        max_iter: Largest number of steps per problem.

    Returns:
        The optima, in the design's type; ``error`` is the duality gap.
    """
    return _solve_each(design, problems, start.double(), max_iter)


def _solve_each(design: Design, problems: Problems, start: torch.Tensor | None, max_iter: int) -> State:
    used = problems.weights.nonzero().squeeze(1)
    matrix = design.sample(used.cpu()).double()
    inner = Problems(problems.labels[used], problems.weights[used].double(), problems.positive, problems.c.double())
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else None
    parts = []
    for number in range(len(problems)):
        problem = inner.take(torch.tensor([number], device=matrix.device))
        coef = matrix.new_zeros(1, matrix.shape[1]) if start is None else start[number : number + 1]
        if not torch.isfinite(coef).all():
            coef = torch.zeros_like(coef)
        if product is None:
            parts.append(_solve_primal(matrix, problem, coef, max_iter))
        else:
            parts.append(_solve_rows(matrix, product, problem, coef, max_iter))
    coef, gradient, objective, error, steps = (torch.cat(column) for column in zip(*parts, strict=True))
    coef, gradient = coef.to(design.dtype), gradient.to(design.dtype)
    return State(coef, design.exact_scores(coef), gradient, objective, error, steps)


def _solve_rows(
    matrix: torch.Tensor, product: torch.Tensor, problem: Problems, start: torch.Tensor, max_iter: int
) -> tuple[torch.Tensor, ...]:
    """Solve a problem of fewer rows than columns: the coefficients are ``dual @ X``."""
    dual = problem.dual(start @ matrix.T)
    zero = torch.zeros_like(dual)
    if not float(_value(problem, dual, dual @ product)) <= float(_value(problem, zero, zero)):
        dual = zero
    solution = newton_on_gram(product, problem, dual, max_iter=max_iter, most=len(product))
    assert solution is not None  # as many rows may be inside the margin as there are
    dual, scores, step = solution
    coef = dual @ matrix
    return _outcome(problem, coef, coef @ matrix.T, (dual - problem.dual(scores)) @ matrix, step)


def newton_on_gram(
    product: torch.Tensor, problem: Problems, dual: torch.Tensor, *, max_iter: int, most: int, tol: float = 0
) -> tuple[torch.Tensor, torch.Tensor, int] | None:
    """Solve one problem through the Gram matrix; each step factors that of the rows inside the margin.

    Args:
        product: (n, n), float32 or float64; sums are in float64.
        problem: One problem, float64, all weights above 0.
        dual: (1, n) float64, the start.
        max_iter: Largest number of steps.
        most: Of rows inside the margin.
        tol: Stop after a full step that lowers the objective by less than this share of it; 0: at the optimum.

    Returns:
        Dual (1, n), scores (1, n) and the number of steps; None where more rows come inside the margin than ``most``.
    """
    signs = torch.where(problem.labels == problem.positive, 1.0, -1.0).to(dual.dtype)
    inside = torch.zeros(len(product), dtype=torch.bool, device=product.device)
    progress = _Progress()
    step, settled = 0, False
    scores = combine_rows(dual, product)
    value = _value(problem, dual, scores)
    while True:
        before, inside = inside, problem.dual(scores)[0] != 0
        if step >= max_iter or (settled and torch.equal(before, inside)):
            break
        if progress.ended(value):
            break
        chosen = inside.nonzero().squeeze(1)
        if len(chosen) > most:
            return None
        system = product[chosen[:, None], chosen].double()
        system.diagonal().add_(1 / (2 * problem.c * problem.weights[chosen]))
        # Signs are the scores that rows inside the margin are pulled to.
        solution = torch.zeros_like(dual)
        solution[0, chosen] = _solve_symmetric(system, signs[chosen, None], 0).squeeze(1)
        direction = solution - dual
        change = combine_rows(direction, product)
        length = line_search(
            problem, scores, change, along=(dual * change).sum(1), square=(direction * change).sum(1).clamp_min(0)
        )
        dual, scores = dual + length * direction, scores + length * change
        step += 1
        settled = abs(float(length) - 1) < 1e-3
        last, value = value, _value(problem, dual, scores)
        if settled and float(last - value) < tol * float(value):
            break
    return dual, scores, step


def combine_rows(factors: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Return ``factors @ product``, (1, n) float64; rows whose factor is 0 are not read."""
    total = torch.zeros_like(factors)
    for rows in torch.split(factors[0].nonzero().squeeze(1), _ROWS):
        total += factors[:, rows] @ product[rows].double()
    return total


def _value(problem: Problems, dual: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return 0.5 * (dual * scores).sum() + problem.c * (problem.hinge(scores).square() @ problem.weights)


def _outcome(
    problem: Problems, coef: torch.Tensor, scores: torch.Tensor, gradient: torch.Tensor, step: int
) -> tuple[torch.Tensor, ...]:
    objective = problem.objective(coef, scores)
    gap = 0.5 * gradient.square().sum(1) / objective.clamp_min(1e-300)
    return coef, gradient, objective, gap, torch.tensor([step], device=coef.device)


def _solve_primal(
    matrix: torch.Tensor, problem: Problems, coef: torch.Tensor, max_iter: int
) -> tuple[torch.Tensor, ...]:
    """Solve a problem of no more columns than rows."""
    scores = coef @ matrix.T
    inside = torch.zeros(matrix.shape[0], dtype=torch.bool, device=matrix.device)
    step, settled, progress = 0, False, _Progress()
    while True:
        dual = problem.dual(scores)
        before, inside = inside, dual[0] != 0
        gradient = coef - dual @ matrix
        if step >= max_iter or (settled and torch.equal(before, inside)):
            break
        if progress.ended(problem.objective(coef, scores)):
            break
        active = matrix[inside] * (2 * problem.c * problem.weights[inside]).sqrt()[:, None]
        second = active.T @ active
        second.diagonal().add_(1)
        direction = -_solve_symmetric(second, gradient.T, 1).T
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
    return _outcome(problem, coef, scores, gradient, step)


class _Progress:
    """Tells when steps no longer lower an objective: at the optimum, rounding lets them move for ever."""

    def __init__(self) -> None:
        self._best = torch.inf
        self._idle = 0

    def ended(self, objective: torch.Tensor) -> bool:
        """Record an objective; return whether the last few steps did not lower it."""
        value = float(objective)
        self._idle = 0 if value < self._best * (1 - 1e-14) else self._idle + 1
        self._best = min(self._best, value)
        return self._idle > _IDLE_STEPS


def _solve_symmetric(matrix: torch.Tensor, right: torch.Tensor, least: float) -> torch.Tensor:
    """Return ``matrix^-1 right``, for a symmetric matrix whose eigenvalues are at least ``least`` but for rounding."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if not int(failed):
        return torch.cholesky_solve(right, factor)
    values, vectors = torch.linalg.eigh(matrix)
    rounding = torch.finfo(matrix.dtype).eps * len(matrix) * float(values[-1])
    solution: torch.Tensor = vectors @ ((vectors.T @ right) / values.clamp_min(max(least, rounding))[:, None])
    return solution
