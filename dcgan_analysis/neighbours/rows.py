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
        ranked_distances: (N, k), the nearest first.
        ranked_positions: (N, k) which rows these are.
    """

    ranked_distances: Tensor
    ranked_positions: Tensor

    @property
    def distances(self) -> Tensor:
        """Distance to the nearest row, (N,)."""
        return self.ranked_distances[:, 0]

    @property
    def positions(self) -> Tensor:
        """Which row is nearest, (N,)."""
        return self.ranked_positions[:, 0]


def nearest_rows(
    queries: Tensor,
    blocks: Iterable[Tensor],
    *,
    norm: Literal[1, 2] = 2,
    exclude: Tensor | None = None,
    k: int = 1,
) -> Nearest:
    """Find the nearest rows.

    Args:
        queries: (N, D), float32.
        blocks: The M rows, in order, a block (m, D) at a time; only one block is held.
        norm: 1: sum of absolute differences; 2: Euclidean distance.
        exclude: (N,) a row that is not counted for each query (the query itself, where it is one of them); -1: none.
        k: How many; where there are fewer, all.

    Raises:
        AnalysisError: If there is no row.

    Example:
        >>> nearest = nearest_rows(torch.tensor([[0.0], [5.0]]), [torch.tensor([[4.0]]), torch.tensor([[1.0]])])
        >>> nearest.distances.tolist(), nearest.positions.tolist()
        ([1.0, 1.0], [1, 0])
    """
    n = len(queries)
    distances = torch.empty(n, 0)
    positions = torch.empty(n, 0, dtype=torch.long)
    start = 0
    for block in blocks:
        stop = start + len(block)
        parts = []
        for first in range(0, n, _QUERIES):
            part = slice(first, first + _QUERIES)
            table = torch.cdist(queries[part], block, p=norm, compute_mode="use_mm_for_euclid_dist")
            if exclude is not None:
                inside_block = ((exclude[part] >= start) & (exclude[part] < stop)).nonzero().flatten()
                table[inside_block, exclude[part][inside_block] - start] = torch.inf
            best, at = _nearest(table, queries[part], block, norm, k)
            best, at = torch.cat([distances[part], best], 1), torch.cat([positions[part], at + start], 1)
            order = best.argsort(dim=1, stable=True)[:, :k]
            parts.append((best.gather(1, order), at.gather(1, order)))
        if parts:
            distances, positions = (torch.cat(columns) for columns in zip(*parts, strict=True))
        start = stop
    # The row that is not counted comes last, where there are no others.
    finite = int(distances.isfinite().all(0).sum())
    if not start or not finite:
        msg = f"There is no row to be nearest to {n} queries. Give at least two images."
        raise AnalysisError(msg)
    return Nearest(distances[:, :finite], positions[:, :finite])


def _nearest(table: Tensor, queries: Tensor, block: Tensor, norm: Literal[1, 2], k: int) -> tuple[Tensor, Tensor]:
    """Return distances and positions of each query's nearest rows, by a table of distances (N, m)."""
    best, at = table.topk(min(k, table.shape[1]), largest=False)
    if norm == 2:
        # The table's product form loses what little lies between near copies: those found are measured again.
        exact = (queries - block[at[:, 0]]).norm(dim=1)
        best[:, 0] = torch.where(best[:, 0].isinf(), best[:, 0], exact)
    return best, at
