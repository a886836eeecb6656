"""What directions do to new samples: how much images change, which attribute moves, and whether it moves alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.latents.moving import measure_directions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.latents.attributes import Judge
    from dcgan_analysis.latents.judges import PerceptualJudge
    from dcgan_analysis_plugins.directions.finding import Direction

__all__ = ["Effect", "Factor", "measure_effects", "moved_factor", "outside_prior"]

_LONGEST = 0.99


@dataclass(frozen=True)
class Factor:
    """How an attribute moves along a direction, per unit of its length.

    Attributes:
        column: The attribute that moves most, or the one that is meant.
        rises: Whether there is more of it at the far end.
        moved: (J, S) each judge's move of each sample, in standard deviations; positive is the way in which the
            attribute moves on the other half of the samples or, where it is meant, up.
        own: (J,) mean absolute move.
        others: (J,) mean absolute move of all other attributes.
    """

    column: int
    rises: bool
    moved: np.ndarray
    own: np.ndarray
    others: np.ndarray

    @property
    def selectivity(self) -> np.ndarray:
        """(J,) absolute move over that of the others."""
        ratio: np.ndarray = self.own / np.maximum(self.others, 1e-9)
        return ratio


@dataclass(frozen=True)
class Effect:
    """What one direction does.

    Attributes:
        ends: (J, S, A) how far each attribute moves, per unit of length, in standard deviations.
        factor: The attribute that it moves most, or is meant to.
        change: (S,) perceptual distance of the two ends, per unit of length.
        outside: Share outside of the prior, see ``outside_prior``.
    """

    ends: np.ndarray
    factor: Factor
    change: np.ndarray
    outside: float


def moved_factor(ends: np.ndarray, meant: int | None = None) -> Factor:
    """Return how the attribute moves that moves most: found on half of the samples, measured on the other half.

    Both halves take turns: among many attributes, what moves most by chance would otherwise be taken for an effect.

    Args:
        ends: (J, S, A) how far attributes move, S >= 2.
        meant: Column of the attribute that is meant; None: none is.

    Example:
        >>> factor = moved_factor(np.array([[[1.0, -3.0], [2.0, -4.0]]]))
        >>> factor.column, factor.rises, factor.moved.tolist(), factor.selectivity.round(2).tolist()
        (1, False, [[3.0, 4.0]], [2.33])
    """
    judges, samples, _ = ends.shape
    moved, own, others = np.empty((judges, samples)), np.empty((judges, samples)), np.empty((judges, samples))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        rest = slice(1 - half.start, None, 2)
        column, sign = (meant, 1.0) if meant is not None else _largest(ends[:, rest])
        moved[:, half] = sign * ends[:, half, column]
        own[:, half] = np.abs(ends[:, half, column])
        others[:, half] = np.abs(np.delete(ends[:, half], column, axis=2)).mean(axis=2)
    column = _largest(ends)[0] if meant is None else meant
    return Factor(column, bool(ends[..., column].mean() >= 0), moved, own.mean(axis=1), others.mean(axis=1))


def _largest(ends: np.ndarray) -> tuple[int, float]:
    """Return the attribute whose mean move is largest, and its sign."""
    means = ends.mean(axis=(0, 1))
    column = int(np.abs(means).argmax())
    return column, 1.0 if means[column] >= 0 else -1.0


def measure_effects(
    sampler: Sampler,
    judge: Judge,
    embed: PerceptualJudge,
    new: Tensor,
    directions: Sequence[Direction],
    reach: float,
    units: np.ndarray,
    done: Callable[[int], None],
) -> list[Effect]:
    """Move new samples by ``reach`` to either side along each direction, and judge both ends.

    Args:
        sampler: Draws the images; a conditional generator's must draw one class.
        judge: Predicts their attributes.
        embed: Measures how different they look.
        new: (S, Z).
        directions: Which.
        reach: Length of the way to either side.
        units: (J, A) each judge's standard deviation of each attribute among plain samples.
        done: Called with the number of directions done.
    """
    ends = torch.tensor([-reach, reach])
    vectors = [direction.vector for direction in directions]
    moves = measure_directions(sampler, judge, embed, new, vectors, ends, units, done)
    prior = sampler.checkpoint.metadata.z_prior
    effects = []
    for direction, move in zip(directions, moves, strict=True):
        per_unit = move.ends / (2 * reach)
        moved = torch.cat([new - reach * direction.vector, new + reach * direction.vector])
        factor = moved_factor(per_unit, direction.attribute)
        effects.append(Effect(per_unit, factor, move.change / (2 * reach), outside_prior(moved, prior)))
    return effects


def outside_prior(z: Tensor, prior: str) -> float:
    """Return which share of latent vectors (N, Z) lies where the prior has next to nothing.

    Uniform: the share of numbers outside of [-1, 1]. Normal: the share of vectors longer than 99 % of the prior's are
    (chi distribution with Z degrees of freedom).

    Example:
        >>> outside_prior(torch.tensor([[0.5, 2.0]]), "uniform"), outside_prior(torch.tensor([[0.5, 9.0]]), "normal")
        (0.5, 1.0)
    """
    from scipy.stats import chi

    if prior == "uniform":
        return float((z.abs() > 1).double().mean())
    return float((z.norm(dim=1) > chi.ppf(_LONGEST, z.shape[1])).double().mean())
