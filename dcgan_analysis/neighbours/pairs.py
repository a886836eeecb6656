"""Distances of single pairs, for the few that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Pairs gathered at a time: few enough to stay in the cache.
_PAIRS = 512
# Rows that are held in float64 at a time.
_ROWS = 2000


class Rows:
    """Some rows and what is known of them.

    Args:
        values: (n, D), float32.
        whole: Whether products of these rows are whole numbers that float32 holds, and sums of them.

    Attributes:
        values: (n, D), float32.
        norms: (n,), float64, squared lengths.
        longest: Length of the longest.
        whole: As given.
    """

    def __init__(self, values: Tensor, *, whole: bool) -> None:
        self.values, self.whole = values, whole
        self.norms = torch.cat([_squares(part, whole=whole) for part in torch.split(values, _ROWS)])
        self.longest = float(self.norms.max().sqrt())


def nearest_of_pairs(queries: Rows, rows: Rows, query: Tensor, row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Measure pairs and return the nearest row of each query among them, of equals the first.

    Args:
        queries: (Q, D).
        rows: (n, D).
        query: (P,), which query, ascending.
        row: (P,), which row.

    Returns:
        (A,) the queries that occur, (A,) float64 squared distances, (A,) rows.
    """
    distinct, position = torch.unique_consecutive(query, return_inverse=True)
    parts = zip(torch.split(query, _PAIRS), torch.split(row, _PAIRS), strict=True)
    measured = torch.cat([_distances(queries, rows, some, others) for some, others in parts])
    least = torch.full((len(distinct),), torch.inf, dtype=torch.float64, device=row.device)
    least.scatter_reduce_(0, position, measured, "amin")
    first = torch.full((len(distinct),), torch.iinfo(torch.int64).max, device=row.device)
    hit = measured == least[position]
    first.scatter_reduce_(0, position[hit], row[hit], "amin")
    return distinct, least, first


def _squares(values: Tensor, *, whole: bool) -> Tensor:
    return values.square().sum(1).double() if whole else values.double().square_().sum(1)


def _distances(queries: Rows, rows: Rows, query: Tensor, row: Tensor) -> Tensor:
    left, right = queries.values.index_select(0, query), rows.values.index_select(0, row)
    if queries.whole and rows.whole:
        products = left.mul_(right).sum(1).double()
        return queries.norms[query] + rows.norms[row] - 2 * products
    return left.double().sub_(right).square_().sum(1)
