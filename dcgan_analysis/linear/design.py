"""Products with a feature matrix, block by block."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import torch

from dcgan_analysis.core.device import has_bfloat16_units
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.products import accurate_product, residuals_are_exact
from dcgan_analysis.linear.rows import RowSource, check_finite, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Part = TypeVar("Part")

# Converted at a time on a CPU: 4 MB of float32, still in its cache when they are multiplied. Tiles of about 512 x 2048
# are multiplied 1.5 times as fast as the same number of elements in long rows (benchmarks/l2svm.py --passes).
_TILE_ELEMENTS = 1 << 20
_TILE_ROWS = 512
# So many blocks, at most, are one worker's at a time, as each group costs a sum of coefficients; fewer where there
# would not be so many groups.
_GROUP, _GROUPS = 4, 16


class Design:
    """A matrix (N, D) with the intercept as one more column, which is only ever multiplied.

    Coefficients are rows of (M, D + 1) matrices and scores rows of (M, N) matrices, M problems side by side: in this
    layout products are about three times as fast as in the transposed one.

    Sources of 16 bits are multiplied in two ways where the device has units for bfloat16 (elsewhere they are converted
    to float32, as emulation is up to 70 times as slow): `scores` and `adjoint` in bfloat16, rounded to 8 bits, for
    increments, whose relative error is harmless; `refresh` and the ``exact_`` products as accurately as in float32
    (`accurate_product`; float16 is converted). float32 and float64 sources are multiplied in their type.

    Args:
        rows: The matrix.
        intercept: Value of the additional constant column; 0 means no intercept.
        device: Where products are computed; other devices than ``cpu`` have not been tested.

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
        split = self.rounds and rows.dtype == torch.bfloat16 and residuals_are_exact(self.device)
        self._exact = torch.bfloat16 if split else self.dtype
        self._buffers = threading.local()

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D + 1)."""
        return self.rows.shape[0], self.rows.shape[1] + 1

    def scores(self, coef: torch.Tensor) -> torch.Tensor:
        """Return ``coef @ X.T``, (M, N), rounded if the storage has 16 bits."""
        return self._scores(coef, coef[:, :-1].to(self._fast), self._fast)

    def exact_scores(self, coef: torch.Tensor) -> torch.Tensor:
        """Return ``coef @ X.T``, (M, N), accurate to float32 (float64 for float64 storage)."""
        return self._scores(coef, coef[:, :-1], self._exact)

    def adjoint(self, dual: torch.Tensor) -> torch.Tensor:
        """Return ``dual @ X``, (M, D + 1), rounded if the storage has 16 bits."""
        if self._mask is None or self._sum is None:
            return self._adjoint(dual, self._fast, self._fast)
        mean = dual.sum(1, keepdim=True) / self._mask.sum()
        rest = self._adjoint(dual - mean * self._mask, self._fast, self._fast)
        return rest + mean * self._sum

    def exact_adjoint(self, dual: torch.Tensor) -> torch.Tensor:
        """Return ``dual @ X``, (M, D + 1), accurate to float32 (float64 for float64 storage)."""
        return self._adjoint(dual, self.dtype, self.dtype)

    def centre(self, mask: torch.Tensor, total: torch.Tensor) -> None:
        """Let `adjoint` keep the mean of the features out of its rounded products.

        ``dual @ X`` becomes ``mean(dual) * total + (dual - mean(dual)) @ X``: otherwise the rounding of the features'
        common mean, which grows with N, would drown all other directions.

        Args:
            mask: (N,), 1 for the rows of `adjoint`, 0 for held-out ones.
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
        scores = constant.expand(-1, self.shape[0]).contiguous()
        total = coef.new_zeros(len(coef), self.shape[1])

        def add(blocks: Sequence[tuple[int, int]]) -> torch.Tensor:
            part = torch.zeros_like(total)
            for span, block in self._pieces(blocks):
                self._add_scores(weights, block, self._exact, scores[:, span])
                values = dual(scores[:, span], span)
                if values.any():
                    self._add_adjoint(values, block, self._exact, part[:, :-1])
                    part[:, -1:] += values.sum(1, keepdim=True) * self.intercept
            return part

        for part in self._side_by_side(add, [*spans(self.rows)]):
            total += part
        return self.checked(scores), self.checked(total)

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
        """Return a product with this matrix unchanged if it is finite.

        Features that are not finite show in every product with them; only then are they searched for.

        Raises:
            NonFiniteError: Names the first value that is not finite.
            AnalysisError: If the features are finite, but so large that the product is not.
        """
        if not torch.isfinite(result).all():
            check_finite(self.rows)
            msg = (
                f"Products of the features overflow {result.dtype}; values are too large for an L2-SVM. Rescale the "
                "features or lower C."
            )
            raise AnalysisError(msg)
        return result

    def _side_by_side(
        self, function: Callable[[Sequence[tuple[int, int]]], Part], blocks: Sequence[tuple[int, int]]
    ) -> Iterator[Part]:
        """Yield what a function makes of groups of blocks (start, stop), in their order."""
        size = min(_GROUP, max(1, len(blocks) // _GROUPS))
        groups = [blocks[first : first + size] for first in range(0, len(blocks), size)]
        # Of a single group the threads work within each product.
        return parallel_map(function, groups, device=self.device) if len(groups) > 1 else map(function, groups)

    def _pieces(self, blocks: Sequence[tuple[int, int]]) -> Iterator[tuple[slice, torch.Tensor]]:
        """Read blocks (start, stop) and yield them piece by piece, as stored."""
        for start, stop in blocks:
            block = self.rows.read(start, stop)
            most = max(_TILE_ELEMENTS // block.shape[1], _TILE_ROWS) if self.device.type == "cpu" else len(block)
            for piece in torch.split(block, most):
                yield slice(start, start + len(piece)), piece
                start += len(piece)

    def _tiles(self, block: torch.Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield (columns, tile) of a block, converted; all columns at once where nothing is to be converted."""
        columns = block.shape[1]
        if block.dtype == dtype or self.device.type != "cpu":
            yield slice(columns), block.to(self.device, dtype)
            return
        # One buffer for all tiles: fresh pages cost more than the conversion itself.
        buffer: torch.Tensor | None = getattr(self._buffers, str(dtype), None)
        if buffer is None:
            buffer = torch.empty(_TILE_ELEMENTS, dtype=dtype)
            setattr(self._buffers, str(dtype), buffer)
        width = max(_TILE_ELEMENTS // len(block), 1)
        for start in range(0, columns, width):
            part = block[:, start : start + width]
            yield slice(start, start + width), buffer[: part.numel()].view(part.shape).copy_(part)

    def _add_scores(self, weights: torch.Tensor, block: torch.Tensor, dtype: torch.dtype, scores: torch.Tensor) -> None:
        """Add ``weights @ block.T`` to ``scores``, (M, n)."""
        for columns, tile in self._tiles(block, dtype):
            part = weights[:, columns]
            if tile.dtype != part.dtype:
                scores += accurate_product(tile, part.T, stored="left").T
            elif tile.dtype == torch.bfloat16:
                scores += (tile @ part.T).T
            else:
                scores += part @ tile.T

    def _add_adjoint(self, dual: torch.Tensor, block: torch.Tensor, dtype: torch.dtype, total: torch.Tensor) -> None:
        """Add ``dual @ block`` to ``total``, (M, D)."""
        for columns, tile in self._tiles(block, dtype):
            part = total[:, columns]
            if tile.dtype != dual.dtype:
                part += accurate_product(dual, tile, stored="right")
            elif tile.dtype != part.dtype:
                part += dual @ tile
            else:
                part.addmm_(dual, tile)

    def _scores(self, coef: torch.Tensor, weights: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        self.passes += 0.5
        weights = weights.contiguous()
        out = (coef[:, -1:] * self.intercept).expand(-1, self.shape[0]).contiguous()

        def add(blocks: Sequence[tuple[int, int]]) -> None:
            for span, block in self._pieces(blocks):
                self._add_scores(weights, block, dtype, out[:, span])

        deque(self._side_by_side(add, [*spans(self.rows)]), maxlen=0)
        return self.checked(out)

    def _adjoint(self, dual: torch.Tensor, factor: torch.dtype, stored: torch.dtype) -> torch.Tensor:
        self.passes += 0.5
        total, used = dual.new_zeros(len(dual), self.shape[1] - 1), dual.any(0)

        def add(blocks: Sequence[tuple[int, int]]) -> torch.Tensor:
            part = torch.zeros_like(total)
            for span, block in self._pieces(blocks):
                self._add_adjoint(dual[:, span].to(factor), block, stored, part)
            return part

        # Blocks whose rows do not count are not read.
        blocks = [(start, stop) for start, stop in spans(self.rows) if used[start:stop].any()]
        for part in self._side_by_side(add, blocks):
            total += part
        return self.checked(torch.cat([total, dual.sum(1, keepdim=True) * self.intercept], dim=1))
