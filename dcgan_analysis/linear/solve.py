"""Start, solve, verify: the way from labels and weights to accurate coefficients."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.hardware import has_bfloat16_units
from dcgan_analysis.linear.descent import Problems, State, descend
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.newton import fits_newton, solve_newton
from dcgan_analysis.linear.precondition import Preconditioner
from dcgan_analysis.linear.products import gram_product, residuals_are_exact
from dcgan_analysis.linear.rows import ArrayRows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["gram", "prefers_gram", "solve", "solve_gram_of", "solve_primal"]

# Sample (at most half of the rows) and rank of the preconditioner: larger ones save passes at high C but cost memory
# (rank x D float32 numbers) and time before the first step.
_SAMPLE, _RANK = 2048, 512
# Beyond this size the Gram matrix (and its factor) costs more than the passes it saves.
_GRAM_ROWS = 8192
# Rows per block of the Gram matrix: products of this size ran fastest in bfloat16, three times as fast as halves of it.
_GRAM_BLOCK = 1280
_PIECE = 64


def prefers_gram(rows: int, columns: int) -> bool:
    """Return whether N < D, and N small enough for the Gram matrix to pay."""
    return rows < columns and rows <= _GRAM_ROWS


def solve(
    design: Design,
    problems: Problems,
    *,
    solver: str,
    tol: float,
    max_iter: int,
    progress: Callable[[str], None] | None = None,
) -> State:
    """Solve M problems.

    Args:
        design: The data.
        problems: M problems.
        solver: ``"primal"``, ``"dual"`` or ``"auto"`` (by shape).
        tol: Relative error of the objective.
        max_iter: Largest number of steps per problem.
        progress: Called with one line per step.

    Returns:
        Coefficients, scores of all rows and objectives, accurate to float32.
    """
    columns = design.shape[1]
    used = int((problems.weights > 0).sum())
    if solver == "dual" or (solver == "auto" and prefers_gram(used, columns)):
        return _solve_dual(design, problems, tol=tol, max_iter=max_iter, progress=progress)
    coef = torch.zeros(len(problems), columns, dtype=design.dtype, device=design.device)
    return solve_primal(design, problems, coef, tol=tol, max_iter=max_iter, progress=progress)


def solve_primal(
    design: Design,
    problems: Problems,
    coef: torch.Tensor,
    *,
    tol: float,
    max_iter: int,
    expected: torch.Tensor | None = None,
    progress: Callable[[str], None] | None = None,
) -> State:
    """Solve M problems by passes over the data.

    Args:
        design: The data.
        problems: M problems.
        coef: (M, D + 1), the start; overwritten.
        tol: Relative error of the objective.
        max_iter: Largest number of steps per problem.
        expected: (M,) objectives that the start has if it is the solution.
        progress: Called with one line per step.

    Returns:
        Where the problems stand at the end; a warning says if some are short of ``tol``.
    """
    if fits_newton(*design.shape):
        state = solve_newton(design, problems, max_iter=max_iter)
        _warn(state, tol)
        return state
    state = _evaluate(design, problems, coef)
    if expected is not None:
        state.error = (state.objective - expected).abs() / expected
    left = (state.error > tol).nonzero().squeeze(1)
    if len(left):
        preconditioner = Preconditioner(
            design,
            problems.weights,
            sample=min(_SAMPLE, max(256, design.shape[0] // 5)),
            rank=_RANK,
            generator=torch.Generator().manual_seed(0),
        )
        part = state.take(left)
        descend(
            design,
            problems.take(left),
            part,
            preconditioner,
            tol=tol,
            max_iter=max_iter,
            progress=progress,
        )
        state.put(left, part)
    _warn(state, tol)
    return state


def _evaluate(design: Design, problems: Problems, coef: torch.Tensor) -> State:
    if coef.any():
        scores, adjoint = design.refresh(coef, problems.dual)
    else:
        scores, adjoint = coef.new_zeros(len(coef), design.shape[0]), _first(design, problems)
    objective = problems.objective(coef, scores)
    error = torch.full_like(objective, torch.inf)
    steps = torch.zeros(len(coef), dtype=torch.int64, device=coef.device)
    return State(coef, scores, coef - adjoint, objective, error, steps)


def _first(design: Design, problems: Problems) -> torch.Tensor:
    """Return ``dual @ X`` at zero coefficients: sums of features per class, whatever C is."""
    classes = torch.tensor(sorted(set(problems.positive.tolist())), device=problems.labels.device)
    members = problems.labels[None] == classes[:, None]
    mask = problems.weights > 0
    sums = design.exact_adjoint(
        torch.cat([members * problems.weights, mask[None], problems.weights[None]]).to(design.dtype)
    )
    design.centre(mask.to(design.dtype), sums[-2])
    own = sums[torch.searchsorted(classes, problems.positive)]
    return 2 * problems.c[:, None] * (2 * own - sums[-1])


def _solve_dual(
    design: Design,
    problems: Problems,
    *,
    tol: float,
    max_iter: int,
    progress: Callable[[str], None] | None,
) -> State:
    half = tol / 2
    coef, found = solve_gram_of(design, problems, tol=half, max_iter=max_iter, progress=progress)
    # In exact arithmetic the objective on all rows is the one found through the Gram matrix; if
    # rounding says otherwise, the primal iteration finishes the job.
    state = solve_primal(
        design,
        problems,
        coef,
        tol=half,
        max_iter=max_iter,
        expected=found.objective,
        progress=progress,
    )
    state.error = torch.maximum(state.error, found.error)
    state.steps += found.steps
    return state


def solve_gram_of(
    design: Design,
    problems: Problems,
    *,
    tol: float,
    max_iter: int,
    progress: Callable[[str], None] | None = None,
) -> tuple[torch.Tensor, State]:
    """Solve M problems through the Gram matrix of the rows with a weight above 0.

    With ``G = X X.T = L L.T`` the rows of L have the same inner products as the rows of X, so the
    same iteration runs on L (n x n) in place of X (n x D). A solution v there is ``L.T @ dual``,
    and ``dual @ X`` the solution here.

    Args:
        design: The data.
        problems: M problems.
        tol: Relative error of the objective.
        max_iter: Largest number of steps per problem.
        progress: Called with one line per step.

    Returns:
        Coefficients (M, D + 1), and the state in terms of L.
    """
    used = problems.weights.nonzero().squeeze(1)
    inner = Problems(problems.labels[used], problems.weights[used], problems.positive, problems.c)
    factor = _factor(gram(design, used))
    compact = Design(ArrayRows(factor), 0.0, factor.device)
    start = factor.new_zeros(len(problems), len(factor) + 1)
    state = solve_primal(compact, inner, start, tol=tol, max_iter=max_iter, progress=progress)
    dual = start.new_zeros(len(problems), design.shape[0])
    dual[:, used] = torch.linalg.solve_triangular(factor.T, state.coef[:, :-1].T, upper=True).T
    return design.exact_adjoint(dual), state


def gram(design: Design, used: torch.Tensor) -> torch.Tensor:
    """Return ``X X.T`` of the rows ``used`` (ascending), (n, n), intercept included.

    Only the lower triangle of blocks is multiplied. Values that bfloat16 can hold, as those of most stores, are
    multiplied in it without losing accuracy; otherwise a block of float32 rows is read once for each block that
    precedes it, so that no float32 copy of the whole matrix is made.
    """
    size = len(used)
    out = torch.empty(size, size, dtype=design.dtype, device=design.device)
    parts = torch.split(used.cpu(), _GRAM_BLOCK)
    halves = _in_bfloat16(design, parts)
    starts = [0, *np.cumsum([len(part) for part in parts]).tolist()]
    for row, part in enumerate(parts):
        rows, below = design.sample(part) if halves is None else halves[row], slice(starts[row], starts[row + 1])
        for column in range(row + 1):
            others = design.sample(parts[column]) if halves is None else halves[column]
            beside = slice(starts[column], starts[column + 1])
            block = gram_product(rows, others)
            out[below, beside] = block
            out[beside, below] = block.T
    if halves is not None:
        out += design.intercept**2
    return design.checked(out)


def _in_bfloat16(design: Design, parts: Sequence[torch.Tensor]) -> list[torch.Tensor] | None:
    """Return rows without the intercept column in bfloat16, or None where that would lose or cost something."""
    if not (has_bfloat16_units(design.device) and residuals_are_exact(design.device)):
        return None
    halves = []
    for part in parts:
        first, stop = int(part[0]), int(part[-1]) + 1
        # Neighbouring rows are read as they lie, without a copy.
        together = stop - first == len(part)
        rows = design.rows.read(first, stop).to(design.device) if together else design.sample(part)[:, :-1]
        if rows.dtype == torch.bfloat16:
            halves.append(rows)
            continue
        half = torch.empty(rows.shape, dtype=torch.bfloat16, device=design.device)
        # Piece by piece: the way back to float32 then stays in the cache.
        for piece, target in zip(torch.split(rows, _PIECE), torch.split(half, _PIECE), strict=True):
            target.copy_(piece)
            if not torch.equal(target.to(piece.dtype), piece):
                return None
        halves.append(half)
    return halves


def _factor(product: torch.Tensor) -> torch.Tensor:
    """Return the Cholesky factor, of G plus as little of the identity as rounding demands."""
    scale = float(product.diagonal().mean()) or 1.0
    ridge = torch.finfo(product.dtype).eps * scale
    while True:
        shifted = product.clone()
        shifted.diagonal().add_(ridge)
        factor: torch.Tensor
        factor, info = torch.linalg.cholesky_ex(shifted)
        if not int(info):
            return factor
        ridge *= 8


def _warn(state: State, tol: float) -> None:
    from sklearn.exceptions import ConvergenceWarning

    short = state.error > tol
    if short.any():
        msg = (
            f"{int(short.sum())} of {len(short)} L2-SVM problems stopped at a relative error of "
            f"{float(state.error.max()):.1e} instead of {tol:.1e}; raise max_iter or lower C."
        )
        warnings.warn(msg, ConvergenceWarning, stacklevel=4)
