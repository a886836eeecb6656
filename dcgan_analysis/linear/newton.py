"""Newton's method in float64: for few columns or rows, and where conjugate gradients do not converge.

Factored is the Hessian, ``I + 2 C X_A.T S X_A`` over the rows A inside the margin, or, with fewer rows than columns,
``(2 C S)^-1 + X_A X_A.T``. The objective is piecewise quadratic, so finitely many steps reach the optimum
(Mangasarian 2002).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.core.memory import memory_share
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.linear.descent import Problems, State, line_search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.linear.design import Design

_SHORT_SIDE = 256
_ELEMENTS = 1 << 23
_IDLE_STEPS = 3
# Rows of a Gram matrix converted at a time: they stay in the cache.
_ROWS = 64
# The duality gap, relative, at which a problem is solved to rounding.
_OPTIMUM = 1e-12
# Relative residual of a system solved by a float32 factor, and the most steps of refinement towards it.
_REFINED, _REFINEMENTS = 1e-6, 4
# A factor of this size takes a second in float64; the matrix may have so many bytes.
_REFINED_SIZE = 4096
_REFINED_BYTES = 1 << 30


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
    return min(rows, columns) <= _REFINED_SIZE and 8 * rows * columns <= memory_share(2 * _REFINED_BYTES) // 2


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
    dual, scores, _, steps = newton_on_gram(product, problem, dual, max_iter=max_iter, most=len(product))
    coef = dual @ matrix
    return _outcome(problem, coef, coef @ matrix.T, (dual - problem.dual(scores)) @ matrix, int(steps))


def newton_on_gram(
    product: torch.Tensor, problems: Problems, dual: torch.Tensor, *, max_iter: int, most: int, tol: float = _OPTIMUM
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Solve M problems through the Gram matrix; each step factors that of the rows inside the margin, of each problem.

    Args:
        product: (n, n), float32 or float64; sums are in float64.
        problems: M problems, float64, all weights above 0.
        dual: (M, n) float64, the start.
        max_iter: Largest number of steps.
        most: Problems stop where more rows are inside the margin.
        tol: Stop where the duality gap is at most this share of the objective.

    Returns:
        Dual (M, n), scores (M, n), the duality gap (M,) and the number of steps (M,).
    """
    dual, scores = dual.clone(), combine_rows(dual, product)
    gap = torch.empty_like(dual[:, 0])
    steps = torch.zeros(len(problems), dtype=torch.int64, device=dual.device)
    progress = [_Progress() for _ in range(len(problems))]
    left = torch.arange(len(problems), device=dual.device)
    while True:
        own = problems.take(left)
        wanted = own.dual(scores[left])
        residual = dual[left] - wanted
        gap[left] = 0.5 * (residual * combine_rows(residual, product)).sum(1).clamp_min(0)
        value = _value(own, dual[left], scores[left])
        ended = [progress[m].ended(v) for m, v in zip(left.tolist(), value.tolist(), strict=True)]
        unsolved = (gap[left] > tol * value) & ~torch.tensor(ended, device=dual.device)
        unsolved &= (steps[left] < max_iter) & ((wanted != 0).sum(1) <= most)
        left, own, wanted = left[unsolved], own.take(unsolved.nonzero().squeeze(1)), wanted[unsolved]
        if not len(left):
            return dual, scores, gap, steps
        direction = -dual[left]
        for number, (inside, solution) in enumerate(_optima_on(product, own, wanted != 0)):
            direction[number, inside] += solution
        change = combine_rows(direction, product)
        along, square = ((factors * change).sum(1) for factors in (dual[left], direction))
        length = line_search(own, scores[left], change, along=along, square=square.clamp_min(0))
        dual[left] += length * direction
        scores[left] += length * change
        steps[left] += 1


def _optima_on(
    product: torch.Tensor, problems: Problems, inside: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield of each problem the rows that are marked (M, n) and their dual at the optimum, were all of them inside."""

    def solve(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = inside[number].nonzero().squeeze(1)
        # The scores that these rows are pulled to.
        signs = torch.where(problems.labels[chosen] == problems.positive[number], 1.0, -1.0).double()
        return chosen, solve_shifted(product, chosen, 1 / (2 * problems.c[number] * problems.weights[chosen]), signs)

    # A small factor is done before threads have begun.
    each = map if int(inside.sum(1).max()) < _SHORT_SIDE else partial(parallel_map, device=product.device)
    yield from each(solve, range(len(problems)))


def solve_shifted(
    product: torch.Tensor, chosen: torch.Tensor, shift: torch.Tensor, right: torch.Tensor
) -> torch.Tensor:
    """Return ``(G + diag(shift))^-1 right``, float64, for the part G of a Gram matrix that belongs to some rows.

    In float32 it is factored in a third of the time; refinement takes the rounding away (Higham, Accuracy and Stability
    of Numerical Algorithms, 2002, chapter 12), and where it does not converge float64 decides.
    """
    system = product.index_select(0, chosen).index_select(1, chosen)
    diagonal = system.diagonal().double() + shift
    system.diagonal().copy_(diagonal)
    if system.dtype != torch.float64:
        factor, _ = torch.linalg.cholesky_ex(system)
        rounding = diagonal - system.diagonal().double()
        solution, rest = torch.zeros_like(right), right
        for _ in range(_REFINEMENTS):
            solution = solution + torch.cholesky_solve(rest[:, None].to(system.dtype), factor)[:, 0].double()
            rest = right - rounding * solution - combine_rows(solution[None], system)[0]
            if float(rest.norm()) <= _REFINED * float(right.norm()):
                return solution
        system = system.double()
        system.diagonal().copy_(diagonal)
    return _solve_symmetric(system, right[:, None], 0)[:, 0]


def combine_rows(factors: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Return ``factors @ product``, (M, n) float64; where most rows have factors that are all 0, those are not read."""
    used, total = factors.any(0).nonzero().squeeze(1), torch.zeros_like(factors)
    # Picking rows costs as much as converting and multiplying them.
    picked = torch.split(used, _ROWS) if 2 * len(used) < len(product) else None
    for rows in picked or (slice(start, start + _ROWS) for start in range(0, len(product), _ROWS)):
        total.addmm_(factors[:, rows], product[rows].double())
    return total


def _value(problems: Problems, dual: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return the objectives (M,)."""
    return 0.5 * (dual * scores).sum(1) + problems.c * (problems.hinge(scores).square() @ problems.weights)


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
        if progress.ended(float(problem.objective(coef, scores))):
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

    def ended(self, value: float) -> bool:
        """Record an objective; return whether the last few steps did not lower it."""
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
