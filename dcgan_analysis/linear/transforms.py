"""Feature matrices that are transformed block by block as they are read: nothing of their size is ever held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.rows import RowSource, spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["JoinedRows", "MeanRows", "RootRows", "ScaledRows", "Scaler", "learn_scaler"]


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


@dataclass(frozen=True)
class Scaler:
    """Mean and spread of each column.

    Attributes:
        mean: (D,) float32.
        scale: (D,) float32 standard deviations, > 0.
    """

    mean: torch.Tensor
    scale: torch.Tensor


def learn_scaler(rows: RowSource, used: NDArray[np.bool_]) -> Scaler:
    """Learn mean and standard deviation of each column in one pass.

    A column that hardly varies (below a thousandth of the median spread) is divided by that bound, not blown up.

    Args:
        rows: Features (N, D).
        used: (N,) mask of the rows that take part; the others are not looked at.

    Raises:
        AnalysisError: If fewer than two rows take part.

    Example:
        >>> import numpy as np
        >>> from dcgan_analysis.linear import ArrayRows
        >>> learn_scaler(ArrayRows(torch.tensor([[1.0], [3.0], [99.0]])), np.array([True, True, False])).mean.tolist()
        [2.0]
    """
    mask = torch.from_numpy(used)
    count = int(mask.sum())
    if count < 2:
        msg = f"Standardisation is learned on {count} rows; at least 2 are needed."
        raise AnalysisError(msg)
    total, square = torch.zeros(2, rows.shape[1], dtype=torch.float64)
    origin: torch.Tensor | None = None
    for start, stop in spans(rows):
        block = rows.read(start, stop)[mask[start:stop]].float()
        if not len(block):
            continue
        if origin is None:
            # Sums about a point near the mean keep their digits.
            origin = block.mean(0)
        block = block - origin
        total += block.sum(0)
        square += block.square_().sum(0)
    mean = total / count
    deviation = (square / count - mean.square()).clamp_min(0).sqrt()
    floor = float(deviation.median()) / 1000 or 1.0
    assert origin is not None
    return Scaler((mean + origin).float(), deviation.clamp_min(floor).float())


class ScaledRows(_Transformed):
    """Columns with the mean taken off and divided by their spread, as a `Scaler` says."""

    def __init__(self, source: RowSource, scaler: Scaler) -> None:
        super().__init__(source)
        self.scaler = scaler

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start <= i < stop``."""
        return (self.sources[0].read(start, stop).float() - self.scaler.mean) / self.scaler.scale
