"""Bootstrap intervals, above all for values that come in groups: images of a feature, draws of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Estimate", "bootstrap_difference", "bootstrap_mean", "percentile_interval"]

_DRAWS = 2000
_AT_ONCE = 100  # draws, to bound memory
_ENDS = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of means, with its 95 % percentile interval.

    Attributes:
        value: The estimate itself, not the mean of the draws.
        low: Lower end, at most ``value``.
        high: Upper end, at least ``value``.
        groups: How many groups it rests on; of a difference, those of the smaller side.
    """

    value: float
    low: float
    high: float
    groups: int


def bootstrap_mean(values: NDArray[np.float64], rng: np.random.Generator) -> Estimate:
    """Estimate the mean over groups of the means within groups, by a two-stage bootstrap (Davison, Hinkley 1997, 3.8).

    Groups are drawn with replacement, then values within each drawn group: values of one group are alike and count
    less than as many from different groups.

    Args:
        values: (G, M), NaN where a group has fewer values; a group of NaN alone is left out.
        rng: Source of the draws.

    Raises:
        ValueError: If no value is left.

    Example:
        >>> bootstrap_mean(np.array([[1.0, 3.0], [2.0, 2.0]]), np.random.default_rng(0)).value
        2.0
    """
    kept, draws = _resampled(values, rng)
    return _estimate(_mean(kept), draws, len(kept))


def bootstrap_difference(first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator) -> Estimate:
    """Estimate the difference of two such means, first less second; the groups of the two are not paired.

    Raises:
        ValueError: If a side has no value left.
    """
    ours, our_draws = _resampled(first, rng)
    theirs, their_draws = _resampled(second, rng)
    return _estimate(_mean(ours) - _mean(theirs), our_draws - their_draws, min(len(ours), len(theirs)))


def percentile_interval(value: float, draws: ArrayLike) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap draws; it holds the value itself.

    Example:
        >>> percentile_interval(0.5, [0.1, 0.1, 0.2])[1]
        0.5
    """
    low, high = np.percentile(np.asarray(draws), _ENDS)
    return min(float(low), value), max(float(high), value)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values, axis=1).mean())


def _estimate(value: float, draws: NDArray[np.float64], groups: int) -> Estimate:
    return Estimate(value, *percentile_interval(value, draws), groups)


def _resampled(
    values: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kept = values[~np.isnan(values).all(axis=1)]
    if not len(kept):
        msg = "there is no value to resample"
        raise ValueError(msg)
    # The values of each group first, so that an index below its count never meets a gap.
    packed = np.take_along_axis(kept, np.argsort(np.isnan(kept), axis=1, kind="stable"), axis=1)
    counts = (~np.isnan(kept)).sum(axis=1)
    size, width = kept.shape
    means = []
    for _ in range(_DRAWS // _AT_ONCE):
        groups = rng.integers(size, size=(_AT_ONCE, size))
        n = counts[groups][..., None]
        inner = (rng.random((_AT_ONCE, size, width)) * n).astype(np.int64)
        drawn = packed[groups[..., None], inner]
        # As many values as the group has.
        drawn[np.broadcast_to(np.arange(width), drawn.shape) >= n] = 0
        means.append((drawn.sum(axis=2) / n[..., 0]).mean(axis=1))
    return kept, np.concatenate(means)
