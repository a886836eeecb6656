"""Confidence intervals of fractions, means and differences: by formula, or by bootstrap for values that come in groups.

numpy and scipy are imported by the functions that need them: light commands import this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Z_95 = 1.959963984540054
"""The standard normal quantile that leaves 2.5 % on either side."""

_DRAWS = 2000
_AT_ONCE = 100  # draws, to bound memory
_ENDS = (2.5, 97.5)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a binomial fraction (Wilson 1927, JASA 22:209).

    Unlike value +- 1.96 standard errors it stays within [0, 1] and keeps its level for fractions near the ends.

    Args:
        successes: Number of successes, 0 to ``n``.
        n: Number of trials, at least 1.

    Returns:
        Lower and upper end.

    Example:
        >>> [round(end, 3) for end in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    if n < 1 or not 0 <= successes <= n:
        msg = f"successes must lie in 0..n and n be at least 1, got {successes} of {n}"
        raise ValueError(msg)
    from scipy.stats import binomtest

    ends = binomtest(successes, n).proportion_ci(method="wilson")
    # Rounding must not put them past the value itself.
    return min(successes / n, float(ends.low)), max(successes / n, float(ends.high))


def spread_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, mean - 1.96 std and mean + 1.96 std over draws (std with n - 1), as the authors' code does.

    With a single draw the interval has no width.

    Example:
        >>> [round(v, 2) for v in spread_interval([0.7, 0.8])]
        [0.75, 0.61, 0.89]
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return mean, mean, mean
    half = 1.96 * math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class Difference:
    """A paired difference of two fractions, A minus B.

    Attributes:
        value: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided probability of a difference at least as large if there were none.
    """

    value: float
    low: float
    high: float
    p: float


def mcnemar(only_a: int, only_b: int, n: int) -> Difference:
    """Compare two classifiers on the same images by the images that just one of them gets right.

    The p-value is exact: without a difference, ``only_a`` is binomial with probability 1/2 (McNemar 1947, Psychometrika
    12:153). The interval is that of Agresti and Min 2005, Statistics in Medicine 24:729 (half an image added to each of
    the four cells).

    Args:
        only_a: Images that A classifies rightly and B wrongly.
        only_b: Images that B classifies rightly and A wrongly.
        n: All images, at least 1.

    Example:
        >>> test = mcnemar(8, 2, 100)
        >>> round(test.value, 3), round(test.p, 4)
        (0.06, 0.1094)
    """
    if n < 1 or min(only_a, only_b) < 0 or only_a + only_b > n:
        msg = f"only_a and only_b must be >= 0 and add up to at most n >= 1, got {only_a} and {only_b} of {n}"
        raise ValueError(msg)
    from scipy.stats import binomtest

    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    value, size = (only_a - only_b) / n, n + 2
    centre = (only_a - only_b) / size
    half = Z_95 * math.sqrt(max(0.0, (only_a + only_b + 1) / size - centre**2) / size)
    return Difference(value, min(value, max(-1.0, centre - half)), max(value, min(1.0, centre + half)), p)


def paired_draws(a: np.ndarray, b: np.ndarray, *, same_draws: bool) -> Difference:
    """Compare two classifiers that were each fitted on several draws and tested on the same images.

    Both the draws and the test images are samples. With ``D[i, j]`` the difference on draw i and image j, the variance
    of its mean is taken as that of the draws' means over their number plus that of the images' means over theirs:
    never too small where both vary (Owen 2007, Annals of Applied Statistics 1:386). p is two-sided and normal. Where
    the draws of A and B are not the same, their variances add.

    Args:
        a: (draws, N) whether A is right.
        b: (draws of B, N) whether B is right on the same images.
        same_draws: Whether draw i holds the same training images for both.

    Example:
        >>> import numpy as np
        >>> a, b = np.array([[1, 1, 1, 0], [1, 1, 1, 1]]), np.array([[1, 0, 1, 0], [0, 1, 1, 1]])
        >>> paired_draws(a, b, same_draws=True).value
        0.25
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or (same_draws and len(a) != len(b)):
        msg = f"a and b must be (draws, N) on the same N images, got {a.shape} and {b.shape}"
        raise ValueError(msg)

    def spread(values: np.ndarray) -> float:
        return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0

    means = a.mean(axis=1), b.mean(axis=1)
    value = float(means[0].mean() - means[1].mean())
    over_draws = spread(means[0] - means[1]) if same_draws else spread(means[0]) + spread(means[1])
    error = math.sqrt(over_draws + spread(a.mean(axis=0) - b.mean(axis=0)))
    p = math.erfc(abs(value) / error / math.sqrt(2)) if error else float(value == 0)
    return Difference(value, max(-1.0, value - Z_95 * error), min(1.0, value + Z_95 * error), p)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of independent measurements and its 95 % interval by Student's t, which holds for few as well.

    1.96 standard errors of five draws would cover the truth 88 times in 100. With a single value the interval has no
    width.

    Example:
        >>> [round(v, 2) for v in mean_interval([0.0, 1.0, 0.0, 1.0])]
        [0.5, -0.42, 1.42]
    """
    from scipy.stats import t

    mean, low, high = spread_interval(values)
    n = len(values)
    half = (high - low) / 2 / 1.96 / math.sqrt(n) * float(t.ppf(0.975, n - 1)) if n > 1 else 0.0
    return mean, mean - half, mean + half


def judged_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of what several judges say of the same cases, and its 95 % interval over judges and cases.

    Both are samples: other judges, or other cases, would give another mean. Its variance is taken as that of the
    judges' means over their number plus that of the cases' means over theirs, which is never too small (Owen 2007,
    Annals of Applied Statistics 1:386); the quantile is Student's with the degrees of freedom of Satterthwaite 1946,
    few where most of the variance is that of a few judges.

    Args:
        values: (J, N). A single judge, or case, adds no variance.

    Returns:
        Mean, lower and upper end.

    Example:
        >>> import numpy as np
        >>> [round(end, 2) for end in judged_interval(np.array([[0.0, 1.0], [0.0, 1.0]]))]
        [0.5, -5.85, 6.85]
    """
    mean, variance, quantile = _judged(values)
    half = quantile * math.sqrt(variance)
    return mean, mean - half, mean + half


