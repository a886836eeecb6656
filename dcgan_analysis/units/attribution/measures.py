"""What an attribution map looks like in numbers: how concentrated it is, and how much two maps agree. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MapMeasures:
    """How concentrated maps are, one number each (N,); NaN for a map that is zero everywhere.

    Attributes:
        top_share: Share of the whole in the strongest pixels. A flat map has the share of pixels counted.
        gini: Gini coefficient over pixels, 0 (flat) to 1 - 1/P (a single one of P pixels).
        entropy: Shannon entropy over pixels divided by its largest value, 0 (single pixel) to 1 (flat).
    """

    top_share: NDArray[np.float64]
    gini: NDArray[np.float64]
    entropy: NDArray[np.float64]


def measure_maps(maps: list[NDArray[np.float32]], share: float = 0.05) -> MapMeasures:
    """Measure attribution maps (C, H, W) of any sizes; absolute values are summed over channels first.

    Args:
        maps: One array for each map.
        share: Which part of the pixels ``top_share`` counts, > 0 and <= 1. Where that is no whole number of pixels,
            the last one counts in part, so that a flat map always has exactly this share.

    Example:
        >>> flat, spike = np.ones((1, 4, 5), np.float32), np.zeros((1, 4, 5), np.float32)
        >>> spike[0, 0, 0] = -2
        >>> measure_maps([flat, spike]).top_share.round(2).tolist()
        [0.05, 1.0]
    """
    rows = [_measure(np.abs(map_).sum(0, dtype=np.float64).ravel(), share) for map_ in maps]
    columns = np.array(rows, np.float64).reshape(len(rows), 3).T
    return MapMeasures(*columns)


def _measure(mass: NDArray[np.float64], share: float) -> tuple[float, float, float]:
    total, n = float(mass.sum()), len(mass)
    if total <= 0 or not np.isfinite(total):
        return np.nan, np.nan, np.nan
    falling = np.sort(mass)[::-1] / total
    counted = share * n
    whole = int(counted)
    top = float(falling[:whole].sum())
    if whole < n:
        top += (counted - whole) * float(falling[whole])
    # The mean difference of all pairs, from the ranks.
    gini = float((falling * (n - 1 - 2 * np.arange(n))).sum()) / n
    present = falling[falling > 0]
    entropy = float(-(present * np.log(present)).sum() / np.log(n)) if n > 1 else 0.0
    return top, gini, entropy


def correlations(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Pearson correlation of each pair of maps (N, C, H, W), or of any shape (N, ...).

    Two maps that are both constant agree by convention (1); a constant and another do not (0).

    Example:
        >>> a = np.array([[1.0, 2.0, 3.0]], np.float32)
        >>> correlations(a, 2 * a + 1).round(6).tolist(), correlations(a, -a).round(6).tolist()
        ([1.0], [-1.0])
    """
    a, b = (maps.reshape(len(maps), -1).astype(np.float64) for maps in (first, second))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product = norms[0] * norms[1]
    both_constant = (norms[0] == 0) & (norms[1] == 0)
    correlations = np.divide((a * b).sum(1), product, out=np.zeros(len(a)), where=product > 0)
    result: NDArray[np.float64] = np.where(both_constant, 1.0, np.clip(correlations, -1.0, 1.0))
    return result
