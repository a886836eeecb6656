"""Chooses the solver for a problem's shape, runs it and checks the result."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.core.memory import memory_share
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.descent import Preconditioner, Problems, State, descend, within_gap
from dcgan_analysis.linear.gram import solve_gram
from dcgan_analysis.linear.newton import fits_newton, fits_refinement, refine_newton, solve_newton

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.linear.design import Design

# Sample (at most half of the rows) and rank of the preconditioner: larger ones save passes at high C but cost memory
# (rank x D float32 numbers) and time before the first step.
_SAMPLE, _RANK = 2048, 512
# Beyond this size the Gram matrix (and its factor) costs more than the passes it saves.
_GRAM_ROWS = 8192
# Bytes for each of its elements: itself, its factor, what is being multiplied.
_GRAM_BYTES = 12
# Numbers of float32 for each coefficient and each score of a problem that is solved by passes; more problems than have
# room are solved one part after the other.
_COEFFICIENTS, _SCORES = 8, 6
# Steps of conjugate gradients that are worth taking where Newton's method can finish.
_STEPS_BEFORE_NEWTON = 250

SOLVERS = ("auto", "primal", "dual")


class ParameterError(AnalysisError, ValueError):
    """A parameter of a fit lies outside its range (also a ``ValueError``, as scikit-learn expects)."""


def prefers_gram(rows: int, columns: int) -> bool:
    """Return whether N < D, and N small enough for the Gram matrix to pay."""
    return rows < columns and rows <= _GRAM_ROWS and _GRAM_BYTES * rows**2 <= memory_share(_GRAM_BYTES * _GRAM_ROWS**2)


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

    Raises:
        ParameterError: If there is no such solver.
    """
    if solver not in SOLVERS:
        msg = f"solver is {solver!r}; it must be one of {', '.join(SOLVERS)}."
        raise ParameterError(msg)
    columns = design.shape[1]
    used = int((problems.weights > 0).sum())
    if fits_newton(used, columns) and solver != "dual":
        state = solve_newton(design, problems, max_iter=max_iter)
        warn_if_short(state.error, tol)
        return state
    most = steps_before_newton(used, columns, max_iter)
    if solver == "dual" or (solver == "auto" and prefers_gram(used, columns)):
        state = _solve_dual(design, problems, tol=tol, max_iter=most, refined=most < max_iter, progress=progress)
    else:
        part = _problems_at_a_time(design, len(problems))
        state = State.joined(
            [
                solve_primal(
                    design,
                    problems.take(index),
                    torch.zeros(len(index), columns, dtype=design.dtype, device=design.device),
                    tol=tol,
                    max_iter=most,
                    progress=progress,
                )
                for index in torch.split(torch.arange(len(problems), device=design.device), part)
            ]
        )
    short = (~(state.error <= tol)).nonzero().squeeze(1)
    if len(short) and fits_refinement(used, columns):
        state.put(short, refine_newton(design, problems.take(short), state.coef[short], max_iter=max_iter))
        if progress is not None:
            progress(f"L2-SVM: {len(short)} problems by Newton's method, error {float(state.error.max()):.1e}")
    warn_if_short(state.error, tol)
    return state


def _problems_at_a_time(design: Design, problems: int) -> int:
    """Return how many problems there is memory for, beside the preconditioner that they share."""
    rows, columns = design.shape
    shared, each = 4 * (_SAMPLE + _RANK) * columns, 4 * (_COEFFICIENTS * columns + _SCORES * rows)
    what = f"An L2-SVM on {rows:,} rows of {columns - 1:,} features"
    left = memory_share(shared + problems * each, least=shared + each, what=what)
    return (left - shared) // each


