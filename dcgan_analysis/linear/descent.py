"""The solver: conjugate gradients on the squared hinge, many problems in one product.

Each problem is liblinear's L2-regularised L2-loss support vector machine in the primal,

    P(w) = 0.5 |w|^2 + sum_i c_i max(0, 1 - y_i w.x_i)^2,        c_i = C s_i,

with the intercept as a regularised component of w. P is convex, piecewise quadratic and once
differentiable. Nonlinear conjugate gradients (Polak-Ribiere+, preconditioned, with the exact step
along the line) needed a half to a third of the passes of truncated Newton on pooled
convolutional features: no pass is spent on a quadratic model whose active set is about to change.
Problems that differ in class or in C share every pass over the data; it costs hardly more for 70
of them than for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.linear.design import Design

__all__ = ["Preconditioner", "Problems", "State", "descend"]


# Steps over which the decrease of the objective is watched, see `_finished`.
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
        own = self.labels[None, rows] == self.positive[:, None]
        return torch.where(own, 1 - scores, 1 + scores).clamp_min_(0)

    def dual(self, scores: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Return ``2 c y max(0, 1 - y f)``, (M, n): minus the derivative of the loss by the scores.

        Its absolute value is feasible in the dual problem; the optimum satisfies ``w = dual @ X``.
        """
        own = self.labels[None, rows] == self.positive[:, None]
        hinge = torch.where(own, 1 - scores, 1 + scores).clamp_min_(0)
        hinge *= (2 * self.c)[:, None] * self.weights[None, rows]
        return torch.where(own, hinge, -hinge)

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
    """Where M problems stand.

    Attributes:
        coef: (M, D + 1).
        scores: (M, N), of all rows, held-out ones too.
        gradient: (M, D + 1).
        objective: (M,) float64.
        error: (M,) estimate of the distance of the objective to the optimum, relative.
        steps: (M,) int64, steps taken.
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

    Scores and gradients drift while they are updated with rounded products. So they are computed
    anew, accurately, after 4, 12, 24, 36, ... steps and when all problems seem solved; only such
    a state counts as solved ("reliable updates", Sleijpen and van der Vorst 1996, Computing 56).

    Args:
        design: The data.
        problems: M problems.
        state: Start, scores and gradient included.
        preconditioner: Shared by all problems.
        tol: Relative error of the objective to reach.
        max_iter: Largest number of steps per problem.
        progress: Called with one line per step.
    """
    left = torch.arange(len(problems), device=state.coef.device)
    run = _Run(design, problems, state.take(left), preconditioner)
    renewed, interval = 0, _FIRST_INTERVAL
    for step in range(1, max_iter + 1):
        last = step == max_iter
        accurate = not design.rounds
        if design.rounds and (run.solved_to(tol) or last or step - renewed >= interval):
            renewed, interval, accurate = step, min(interval + _FIRST_INTERVAL, _INTERVAL), True
            run.step(renew=True)
        else:
            run.step(renew=False)
        if progress is not None:
            progress(f"L2-SVM step {step}: {len(left)} problems left, error {run.worst():.1e}")
        done = run.state.error <= tol if not last else torch.ones_like(left, dtype=torch.bool)
        # Problems that are finished leave in groups: copying the others costs more than a few
        # superfluous columns.
        if accurate and (done.all() or 4 * int(done.sum()) >= len(left)):
            state.put(left[done], run.state.take(done))
            left = left[~done]
            if not len(left):
                return
            run.keep(~done)


