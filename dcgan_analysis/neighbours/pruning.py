"""Bounds before products, as long as that pays."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.neighbours.bound import ProjectionBound

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.neighbours.pairs import Rows

# To measure a pair, gathered from its places in memory, costs 25 to 30 times its share of a product: where more than
# one in 64 is left over, half of the gain is gone, and the product is taken.
_MOST = 1 / 64
# A block for which bounds were of no use lets the next one go without, then 3, 7, ... at most so many: a vain attempt
# costs a tenth of a product.
_LONGEST_PAUSE = 63


@dataclass
class Work:
    """What was done with pairs of a query and a row.

    Attributes:
        multiplied: Pairs whose distance came from the product of whole rows.
        bounded: Pairs looked at through a bound.
        measured: Those of them that it did not exclude.
    """

    multiplied: int = 0
    bounded: int = 0
    measured: int = 0


class Pruning:
    """Decide block by block whether bounds are worth trying, and tile by tile whether they were.

    Args:
        queries: (Q, D).
        wanted: Whether to try at all.
    """

    def __init__(self, queries: Rows, *, wanted: bool) -> None:
        self.work = Work()
        self._queries = queries
        self._wanted = wanted and ProjectionBound.directions_for(*queries.values.shape) > 0
        self._bound: ProjectionBound | None = None
        self._rows: Rows | None = None
        self._columns: Tensor | None = None
        self._pause = self._next_pause = 0
        self._tried = self._refused = 0
        self._counting = threading.Lock()

    def begin(self, rows: Rows, best: Tensor) -> None:
        """Prepare for a block of rows. Without distances to beat, ``best`` (Q,), nothing can be excluded."""
        self._rows, self._columns = rows, None
        self._tried = self._refused = 0
        if self._pause:
            self._pause -= 1
        elif self._wanted and bool(torch.isfinite(best).all()):
            # Not before it is needed: it takes as long as the products of a block.
            self._bound = self._bound or ProjectionBound(self._queries)
            self._columns = self._bound.rows(rows)

    def near(self, tile: slice, best: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the pairs of some queries and the block's rows that may be as near as the best (T,), or nearer.

        May be called in several threads at a time.

        Returns:
            Numbers of queries and rows; None: better multiply.
        """
        assert self._rows is not None  # begin() comes first
        pairs = len(best) * len(self._rows.values)
        tried = self._bound is not None and self._columns is not None
        near = None
        if self._bound is not None and self._columns is not None:
            near = self._bound.within(tile, self._columns, self._rows.longest, best, _MOST)
        with self._counting:
            self._tried += tried
            self._refused += tried and near is None
            if near is None:
                self.work.multiplied += pairs
                return None
            self.work.bounded += pairs
            self.work.measured += len(near[0])
        return near[0] + tile.start, near[1]

    def end(self) -> None:
        """Learn from the block."""
        if not self._tried:
            return
        if 2 * self._refused > self._tried:
            self._next_pause = min(2 * self._next_pause + 1, _LONGEST_PAUSE)
            self._pause = self._next_pause
        else:
            self._next_pause = 0
