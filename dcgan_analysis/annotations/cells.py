"""From boxes in pixels to positions of a feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["cells_inside", "cells_touched", "draw_cells"]

Box = tuple[float, float, float, float]


def cells_inside(boxes: Sequence[Box], grid: tuple[int, int], image: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which positions of a map lie inside boxes: those whose centre does.

    Args:
        boxes: ``(x, y, width, height)`` in pixels.
        grid: Height and width of the map.
        image: Height and width of the image; boxes are scaled by the quotient.

    Returns:
        Mask of shape ``grid``. A box that holds no centre counts for the position around its own centre.

    Example:
        >>> cells_inside([(0, 0, 4, 2)], (2, 2), (4, 4)).tolist()
        [[True, True], [False, False]]
    """
    mask = np.zeros(grid, dtype=bool)
    ys, xs = ((np.arange(n) + 0.5) * side / n for n, side in zip(grid, image, strict=True))
    for x, y, w, h in boxes:
        rows, columns = (ys >= y) & (ys < y + h), (xs >= x) & (xs < x + w)
        if not rows.any():
            rows[_position(y + h / 2, grid[0], image[0])] = True
        if not columns.any():
            columns[_position(x + w / 2, grid[1], image[1])] = True
        mask |= rows[:, None] & columns
    return mask


def cells_touched(boxes: Sequence[Box], grid: tuple[int, int], image: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which positions of a map share any area with boxes; the others lie clear of them.

    Example:
        >>> cells_touched([(0, 0, 2.5, 1)], (2, 2), (4, 4)).tolist()
        [[True, True], [False, False]]
    """
    mask = np.zeros(grid, dtype=bool)
    (tops, bottoms), (lefts, rights) = (
        (np.arange(n) * side / n, (np.arange(n) + 1) * side / n) for n, side in zip(grid, image, strict=True)
    )
    for x, y, w, h in boxes:
        mask |= ((bottoms > y) & (tops < y + h))[:, None] & ((rights > x) & (lefts < x + w))
    return mask


def draw_cells(clear: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw at most ``count`` different positions of a mask, as indices into it laid flat, in ascending order."""
    places = np.flatnonzero(clear)
    return np.sort(rng.choice(places, min(count, len(places)), replace=False))


def _position(at: float, cells: int, side: int) -> int:
    return min(int(at * cells / side), cells - 1)
