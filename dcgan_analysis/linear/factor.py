"""The Cholesky factor of a shifted Gram matrix, made for many solves with a few right-hand sides each."""

from __future__ import annotations

import torch

__all__ = ["ShiftedFactor"]

# Rows of a block. LAPACK's triangular solves with ten right-hand sides read a large factor at a fifth of the memory's
# speed; products with whole panels, which is what remains once the diagonal blocks are inverted, at all of it.
_BLOCK = 256


class ShiftedFactor:
    """``shift I + scale G`` for a positive semidefinite G, factored.

    Args:
        product: G, (n, n), symmetric.
        scale: Its factor, > 0.

    Attributes:
        shift: 1, or as much as it takes to be positive definite in spite of rounding.

    Example:
        >>> product = torch.tensor([[2.0, 0.0], [0.0, 4.5]], dtype=torch.float64)
        >>> factor = ShiftedFactor(product, scale=2.0)
        >>> factor.solve(torch.tensor([[5.0, 20.0]], dtype=torch.float64)).round(decimals=9).tolist()
        [[1.0, 2.0]]
    """

    def __init__(self, product: torch.Tensor, scale: float) -> None:
        self.shift = 1.0
        while True:
            shifted = product * scale
            shifted.diagonal().add_(self.shift)
            lower, failed = torch.linalg.cholesky_ex(shifted)
            if not int(failed):
                break
            least = torch.finfo(product.dtype).eps * scale * float(product.diagonal().mean())
            self.shift = max(2 * self.shift, least)
        self._lower = lower
        size = len(product)
        self._blocks = [slice(start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK)]
        self._inverses = [_inverse(lower[block, block]) for block in self._blocks]

    def solve(self, right: torch.Tensor) -> torch.Tensor:
        """Return ``right @ (shift I + scale G)^-1``, (M, n), for ``right`` (M, n)."""
        solved = right.clone()
        for block, inverse in zip(self._blocks, self._inverses, strict=True):
            before = slice(0, block.start)
            rest = solved[:, block] - solved[:, before] @ self._lower[block, before].T
            solved[:, block] = rest @ inverse.T
        for block, inverse in zip(reversed(self._blocks), reversed(self._inverses), strict=True):
            after = slice(block.stop, None)
            rest = solved[:, block] - solved[:, after] @ self._lower[after, block]
            solved[:, block] = rest @ inverse
        return solved


def _inverse(lower: torch.Tensor) -> torch.Tensor:
    """Return the inverse of a lower triangular matrix."""
    identity = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    solved: torch.Tensor = torch.linalg.solve_triangular(lower, identity, upper=False)
    return solved
