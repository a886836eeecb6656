"""The nearest of a stream of rows, exactly.

Of a block of rows b and all queries q, ``|b|^2 - 2 q.b`` is one matrix product and an addition; it differs from the
squared distance by ``|q|^2``, which does not change who is nearest. The product is fast and rounded, so it only names
candidates: every row whose value lies within the rounding error of the best is measured again, and the distances that
decide are exact. A query whose best value in a block cannot beat what it has needs nothing more.

Once every query has a distance to beat, lower bounds from a few directions (see ``bound``) come first: of images they
exclude all but few pairs at a tenth of the cost, and those few are measured. Where they exclude too little, as of
random bytes, the product goes on (see ``pruning``). The answer is the same.

Bytes are shifted by 128, which changes no distance. Rows of up to 1,024 bytes then have products and partial sums that
are integers below 2^24 in size: float32 holds them without rounding, in whatever order they are added, and the product
itself is exact. Where the processor has bfloat16 units the product uses them: shifted bytes are exact in bfloat16, and
the rounding of its sums is part of its error.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.core.device import has_bfloat16_units
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.products import gram_product, residuals_are_exact
from dcgan_analysis.neighbours.pairs import Rows, nearest_of_pairs
from dcgan_analysis.neighbours.pruning import Pruning, Work

if TYPE_CHECKING:
    from torch import Tensor

# Queries and rows of one product: its result (4 MB) stays in the cache until it has been looked at.
_TILE, _ROWS = 500, 2000
_SHIFT = 128
# The largest integer up to which float32 holds all of them.
_WHOLE = float(1 << 24)
# Unit roundoff of float32; what is left of a sum in bfloat16 after its mending (see gram_product).
_UNIT, _MENDED = 2.0**-24, 2.0**-16
# Room for the rounding of the error itself, and for products too small for float32.
_SLACK, _TINY = 1.01, 2.0**-100


class NearestNeighbours:
    """The nearest row of each query among all rows seen so far.

    Rows come in blocks, in any order, each with its place in the whole. The answer does not depend on how the rows are
    cut into blocks: least distance, of equals the lowest index. Distances are squared Euclidean ones in float64: of
    bytes they are integers and exact; of float32 values the differences, squares and sums are those of float64.

    Args:
        queries: (Q, D), uint8 or float32.
        device: Where products are computed; by default that of ``queries``.
        product: Arithmetic of the products: float32 or bfloat16 (bytes only). None: bfloat16 for bytes where the
            device has units for it.
        pruning: Whether bounds are tried before products. None: on a CPU; a GPU would wait for each tile's answer.

    Attributes:
        distance: (Q,) float64, squared, on the CPU; infinite before the first row.
        index: (Q,) int64, on the CPU; -1 before the first row.

    Raises:
        AnalysisError: If queries are of another shape or type, or not finite.

    Example:
        >>> nearest = NearestNeighbours(torch.tensor([[0, 0], [9, 9]], dtype=torch.uint8))
        >>> nearest.update(torch.tensor([[3, 4], [9, 8], [9, 8]], dtype=torch.uint8), start=0)
        >>> nearest.index.tolist(), nearest.distance.tolist()
        ([0, 1], [25.0, 1.0])
    """

    def __init__(
        self,
        queries: Tensor,
        *,
        device: torch.device | None = None,
        product: torch.dtype | None = None,
        pruning: bool | None = None,
    ) -> None:
        self._check(queries, "queries")
        self._bytes = queries.dtype == torch.uint8
        self._whole = self._bytes and queries.shape[1] * _SHIFT**2 <= _WHOLE
        self._device = device or queries.device
        if product is None:
            fast = self._bytes and has_bfloat16_units(self._device) and residuals_are_exact(self._device)
            product = torch.bfloat16 if fast else torch.float32
        if product == torch.bfloat16 and not self._bytes:
            msg = (
                "Products in bfloat16 are for rows of bytes; float32 rows would be rounded. Use product=torch.float32."
            )
            raise AnalysisError(msg)
        self._exact = self._whole and product == torch.float32
        self._queries = self._rows(queries, "queries")
        self._operand = self._queries.values.to(product)
        enabled = self._device.type == "cpu" if pruning is None else pruning
        self._pruning = Pruning(self._queries, wanted=enabled)
        count = len(queries)
        self.distance = torch.full((count,), torch.inf, dtype=torch.float64)
        self.index = torch.full((count,), -1, dtype=torch.int64)

    @property
    def work(self) -> Work:
        """How many pairs of a query and a row were multiplied, bounded and measured so far."""
        return self._pruning.work

    def update(self, rows: Tensor, start: int) -> None:
        """Look at some more rows.

        Args:
            rows: (n, D) of the queries' type.
            start: Index of the first of them; the others follow.

        Raises:
            AnalysisError: If rows do not fit the queries, or are not finite.
        """
        self._check(rows, "rows")
        size = self._operand.shape[1]
        if rows.shape[1] != size or (rows.dtype == torch.uint8) != self._bytes:
            kind = "uint8" if self._bytes else "float32"
            msg = f"Rows must be {kind} (n, {size}), got {rows.dtype} {tuple(rows.shape)}."
            raise AnalysisError(msg)
        for first in range(0, len(rows), _ROWS):
            self._block(self._rows(rows[first : first + _ROWS], "rows"), start + first)

    def merge(self, distance: Tensor, index: Tensor) -> None:
        """Take what others found in other rows: distances (Q,) float64 and indices (Q,) int64, -1 where nothing."""
        nearer = (distance < self.distance) | ((distance == self.distance) & (index < self.index))
        self.distance = torch.where(nearer, distance, self.distance)
        self.index = torch.where(nearer, index, self.index)

    def _block(self, rows: Rows, start: int) -> None:
        self._pruning.begin(rows, self.distance)
        operand = cache(partial(rows.values.to, self._operand.dtype))

        def look(first: int) -> tuple[Tensor, Tensor] | None:
            tile = slice(first, min(first + _TILE, len(self._operand)))
            pairs = self._pruning.near(tile, self.distance[tile].to(self._device))
            if pairs is None:
                self._multiply(tile, rows, operand(), start)
            return pairs

        # Tiles have queries of their own: none writes what another reads.
        looked = list(parallel_map(look, range(0, len(self._operand), _TILE), device=self._device))
        self._pruning.end()
        pairs = [each for each in looked if each is not None]
        if pairs:
            queries, at = (torch.cat(column) for column in zip(*pairs, strict=True))
            self._measure(queries, at, rows, start)

    def _multiply(self, tile: slice, rows: Rows, operand: Tensor, start: int) -> None:
        """Look at some queries and all rows of a block through their product."""
        norms = self._queries.norms[tile]
        product = gram_product(self._operand[tile], operand)
        values = torch.add(rows.norms.float(), product, alpha=-2, out=product)
        least = values.amin(1).double()
        error = self._error(norms, least, rows.longest)
        best = self.distance[tile].to(self._device) - norms
        # A tie matters only to a query whose nearest row so far comes later than this block begins.
        later = self.index[tile].to(self._device) > start
        reachable = least - error
        open_ = torch.nonzero((reachable < best) | (later & (reachable == best)))[:, 0]
        if not len(open_):
            return
        if self._exact and bool((least[open_] < _WHOLE).all()):
            # Exact values: nothing is left to measure, and of equals argmin names the first.
            distance = least[open_] + norms[open_]
            self._keep(open_ + tile.start, distance, values[open_].argmin(1) + start)
        else:
            limit = torch.minimum(least + error, best)[open_] + error[open_]
            which, at = torch.nonzero(values[open_] <= limit[:, None], as_tuple=True)
            self._measure(open_[which] + tile.start, at, rows, start)

    def _error(self, norms: Tensor, least: Tensor, longest: float) -> Tensor:
        """Bound how far ``|b|^2 - 2 q.b`` may be off: (Q,) float64.

        The sum of D products in any order is off by at most D u / (1 - D u) of the sum of their sizes (Higham,
        "Accuracy and Stability of Numerical Algorithms", section 3.1), which is at most |q| |b|.
        """
        if self._exact:
            # Integers, rounded once, in the last addition, and only above 2^24; rounding keeps their order.
            return torch.where(least < _WHOLE, 0.0, 4.0)
        size = self._operand.shape[1]
        gamma = size * _UNIT / (1 - size * _UNIT)
        if self._operand.dtype == torch.bfloat16:
            gamma += _MENDED
        lengths = norms.sqrt()
        added = 2 * lengths * longest
        return _SLACK * (gamma * added + 2 * _UNIT * (longest**2 + added)) + _TINY

    def _measure(self, queries: Tensor, at: Tensor, rows: Rows, start: int) -> None:
        """Measure pairs of queries and rows of a block and keep the nearest."""
        if len(queries):
            query_index, distance, first = nearest_of_pairs(self._queries, rows, queries, at)
            self._keep(query_index, distance, first + start)

    def _keep(self, queries: Tensor, distance: Tensor, index: Tensor) -> None:
        queries, distance, index = queries.cpu(), distance.cpu(), index.cpu()
        old, old_index = self.distance[queries], self.index[queries]
        nearer = (distance < old) | ((distance == old) & (index < old_index))
        self.distance[queries[nearer]] = distance[nearer]
        self.index[queries[nearer]] = index[nearer]

    def _rows(self, values: Tensor, name: str) -> Rows:
        """Return values on the device, bytes shifted, or refuse them."""
        values = values.to(self._device, torch.float32)
        rows = Rows(values - _SHIFT if self._bytes else values, whole=self._whole)
        if not bool((rows.norms < torch.finfo(torch.float32).max / 8).all()):
            msg = f"Nearest neighbours: the {name} hold numbers that are not finite, or too large for float32."
            raise AnalysisError(msg)
        return rows

    @staticmethod
    def _check(values: Tensor, name: str) -> None:
        if values.dim() != 2 or values.dtype not in (torch.uint8, torch.float32) or not values.numel():
            msg = (
                f"Nearest {name} must be uint8 or float32 (n, D), not empty; got {values.dtype} {tuple(values.shape)}."
            )
            raise AnalysisError(msg)