def steps_before_newton(used: int, columns: int, max_iter: int) -> int:
    """Return how many steps of conjugate gradients are worth taking: few where Newton's method can finish.

    Args:
        used: Rows with a weight above 0.
        columns: D + 1.
        max_iter: Largest number of steps.
    """
    return min(max_iter, _STEPS_BEFORE_NEWTON) if fits_refinement(used, columns) else max_iter


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
        expected: (M,) objectives at ``coef`` if it is the solution.
        progress: Called with one line per step.

    Returns:
        The final iterates; some errors may exceed ``tol``.
    """
    state = _evaluate(design, problems, coef)
    if expected is not None:
        gap = 0.5 * state.gradient.double().square().sum(1)
        state.error = within_gap((state.objective - expected).abs(), gap) / state.objective.clamp_min(1e-300)
    unsolved = (state.error > tol).nonzero().squeeze(1)
    if len(unsolved):
        preconditioner = Preconditioner(
            design,
            problems.weights,
            sample=min(_SAMPLE, max(256, design.shape[0] // 5)),
            rank=_RANK,
            generator=torch.Generator().manual_seed(0),
        )
        part = state.take(unsolved)
        descend(design, problems.take(unsolved), part, preconditioner, tol=tol, max_iter=max_iter, progress=progress)
        state.put(unsolved, part)
    return state


def _evaluate(design: Design, problems: Problems, coef: torch.Tensor) -> State:
    if coef.any():
        scores, adjoint = design.refresh(coef, problems.dual)
    else:
        scores, adjoint = coef.new_zeros(len(coef), design.shape[0]), _adjoint_at_zero(design, problems)
    objective = problems.objective(coef, scores)
    error = torch.full_like(objective, torch.inf)
    steps = torch.zeros(len(coef), dtype=torch.int64, device=coef.device)
    return State(coef, scores, coef - adjoint, objective, error, steps)


def _adjoint_at_zero(design: Design, problems: Problems) -> torch.Tensor:
    """Return ``dual @ X`` at zero coefficients: sums of features per class, for every C."""
    classes = torch.tensor(sorted(set(problems.positive.tolist())), device=problems.labels.device)
    members = problems.labels[None] == classes[:, None]
    mask = problems.weights > 0
    sums = design.exact_adjoint(
        torch.cat([members * problems.weights, mask[None], problems.weights[None]]).to(design.dtype)
    )
    design.centre(mask.to(design.dtype), sums[-2])
    positive = sums[torch.searchsorted(classes, problems.positive)]
    return 2 * problems.c[:, None] * (2 * positive - sums[-1])


def _solve_dual(
    design: Design,
    problems: Problems,
    *,
    tol: float,
    max_iter: int,
    refined: bool,
    progress: Callable[[str], None] | None,
) -> State:
    half = tol / 2
    fit = solve_gram(design, problems, tol=half, max_iter=max_iter, progress=progress)
    failed = ~torch.isfinite(fit.dual).all(1)
    # Where rounding destroyed the factor of the Gram matrix, the primal iteration starts at zero.
    fit.dual[failed] = 0
    # In exact arithmetic the objective on all rows equals that of the Gram matrix; where rounding makes them differ,
    # the primal iteration finishes, unless Newton's method will.
    state = solve_primal(
        design,
        problems,
        design.exact_adjoint(fit.dual),
        tol=half,
        max_iter=0 if refined else max_iter,
        expected=fit.objective,
        progress=progress,
    )
    state.error = torch.where(failed, state.error, torch.maximum(state.error, fit.error))
    state.steps += fit.steps
    return state


def warn_if_short(error: torch.Tensor, tol: float) -> None:
    """Warn if any of the relative errors (M,) exceeds ``tol``."""
    from sklearn.exceptions import ConvergenceWarning

    short = error > tol
    if short.any():
        msg = (
            f"{int(short.sum())} of {len(short)} L2-SVM problems stopped at a relative error of "
            f"{float(error.max()):.1e} instead of {tol:.1e}; raise max_iter or lower C."
        )
        warnings.warn(msg, ConvergenceWarning, stacklevel=4)
