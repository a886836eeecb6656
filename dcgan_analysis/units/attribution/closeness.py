"""How far made images lie from real ones, in units of how far real images lie from one another. Arrays only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 512  # images held as floats at once


def nearest_distances(
    queries: NDArray[np.uint8], others: NDArray[np.uint8], own: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return the root mean square pixel distance of each query to the nearest of the others, in gray levels.

    Args:
        queries: uint8 (Q, ...).
        others: uint8 (N, ...), of the same shape otherwise.
        own: Where each query itself stands among the others (Q,), to be left out; or None.

    Example:
        >>> images = np.array([[0, 0], [0, 10], [50, 50]], np.uint8)
        >>> nearest_distances(images[:1], images, np.array([0])).round(3).tolist()
        [7.071]
    """
    rows = queries.reshape(len(queries), -1).astype(np.float32)
    squares = (rows**2).sum(1, dtype=np.float64)
    best = np.full(len(rows), np.inf)
    for start in range(0, len(others), _BLOCK):
        block = others[start : start + _BLOCK].reshape(-1, rows.shape[1]).astype(np.float32)
        distance = squares[:, None] + (block**2).sum(1, dtype=np.float64) - 2.0 * (rows @ block.T)
        if own is not None:
            in_block = np.flatnonzero((own >= start) & (own < start + len(block)))
            distance[in_block, own[in_block] - start] = np.inf
        best = np.minimum(best, distance.min(1))
    result: NDArray[np.float64] = np.sqrt(np.maximum(best, 0) / rows.shape[1])
    return result


def relative_distances(
    made: NDArray[np.uint8], real: NDArray[np.uint8], compared: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each made image's distance to the nearest real one over the mean of such distances between real ones.

    Args:
        made: uint8 (Q, ...).
        real: uint8 (N, ...).
        compared: Which real images tell how far real ones lie apart.

    Returns:
        Ratios (Q,); 1: as near as real images are to one another. NaN where real images do not differ.
    """
    between = float(nearest_distances(real[compared], real, compared).mean()) if len(real) > 1 else 0.0
    distances = nearest_distances(made, real)
    return distances / between if between > 0 else np.full(len(distances), np.nan)
