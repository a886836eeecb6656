"""Nearest rows of a large set, by L1 or L2, read block by block.

For bytes and L2 alone, where ties must be broken alike whatever the blocks, there is ``NearestNeighbours``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

_QUERIES = 256


@dataclass(frozen=True)
class Nearest:
    """The nearest of M rows to each of N queries.

    Attributes:
        distances: (N,).
        positions: (N,) which row it is.
        within: (K, N) distance to the nearest row of each of K subsets.
    """

    distances: Tensor
    positions: Tensor
    within: Tensor


def nearest_rows(
    queries: Tensor,
    blocks: Iterable[Tensor],
    *,
    norm: Literal[1, 2] = 2,
    exclude: Tensor | None = None,
    subsets: Tensor | None = None,
) -> Nearest:
    """Find the nearest rows.

    Args:
        queries: (N, D), float32.
        blocks: The M rows, in order, a block (m, D) at a time; only one block is held.
        norm: 1: sum of absolute differences; 2: Euclidean distance.
        exclude: (N,) a row that is not counted for each query (the query itself, where it is one of them).
        subsets: (K, M) masks of subsets whose nearest row is wanted as well.

    Raises:
        AnalysisError: If there is no row.

    Example:
        >>> found = nearest_rows(torch.tensor([[0.0], [5.0]]), [torch.tensor([[4.0]]), torch.tensor([[1.0]])])
        >>> found.distances.tolist(), found.positions.tolist()
        ([1.0, 1.0], [1, 0])
    """
    n = len(queries)
    distances = torch.full((n,), torch.inf)
    positions = torch.zeros(n, dtype=torch.long)
    within = torch.full((0 if subsets is None else len(subsets), n), torch.inf)
    start = 0
    for block in blocks:
        stop = start + len(block)
        for first in range(0, n, _QUERIES):
            part = slice(first, first + _QUERIES)
            table = torch.cdist(queries[part], block, p=norm, compute_mode="use_mm_for_euclid_dist")
            if exclude is not None:
                inside_block = ((exclude[part] >= start) & (exclude[part] < stop)).nonzero().flatten()
                table[inside_block, exclude[part][inside_block] - start] = torch.inf
            best, at = _nearest(table, queries[part], block, norm)
            better = best < distances[part]
            positions[part] = torch.where(better, at + start, positions[part])
            distances[part] = torch.minimum(distances[part], best)
            for k in range(len(within)):
                inside = subsets[k, start:stop] if subsets is not None else torch.zeros(0, dtype=torch.bool)
                if inside.any():
                    least, _ = _nearest(table[:, inside], queries[part], block[inside], norm)
                    within[k, part] = torch.minimum(within[k, part], least)
        start = stop
    if not start or bool(torch.isinf(distances).any()):
        msg = f"There is no row to be nearest to {n} queries. Give at least two images."
        raise AnalysisError(msg)
    return Nearest(distances, positions, within)


def _nearest(table: Tensor, queries: Tensor, block: Tensor, norm: Literal[1, 2]) -> tuple[Tensor, Tensor]:
    """Return distance and position of each query's nearest row, by a table of distances (N, m)."""
    best, at = table.min(dim=1)
    if norm == 2:
        # The table's product form loses what little lies between near copies: those found are measured again.
        best = torch.where(torch.isinf(best), best, (queries - block[at]).norm(dim=1))
    return best, at
