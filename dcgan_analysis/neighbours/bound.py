"""Lower bounds of distances from a few directions: who cannot be nearest need not be measured.

Let U be k orthonormal directions. Every x is its coordinates U'x and a residual of length r(x) orthogonal to them, and

    |x - y|^2 >= |U'x - U'y|^2 + (r(x) - r(y))^2

(the residuals differ by at least the difference of their lengths). The right side is itself a squared distance, of
points with k + 1 coordinates: one product of k + 2 columns bounds a tile of pairs. Along the principal directions of
images that is most of the distance, and few pairs in a thousand could still be nearer than the nearest so far.

Rounding is part of the bound. Coordinates are computed in float64 and rounded once, so that only the float32 product of
few columns counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.neighbours.pairs import Rows

# Together with residual and norm 64 columns. More exclude more, but cost more than what they save.
_DIRECTIONS = 62
# Principal directions are those of so many queries: twice as many take thrice as long and save a tenth.
_SAMPLE = 500
# Least values are looked at in groups of so many rows: one pass at the speed of memory, then 1/20 to compare.
_GROUP = 20
# Rows that are held in float64 at a time.
_ROWS = 2000
_UNIT, _UNIT64 = 2.0**-24, 2.0**-53
# Room for the rounding of the bound itself, and for products too small for float32.
_SLACK, _TINY = 1.01, 2.0**-100


class ProjectionBound:
    """Bounds of the distances of some queries to any rows.

    Args:
        queries: (Q, D).

    Attributes:
        directions: k.
    """

    def __init__(self, queries: Rows) -> None:
        count, size = queries.values.shape
        self.directions = self.directions_for(count, size)
        sample = queries.values[:: -(-count // _SAMPLE)].double()
        _, vectors = torch.linalg.eigh(sample @ sample.T)
        # Orthonormal also where the sample has fewer dimensions.
        self._basis = torch.linalg.qr(sample.T @ vectors[:, -self.directions :]).Q
        gram = self._basis.T @ self._basis
        defect = float((gram - torch.eye(self.directions, dtype=gram.dtype, device=gram.device)).norm())
        # By how much of |x| coordinates may differ from those along exactly orthonormal directions: the nearest such
        # basis is as far as the Gram matrix is from one, and sums of D products are rounded (k D u, generously).
        eta = defect + 2 * self.directions * size * _UNIT64
        # ... and the whole point: rounded to float32; a difference e of squared residuals is at most sqrt(e) of them.
        moved = _UNIT + 3 * eta**0.5
        columns = self.directions + 2
        self._error = _SLACK * (columns * _UNIT / (1 - columns * _UNIT) + _UNIT + 2 * moved)
        points = self._points(queries)
        self._lengths = queries.norms.sqrt()
        self._norms = points.double().square().sum(1)
        self._operand = F.pad(-2 * points, (0, 1), value=1.0)

    @staticmethod
    def directions_for(queries: int, size: int) -> int:
        """Return how many directions serve so many queries of so many columns; 0: a bound would not pay.

        Coordinates of a row cost about 2 k / Q of its products with all queries, bounds k / D of them.
        """
        return min(_DIRECTIONS, queries // 8, size // 8)

    def rows(self, rows: Rows) -> Tensor:
        """Return what tiles of queries are multiplied by to bound their distances to rows: (k + 2, n').

        Rows that are infinitely far make n' a multiple of the group.
        """
        points = self._points(rows)
        squares = points.double().square().sum(1, keepdim=True).float()
        missing = -len(points) % _GROUP
        columns = torch.cat([F.pad(points, (0, 0, 0, missing)), F.pad(squares, (0, 0, 0, missing), value=torch.inf)], 1)
        return columns.T.contiguous()

    def within(
        self, tile: slice, rows: Tensor, longest: float, best: Tensor, most: float
    ) -> tuple[Tensor, Tensor] | None:
        """Return the pairs of some queries and rows whose distance may be at most the best.

        Args:
            tile: Which queries.
            rows: From ``rows``.
            longest: Length of the longest row.
            best: (T,) float64, squared distances.
            most: Largest share of all pairs that is worth naming.

        Returns:
            Queries (counted from the tile's first) and rows of these pairs; None: there are more.
        """
        product = self._operand[tile] @ rows
        error = self._error * (self._lengths[tile] + longest) ** 2 + _TINY
        limit = best - self._norms[tile] + error
        grouped = product.view(len(product), _GROUP, -1)
        query, group = torch.nonzero(grouped.amin(1) <= limit[:, None], as_tuple=True)
        allowed = most * product.numel()
        if len(query) > allowed:
            return None
        which, member = torch.nonzero(grouped[query, :, group] <= limit[query, None], as_tuple=True)
        if len(which) > allowed:
            return None
        return query[which], member * grouped.shape[2] + group[which]

    def _points(self, rows: Rows) -> Tensor:
        """Return (n, k + 1) float32: coordinates and length of the residual."""
        inside = torch.cat([part.double() @ self._basis for part in torch.split(rows.values, _ROWS)])
        residual = (rows.norms - inside.square().sum(1)).clamp_(min=0).sqrt_()
        return torch.cat([inside, residual[:, None]], 1).float()
