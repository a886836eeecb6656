"""Products with a feature matrix, block by block: what the solver sees of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.hardware import has_bfloat16_units
from dcgan_analysis.linear.products import accurate_product, residuals_are_exact
from dcgan_analysis.linear.rows import RowSource, check_finite, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Design"]

# Elements converted at a time on a CPU: 4 MB of float32 are still in its cache when they are multiplied.
_PIECE_ELEMENTS = 1 << 20


class Design:
    """A matrix (N, D), with the intercept as one more column, that is only ever multiplied.

    Coefficients are rows of (M, D + 1) matrices and scores rows of (M, N) matrices, M problems
    side by side: a product ``U @ block`` in this layout is about three times faster than
    ``block.T @ U.T`` in the other.

    Where the device has no units for bfloat16, products in it are emulated, up to 70 times as slow as those in float32:
    blocks stored in 16 bits are converted to float32. Where it has, they are multiplied in two ways. `scores` and
    `adjoint` multiply in bfloat16 (sums are kept in float32 by the hardware, results rounded to 8 bits) and serve
    increments, whose relative error is harmless. `refresh` and the ``exact_`` products are as
    accurate as float32 (see `accurate_product`; where that does not work, and for float16, blocks
    are converted to float32). float32 and float64 sources are always multiplied in their type.

    Args:
        rows: The matrix.
        intercept: Value of the additional constant column; 0 means no intercept.
        device: Where products are computed; blocks are copied there. Other devices than ``cpu``
            are supported by construction but have not been tested.

    Attributes:
        passes: Number of passes over the data so far; a product in one direction counts one half.
    """

    def __init__(self, rows: RowSource, intercept: float, device: torch.device | str) -> None:
        self.rows = rows
        self.intercept = intercept
        self.device = torch.device(device)
        self.dtype = torch.float64 if rows.dtype == torch.float64 else torch.float32
        self.rounds = rows.dtype in (torch.bfloat16, torch.float16) and has_bfloat16_units(self.device)
        self.passes = 0.0
        self._mask: torch.Tensor | None = None
        self._sum: torch.Tensor | None = None
        self._fast = torch.bfloat16 if self.rounds else self.dtype
        self._split = self.rounds and rows.dtype == torch.bfloat16 and residuals_are_exact(self.device)
        self._buffers: dict[torch.dtype, torch.Tensor] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D + 1)."""
        return self.rows.shape[0], self.rows.shape[1] + 1

    def scores(self, coef: torch.Tensor) -> torch.Tensor:
        """Return ``coef @ X.T``, (M, N), rounded if the storage has 16 bits."""
        return self._scores(coef, coef[:, :-1].to(self._fast), self._blocks(self._fast))

    def exact_scores(self, coef: torch.Tensor) -> torch.Tensor:
        """Return ``coef @ X.T``, (M, N), accurate to float32 (float64 for float64 storage)."""
        return self._scores(coef, coef[:, :-1], self._exact_blocks())

    def adjoint(self, dual: torch.Tensor) -> torch.Tensor:
        """Return ``dual @ X``, (M, D + 1), rounded if the storage has 16 bits."""
        if self._mask is None or self._sum is None:
            return self._adjoint(dual, self._fast, self._fast)
        mean = dual.sum(1, keepdim=True) / self._mask.sum()
        rest = self._adjoint(dual - mean * self._mask, self._fast, self._fast)
        return rest + mean * self._sum

    def exact_adjoint(self, dual: torch.Tensor) -> torch.Tensor:
        """Return ``dual @ X``, (M, D + 1), accurate to float32 (float64 for float64 storage)."""
        return self._adjoint(dual, self.dtype, torch.bfloat16 if self._split else self.dtype)

    def centre(self, mask: torch.Tensor, total: torch.Tensor) -> None:
        """Let `adjoint` keep the mean of the features out of its rounded products.

        ``dual @ X`` is split into ``mean(dual) * total`` and the product with ``dual -
        mean(dual)``: without that, the rounding of the common mean of all features, which grows
        with N, would drown all other directions.

        Args:
            mask: (N,), 1 for the rows that `adjoint` may meet, 0 for held-out ones.
            total: (D + 1,), ``mask @ X``, accurate.
        """
        self._mask, self._sum = mask, total

    def refresh(
        self, coef: torch.Tensor, dual: Callable[[torch.Tensor, slice], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute scores and ``dual(scores) @ X`` in one accurate pass.

        Args:
            coef: (M, D + 1).
            dual: Gets the scores of a block (M, n) and its slice of rows; returns (M, n).

        Returns:
            Scores (M, N) and the adjoint (M, D + 1).
        """
        self.passes += 1
        weights, constant = coef[:, :-1].contiguous(), coef[:, -1:] * self.intercept
        scores = coef.new_empty(len(coef), self.shape[0])
        total, intercept = torch.zeros_like(weights), coef.new_zeros(len(coef), 1)
        for span, block in self._exact_blocks():
            scores[:, span] = self._forward(block, weights)
            scores[:, span] += constant
            values = dual(scores[:, span], span)
            if values.any():
                self._backward(values, block, total)
                intercept += values.sum(1, keepdim=True) * self.intercept
        return self.checked(scores), self.checked(torch.cat([total, intercept], dim=1))

    def sample(self, index: torch.Tensor) -> torch.Tensor:
        """Return the rows ``index`` (ascending) with the intercept column, (n, D + 1)."""
        out = torch.empty(len(index), self.shape[1], dtype=self.dtype, device=self.device)
        out[:, -1] = self.intercept
        for start, stop in spans(self.rows):
            low, high = torch.searchsorted(index, torch.tensor([start, stop])).tolist()
            if low < high:
                block = self.rows.read(start, stop)
                out[low:high, :-1] = block[index[low:high] - start].to(self.device)
        return out

    def checked(self, result: torch.Tensor) -> torch.Tensor:
        """Return a product with this matrix as it is, if it is finite.

        NaN or an infinity in the features shows in every product they take part in, so looking
        for its place is worth a pass of its own only then.

        Raises:
            NonFiniteError: Names the first value that is not finite.
            AnalysisError: If the features are finite, but so large that the product is not.
        """
        if not torch.isfinite(result).all():
            check_finite(self.rows)
            msg = (
                f"Products of the features overflow {result.dtype}; values are too large for an "
                "L2-SVM. Rescale the features or lower C."
            )
            raise AnalysisError(msg)
        return result

    def _blocks(self, dtype: torch.dtype, used: torch.Tensor | None = None) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield blocks of rows in a type; ``used`` (N,) says which rows count: blocks without one are not read."""
        for start, stop in spans(self.rows):
            if used is not None and not used[start:stop].any():
                continue
            block = self.rows.read(start, stop)
            for piece in torch.split(block, self._piece_rows(block, dtype)):
                yield slice(start, start + len(piece)), self._convert(piece, dtype)
                start += len(piece)

    def _piece_rows(self, block: torch.Tensor, dtype: torch.dtype) -> int:
        if block.dtype == dtype or self.device.type != "cpu":
            return len(block)
        return max(_PIECE_ELEMENTS // block.shape[1], 16)

    def _exact_blocks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        return self._blocks(torch.bfloat16 if self._split else self.dtype)

    def _forward(self, block: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return ``weights @ block.T``, (M, n)."""
        if block.dtype != weights.dtype:
            return accurate_product(block, weights.T, stored="left").T
        if block.dtype == torch.bfloat16:
            return (block @ weights.T).T
        return weights @ block.T

    def _backward(self, dual: torch.Tensor, block: torch.Tensor, total: torch.Tensor) -> None:
        """Add ``dual @ block`` to ``total``, (M, D)."""
        if block.dtype != dual.dtype:
            total += accurate_product(dual, block, stored="right")
        elif block.dtype != total.dtype:
            total += dual @ block
        else:
            total.addmm_(dual, block)

    def _convert(self, block: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if block.dtype == dtype:
            return block.to(self.device)
        # One buffer per type for all blocks: fresh pages cost more than the conversion itself.
        buffer = self._buffers.get(dtype)
        if buffer is None or len(buffer) < len(block):
            buffer = torch.empty(block.shape, dtype=dtype, device=self.device)
            self._buffers[dtype] = buffer
        return buffer[: len(block)].copy_(block)

    def _scores(
        self,
        coef: torch.Tensor,
        weights: torch.Tensor,
        blocks: Iterator[tuple[slice, torch.Tensor]],
    ) -> torch.Tensor:
        self.passes += 0.5
        weights = weights.contiguous()
        out = coef.new_empty(len(coef), self.shape[0])
        for span, block in blocks:
            out[:, span] = self._forward(block, weights)
        out += coef[:, -1:] * self.intercept
        return self.checked(out)

    def _adjoint(self, dual: torch.Tensor, factor: torch.dtype, stored: torch.dtype) -> torch.Tensor:
        self.passes += 0.5
        total = dual.new_zeros(len(dual), self.shape[1] - 1)
        for span, block in self._blocks(stored, used=dual.any(0)):
            self._backward(dual[:, span].to(factor), block, total)
        return self.checked(torch.cat([total, dual.sum(1, keepdim=True) * self.intercept], dim=1))