def judged_share(hits: np.ndarray) -> tuple[float, float, float]:
    """Return which share of cases holds in the eyes of several judges, and its 95 % interval over judges and cases.

    Wilson's interval for as many independent cases as would have the variance that ``judged_interval`` takes, at most
    N. Within [0, 1], and open to one side where all judges agree on none or on all.

    Args:
        hits: (J, N), whether it holds.

    Returns:
        Share, lower and upper end.

    Example:
        >>> import numpy as np
        >>> [round(end, 3) for end in judged_share(np.zeros((5, 100), bool))]
        [0.0, 0.0, 0.037]
    """
    mean, variance, quantile = _judged(hits)
    n = hits.shape[1] if variance == 0 else min(hits.shape[1], mean * (1 - mean) / variance)
    square = quantile**2
    centre = (mean + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * math.sqrt(mean * (1 - mean) / n + square / (4 * n**2))
    return mean, min(mean, max(0.0, centre - half)), max(mean, min(1.0, centre + half))


def _judged(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of values (J, N), its variance, and the quantile of its 95 % interval."""
    import numpy as np
    from scipy.stats import t

    values = np.asarray(values, np.float64)
    parts = [
        (float(means.var(ddof=1)) / len(means), len(means) - 1)
        for means in (values.mean(axis=1), values.mean(axis=0))
        if len(means) > 1
    ]
    variance = math.fsum(part for part, _ in parts)
    freedom = math.fsum(part**2 / degrees for part, degrees in parts)
    quantile = float(t.ppf(0.975, variance**2 / freedom)) if freedom else Z_95
    return float(values.mean()), variance, quantile


def auc_interval(lower: ArrayLike, higher: ArrayLike) -> tuple[float, float, float]:
    """Return the chance that a value of one sample lies below one of another, ties half, and its 95 % interval.

    This is the Mann-Whitney statistic over n m; its variance is that of DeLong et al. 1988, Biometrics 44:837. Where
    all values of one sample lie below all of the other it has none: the interval is then Wilson's, of as many cases as
    the smaller sample has.

    Args:
        lower: n values.
        higher: m values.

    Returns:
        Value, lower and upper end, cut to [0, 1].

    Example:
        >>> auc_interval([1, 2, 3], [1, 2, 3])[0], auc_interval([1, 2], [3, 4])[0]
        (0.5, 1.0)
    """
    of_lower, of_higher = _below(lower, higher)
    value = float(of_lower.mean())
    if value in (0, 1):
        n = min(len(of_lower), len(of_higher))
        return value, *wilson_interval(round(value) * n, n)
    return _auc(of_lower, of_higher, 0.0, 1.0)


def auc_difference(
    lower: ArrayLike, higher: ArrayLike, control_lower: ArrayLike, control_higher: ArrayLike
) -> tuple[float, float, float]:
    """Return by how much such a chance exceeds that of a control measured on the same cases, and its 95 % interval.

    The variance is that of DeLong et al. 1988, Biometrics 44:837, for areas that are correlated.

    Args:
        lower: n values.
        higher: m values.
        control_lower: Those of the control on the same n cases.
        control_higher: Those of the control on the same m cases.

    Returns:
        Difference, lower and upper end, cut to [-1, 1].

    Example:
        >>> [round(number, 2) for number in auc_difference([1, 2], [3, 4], [1, 4], [2, 3])]
        [0.5, -0.48, 1.0]
    """
    pairs = zip(_below(lower, higher), _below(control_lower, control_higher), strict=True)
    of_lower, of_higher = (ours - theirs for ours, theirs in pairs)
    return _auc(of_lower, of_higher, -1.0, 1.0)


def _below(lower: ArrayLike, higher: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return which share of the higher values lies above each lower one (n,), of the lower below each higher (m,)."""
    import numpy as np

    x, y = np.asarray(lower, np.float64), np.asarray(higher, np.float64)

    def share_above(values: np.ndarray, others: np.ndarray) -> np.ndarray:
        ordered = np.sort(others)
        below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        share: np.ndarray = 1 - below / (2 * len(ordered))
        return share

    return share_above(x, y), 1 - share_above(y, x)


def _auc(of_lower: np.ndarray, of_higher: np.ndarray, least: float, most: float) -> tuple[float, float, float]:
    value = float(of_lower.mean())
    variance = sum(float(part.var(ddof=1)) / len(part) for part in (of_lower, of_higher) if len(part) > 1)
    half = Z_95 * math.sqrt(variance)
    return value, max(least, value - half), min(most, value + half)


def precedence_test(values: ArrayLike, reference: ArrayLike, rank: int = 1) -> tuple[int, float]:
    """Count the values below the rank-th smallest of a reference, and test whether they are more than chance gives.

    If both are of one distribution the count is negative hypergeometric, whatever the distribution (Nelson 1963,
    Technometrics 5:491): a test of lower tails that is exact for few values. Ties do not count.

    Args:
        values: n values.
        reference: m values, m at least ``rank``.
        rank: 1 for the smallest.

    Returns:
        The count, and the one-sided probability of at least as many.

    Example:
        >>> below, p_value = precedence_test([1, 2, 3, 9], [5, 6])
        >>> below, round(p_value, 6)
        (3, 0.2)
    """
    import numpy as np

    asked, others = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    below, n = int((asked < np.partition(others, rank - 1)[rank - 1]).sum()), len(asked)
    return below, _precedence(below, n, len(others), rank)


@cache
def _precedence(below: int, n: int, m: int, rank: int) -> float:
    from scipy.stats import nhypergeom

    return float(nhypergeom.sf(below - 1, n + m, n, rank)) if below else 1.0


def rank_correlations(values: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each row (S, T) with its position, ties sharing ranks; 0 if it is constant.

    1 is a row that only rises, -1 one that only falls.

    Example:
        >>> import numpy as np
        >>> rank_correlations(np.array([[1.0, 2.0, 9.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])).round(3).tolist()
        [1.0, -1.0, 0.0]
    """
    import numpy as np
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    wanted = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    norms = np.linalg.norm(ranks, axis=1) * np.linalg.norm(wanted)
    correlations: np.ndarray = np.divide(ranks @ wanted, norms, out=np.zeros(len(values)), where=norms > 0)
    return correlations


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
        >>> import numpy as np
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
    import numpy as np

    low, high = np.percentile(np.asarray(draws), _ENDS)
    return min(float(low), value), max(float(high), value)


def _mean(values: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.nanmean(values, axis=1).mean())


def _estimate(value: float, draws: NDArray[np.float64], groups: int) -> Estimate:
    return Estimate(value, *percentile_interval(value, draws), groups)


def _resampled(
    values: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

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


def end_size(n: int, share: float, needed: int) -> int:
    """Return how many of n samples either end of their scores holds.

    Args:
        n: How many there are.
        share: Which share of them counts as an end, at most 0.5.
        needed: How many an end must hold.

    Raises:
        AnalysisError: If it holds fewer.

    Example:
        >>> end_size(60, 0.1, needed=4)
        6
    """
    size = round(share * n)
    if size < needed:
        msg = (
            f"Either end of the scores holds {size} of {n:,} samples; {needed} are needed. Draw more (the setting "
            "samples), or take wider ends (the setting tail)."
        )
        raise AnalysisError(msg)
    return size


def tails(values: np.ndarray, share: float, needed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the lowest and of the highest of N values, as many of each.

    Args:
        values: (N,).
        share: Which share of them counts as an end, at most 0.5.
        needed: How many an end must hold.

    Raises:
        AnalysisError: If it holds fewer.

    Example:
        >>> import numpy as np
        >>> [end.tolist() for end in tails(np.array([3.0, 1.0, 2.0, 5.0]), share=0.25, needed=1)]
        [[1], [3]]
    """
    import numpy as np

    order, size = np.argsort(values, kind="stable"), end_size(len(values), share, needed)
    return order[:size], order[len(order) - size :]
