"""Intervals for measured fractions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Z_95", "spread_interval", "wilson_interval"]

Z_95 = 1.959963984540054
"""The standard normal quantile that leaves 2.5 % on either side."""


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
    p, z2 = successes / n, Z_95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At the ends the exact bounds are 0 and 1; rounding must not put them past the value itself.
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


def spread_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, mean - 1.96 std and mean + 1.96 std over draws (std with n - 1), as the paper reports draws.

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
