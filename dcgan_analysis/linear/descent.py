"""Nonlinear conjugate gradients (Polak-Ribiere+, preconditioned, exact line search) on the squared hinge.

Each problem is liblinear's L2-regularised L2-loss support vector machine in the primal, the intercept a component of w:

    P(w) = 0.5 |w|^2 + sum_i c_i max(0, 1 - y_i w.x_i)^2,        c_i = C s_i.

Problems that differ in class or in C share every pass over the data. On pooled convolutional features this took a half
to a third of the passes of truncated Newton.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dcgan_analysis.linear.design import Design

# Steps over which the decrease of the objective is measured, see `_estimate`.
_DELAY = 10
_LINE_STEPS = 12
# The least share of the duality gap that an error is estimated to be, see `within_gap`.
_GAP_SHARE = 0.1
# Steps between accurate evaluations, see `descend`.
_FIRST_INTERVAL, _INTERVAL = 4, 12


@dataclass(frozen=True)
class Problems:
    """M binary problems on the same rows.

    Attributes:
        labels: (N,) class of each row, 0 <= label < K.
        weights: (N,) sample weights, not negative; rows of weight 0 are held out.
        positive: (M,) class that problem m separates from the others.
        c: (M,) C of problem m.
    """

    labels: torch.Tensor
    weights: torch.Tensor
    positive: torch.Tensor
    c: torch.Tensor

    def __len__(self) -> int:
        return len(self.positive)

    def take(self, index: torch.Tensor) -> Problems:
        """Return some of the problems."""
        return Problems(self.labels, self.weights, self.positive[index], self.c[index])

    def hinge(self, scores: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Return ``max(0, 1 - y f)``, (M, n), for the scores of some rows."""
        positive = self.labels[None, rows] == self.positive[:, None]
        return torch.where(positive, 1 - scores, 1 + scores).clamp_min_(0)

    def dual(self, scores: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Return ``2 c y max(0, 1 - y f)``, (M, n): minus the derivative of the loss by the scores.

        Its absolute value is feasible in the dual problem; the optimum satisfies ``w = dual @ X``.
        """
        hinge = self.hinge(scores, rows)
        hinge *= (2 * self.c)[:, None] * self.weights[None, rows]
        return torch.where(self.labels[None, rows] == self.positive[:, None], hinge, -hinge)

    def objective(self, coef: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return P, (M,), in float64."""
        loss = torch.mv(self.hinge(scores).square_(), self.weights).double()
        return 0.5 * coef.square().sum(1).double() + self.c.double() * loss

    def active(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the share of the weight inside the margin, (M, 1)."""
        inside = (self.hinge(scores) > 0).to(scores.dtype)
        return (torch.mv(inside, self.weights) / self.weights.sum())[:, None]


@dataclass
class State:
    """Iterates of M problems.

    Attributes:
        coef: (M, D + 1).
        scores: (M, N), of all rows, held-out ones too.
        gradient: (M, D + 1).
        objective: (M,) float64.
        error: (M,) estimated relative distance of the objective to the optimum.
        steps: (M,) int64.
    """

    coef: torch.Tensor
    scores: torch.Tensor
    gradient: torch.Tensor
    objective: torch.Tensor
    error: torch.Tensor
    steps: torch.Tensor

    def take(self, index: torch.Tensor) -> State:
        """Copy some of the problems."""
        return State(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: Sequence[State]) -> State:
        """Return the problems of all parts, one after the other; a single part is not copied."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def put(self, index: torch.Tensor, other: State) -> None:
        """Overwrite some of the problems."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[index] = getattr(other, name)


def descend(
    design: Design,
    problems: Problems,
    state: State,
    preconditioner: Preconditioner,
    *,
    tol: float,
    max_iter: int,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Improve ``state`` in place until every problem's relative error estimate is below ``tol``.

    Updates with rounded products make scores and gradients drift. They are recomputed accurately after 4, 12, 24,
    36, ... steps and when all problems seem solved; only such a state counts as solved ("reliable updates", Sleijpen
    and van der Vorst 1996, Computing 56).

    Args:
        design: The data.
        problems: M problems.
        state: Start, scores and gradient included.
        preconditioner: Shared by all problems.
        tol: Relative error of the objective to reach.
        max_iter: Largest number of steps per problem.
        progress: Called with one line per step.
    """
    unsolved = torch.arange(len(problems), device=state.coef.device)
    run = _Run(design, problems, state.take(unsolved), preconditioner)
    renewed, interval = 0, _FIRST_INTERVAL
    for step in range(1, max_iter + 1):
        last = step == max_iter
        accurate = not design.rounds
        if design.rounds and (bool((run.state.error <= tol).all()) or last or step - renewed >= interval):
            renewed, interval, accurate = step, min(interval + _FIRST_INTERVAL, _INTERVAL), True
            run.step(renew=True)
        else:
            run.step(renew=False)
        if progress is not None:
            progress(f"L2-SVM step {step}: {len(unsolved)} problems left, error {float(run.state.error.max()):.1e}")
        solved = run.state.error <= tol if not last else torch.ones_like(unsolved, dtype=torch.bool)
        # Solved problems are removed in groups: copying the others costs more than a few superfluous columns.
        if accurate and (solved.all() or 4 * int(solved.sum()) >= len(unsolved)):
            state.put(unsolved[solved], run.state.take(solved))
            unsolved = unsolved[~solved]
            if not len(unsolved):
                return
            run.keep(~solved)


class _Run:
    """The iteration: a state, a direction per problem, and a short memory of objectives."""

    def __init__(self, design: Design, problems: Problems, state: State, preconditioner: Preconditioner) -> None:
        self.design, self.problems, self.state = design, problems, state
        self.preconditioner = preconditioner
        self.history = [state.objective]
        preconditioned = self._precondition()
        self.slope = (state.gradient * preconditioned).sum(1, keepdim=True)
        self.direction = -preconditioned

    def keep(self, index: torch.Tensor) -> None:
        """Continue with some of the problems."""
        self.problems, self.state = self.problems.take(index), self.state.take(index)
        self.history = [objective[index] for objective in self.history]
        self.slope, self.direction = self.slope[index], self.direction[index]

    def step(self, *, renew: bool) -> None:
        """Move every problem along its direction and choose the next one.

        Args:
            renew: Whether to compute scores and gradients anew, accurately.
        """
        state, problems = self.state, self.problems
        change = self.design.scores(self.direction)
        length = line_search(
            problems,
            state.scores,
            change,
            along=(state.coef * self.direction).sum(1),
            square=self.direction.square().sum(1),
        )
        old = state.gradient
        state.coef += length * self.direction
        if renew:
            state.scores, adjoint = self.design.refresh(state.coef, problems.dual)
            state.gradient = state.coef - adjoint
        else:
            # Only increments go through the (rounded) products, so that errors shrink with the steps.
            increment = -problems.dual(state.scores)
            state.scores += length * change
            increment += problems.dual(state.scores)
            state.gradient = old + length * self.direction - self.design.adjoint(increment)
        state.objective = problems.objective(state.coef, state.scores)
        state.steps += 1
        preconditioned = self._precondition()
        slope = (state.gradient * preconditioned).sum(1, keepdim=True)
        beta = (slope - (preconditioned * old).sum(1, keepdim=True)) / self.slope.clamp_min(_tiny(slope))
        direction = self.direction * beta.clamp_min(0) - preconditioned
        uphill = (direction * state.gradient).sum(1, keepdim=True) >= 0
        self.direction = torch.where(uphill, -preconditioned, direction)
        self.slope = slope
        self.history = [*self.history[-_DELAY:], state.objective]
        self._estimate()

    def _precondition(self) -> torch.Tensor:
        active = self.problems.active(self.state.scores)
        return self.preconditioner.apply(self.state.gradient, 2 * self.problems.c[:, None] * active)

    def _estimate(self) -> None:
        """Estimate how far each objective is from its optimum.

        The duality gap, ``0.5 |gradient|^2``, bounds the error but exceeds it by orders of magnitude in stiff
        directions. The estimate is the decrease over the last few steps (Strakos and Tichy 2002, ETNA 13) or, if
        larger, the one that the preconditioned quadratic model predicts, limited by the gap (`within_gap`).
        """
        state = self.state
        predicted = 0.5 * self.slope.squeeze(1).double()
        decrease = self.history[0] - state.objective
        if len(self.history) <= _DELAY:
            decrease = torch.full_like(decrease, torch.inf)
        estimate = torch.maximum(predicted, decrease)
        gap = 0.5 * state.gradient.square().sum(1).double()
        state.error = within_gap(estimate, gap) / state.objective.clamp_min(1e-300)


def within_gap(estimate: torch.Tensor, gap: torch.Tensor) -> torch.Tensor:
    """Return error estimates (M,), at most the duality gap that bounds the error and at least a tenth of it.

    Far outside the usual values of C, where single steps gain little, an estimate may be thousands of times too small.
    """
    return torch.maximum(torch.minimum(estimate, gap), _GAP_SHARE * gap)


def line_search(
    problems: Problems, scores: torch.Tensor, change: torch.Tensor, *, along: torch.Tensor, square: torch.Tensor
) -> torch.Tensor:
    """Minimise the objective along a direction d, downhill.

    Newton's method on the derivative, which is increasing and piecewise linear in the length; a bracket keeps it from
    cycling.

    Args:
        problems: M problems.
        scores: (M, N), at length 0.
        change: (M, N), the scores of d.
        along: (M,), the inner product of the coefficients with d.
        square: (M,), the squared norm of d.

    Returns:
        (M, 1), step lengths >= 0.
    """
    length = torch.zeros_like(along)
    low, high = torch.zeros_like(along), torch.full_like(along, torch.inf)
    for _ in range(_LINE_STEPS):
        dual = problems.dual(torch.addcmul(scores, change, length[:, None]))
        slope = along + length * square - (dual * change).sum(1)
        low = torch.where(slope < 0, length, low)
        high = torch.where(slope < 0, high, length)
        inside = (dual != 0).to(change.dtype).mul_(change).mul_(change)
        curvature = square + 2 * problems.c * torch.mv(inside, problems.weights)
        proposal = length - slope / curvature.clamp_min(_tiny(curvature))
        middle = torch.where(high.isinf(), 2 * low, 0.5 * (low + high))
        proposal = torch.where((proposal < low) | (proposal > high), middle, proposal)
        settled = (proposal - length).abs() <= 1e-4 * length
        length = proposal
        if settled.all():
            break
    return length[:, None]


def _tiny(like: torch.Tensor) -> float:
    return torch.finfo(like.dtype).tiny


class Preconditioner:
    """Approximate inverse of ``I + scale * X.T @ X`` for any scale, of low rank, from a sample of the rows.

    A few hundred directions carry nearly all of ``X.T @ X`` of features after LeakyReLU and max-pooling. Nystroem
    approximation with row sampling, inverse by Frangella, Tropp, Udell 2021, arXiv 2110.02820, section 5. One
    decomposition serves every class and every C, which only scale the spectrum.

    Args:
        design: The matrix.
        weights: (N,) sample weights; rows of weight 0 are not sampled.
        sample: Number of rows to sample.
        rank: Number of directions to keep.
        generator: Source of the sample.
    """

    def __init__(
        self,
        design: Design,
        weights: torch.Tensor,
        *,
        sample: int,
        rank: int,
        generator: torch.Generator,
    ) -> None:
        usable = weights.nonzero().squeeze(1).cpu()
        sample = min(sample, len(usable))
        chosen = torch.randperm(len(usable), generator=generator)[:sample]
        rows = design.sample(usable[chosen].sort().values)
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        rank = min(rank, sample)
        values, vectors = values[-rank:].flip(0), vectors[:, -rank:].flip(1)
        kept = values > values[0].clamp_min(1e-30) * torch.finfo(values.dtype).eps * sample
        values, vectors = values[kept], vectors[:, kept]
        self.basis = (vectors.T @ rows) / values.sqrt()[:, None]
        self.values = values * (float(weights.sum()) / max(sample, 1))
        complete = rank == sample == len(usable) or len(values) >= design.shape[1]
        self.rest = 0.0 if complete or not len(values) else float(self.values[-1])

    def apply(self, gradient: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the preconditioned gradients.

        Args:
            gradient: (M, D + 1).
            scale: (M, 1), the factor of ``X.T @ X`` in each problem.

        Returns:
            (M, D + 1).
        """
        rest = 1 + self.rest * scale
        shrink = 1 / (1 + self.values * scale) - 1 / rest
        result: torch.Tensor = gradient / rest + ((gradient @ self.basis.T) * shrink) @ self.basis
        return result