class _Run:
    """The iteration: a state, a direction per problem, and a short memory of objectives."""

    def __init__(self, design: Design, problems: Problems, state: State, preconditioner: Preconditioner) -> None:
        self.design, self.problems, self.state = design, problems, state
        self.preconditioner = preconditioner
        self.history = [state.objective]
        self.solved = self._precondition()
        self.slope = (state.gradient * self.solved).sum(1, keepdim=True)
        self.direction = -self.solved

    def keep(self, index: torch.Tensor) -> None:
        """Go on with some of the problems."""
        self.problems, self.state = self.problems.take(index), self.state.take(index)
        self.history = [objective[index] for objective in self.history]
        self.slope, self.direction = self.slope[index], self.direction[index]

    def solved_to(self, tol: float) -> bool:
        """Return whether all problems seem solved."""
        return bool((self.state.error <= tol).all())

    def worst(self) -> float:
        """Return the largest error estimate."""
        return float(self.state.error.max())

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
            # Only increments go through the (rounded) products, so that errors shrink with the
            # steps.
            increment = -problems.dual(state.scores)
            state.scores += length * change
            increment += problems.dual(state.scores)
            state.gradient = old + length * self.direction - self.design.adjoint(increment)
        state.objective = problems.objective(state.coef, state.scores)
        state.steps += 1
        solved = self._precondition()
        slope = (state.gradient * solved).sum(1, keepdim=True)
        beta = (slope - (solved * old).sum(1, keepdim=True)) / self.slope.clamp_min(_tiny(slope))
        direction = self.direction * beta.clamp_min(0) - solved
        uphill = (direction * state.gradient).sum(1, keepdim=True) >= 0
        self.direction = torch.where(uphill, -solved, direction)
        self.slope = slope
        self.history = [*self.history[-_DELAY:], state.objective]
        self._estimate()

    def _precondition(self) -> torch.Tensor:
        active = self.problems.active(self.state.scores)
        return self.preconditioner.apply(self.state.gradient, 2 * self.problems.c[:, None] * active)

    def _estimate(self) -> None:
        """Estimate how far each objective is from its optimum.

        The duality gap, ``0.5 |gradient|^2``, bounds the error but exceeds it by orders of
        magnitude in stiff directions. What is left to gain is estimated, as usual for conjugate
        gradients (Strakos and Tichy 2002, ETNA 13), by what the last few steps gained, and by
        the gain that the preconditioned quadratic model promises; the larger counts, within
        what the gap allows (`within_gap`).
        """
        state = self.state
        promised = 0.5 * self.slope.squeeze(1).double()
        gained = self.history[0] - state.objective
        if len(self.history) <= _DELAY:
            gained = torch.full_like(gained, torch.inf)
        estimate = torch.maximum(promised, gained)
        gap = 0.5 * state.gradient.square().sum(1).double()
        state.error = within_gap(estimate, gap) / state.objective.clamp_min(1e-300)


def within_gap(estimate: torch.Tensor, gap: torch.Tensor) -> torch.Tensor:
    """Return estimates of an error (M,), at most the duality gap that bounds it and at least a tenth of it.

    Far outside the usual values of C, where single steps gain little, an estimate may be too small by a factor of
    thousands; the gap is then far too large, and says so.
    """
    return torch.maximum(torch.minimum(estimate, gap), _GAP_SHARE * gap)


def line_search(
    problems: Problems, scores: torch.Tensor, change: torch.Tensor, *, along: torch.Tensor, square: torch.Tensor
) -> torch.Tensor:
    """Minimise the objective along a direction d, downhill.

    Newton's method on the derivative, which is increasing and piecewise linear in the length; a
    bracket keeps it from cycling.

    Args:
        problems: M problems.
        scores: (M, N), where they stand.
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

    Features after LeakyReLU and max-pooling share a large mean and are strongly correlated: a few hundred directions
    carry nearly all of ``X.T @ X``. Their eigenvectors are taken from a sample of rows (a Nystroem approximation with
    row sampling; Frangella, Tropp, Udell 2021, arXiv 2110.02820, section 5, whose formula for the inverse is used). One
    decomposition serves every class and every C, because these only scale the spectrum.

    Args:
        design: The matrix.
        weights: (N,) sample weights; rows of weight 0 are not sampled.
        sample: Number of rows to look at.
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
        solved: torch.Tensor = gradient / rest + ((gradient @ self.basis.T) * shrink) @ self.basis
        return solved
