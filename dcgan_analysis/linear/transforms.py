"""Feature matrices that are transformed block by block as they are read: nothing of their size is ever held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from dcgan_analysis.linear.rows import RowSource

__all__ = ["JoinedRows", "MeanRows", "RootRows"]


class _Transformed:
    """A row source made of others with the same number of rows; values are float32."""

    dtype = torch.float32

    def __init__(self, *sources: RowSource) -> None:
        counts = sorted({source.shape[0] for source in sources})
        if len(counts) != 1:
            msg = f"Feature matrices to be put together have {counts} rows; they must have as many each."
            raise AnalysisError(msg)
        self.sources = sources

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self.sources[0].shape

    @property
    def chunk_rows(self) -> int:
        """As of the first source."""
        return self.sources[0].chunk_rows


class JoinedRows(_Transformed):
    """Columns of several matrices side by side.

    Example:
        >>> from dcgan_analysis.linear import ArrayRows
        >>> JoinedRows(ArrayRows(torch.zeros(2, 3)), ArrayRows(torch.ones(2, 1))).read(0, 1).tolist()
        [[0.0, 0.0, 0.0, 1.0]]
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(N, sum of the columns)."""
        return self.sources[0].shape[0], sum(source.shape[1] for source in self.sources)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start <= i < stop``."""
        return torch.cat([source.read(start, stop).float() for source in self.sources], dim=1)


class MeanRows(_Transformed):
    """The mean of several matrices (N, D): features of images and of their mirror images, say."""

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start <= i < stop``."""
        total = self.sources[0].read(start, stop).float()
        for source in self.sources[1:]:
            total = total + source.read(start, stop)
        return total / len(self.sources)


class RootRows(_Transformed):
    """Signed square roots, ``sign(x) sqrt(|x|)``: what a few large activations say counts for less.

    Example:
        >>> from dcgan_analysis.linear import ArrayRows
        >>> RootRows(ArrayRows(torch.tensor([[4.0, -9.0]]))).read(0, 1).tolist()
        [[2.0, -3.0]]
    """

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start <= i < stop``."""
        block = self.sources[0].read(start, stop).float()
        return block.abs().sqrt_().copysign_(block)
