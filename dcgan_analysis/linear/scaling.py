"""Feature matrices transformed block by block: standardised, averaged, concatenated, signed square roots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.rows import ArrayRows, RowSource, as_rows, spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_MEMORY = 2 << 30
_ROWS = 32


@dataclass(frozen=True)
class Standardisation:
    """Mean and deviation of each feature, learned once.

    Attributes:
        mean: (D,) float32.
        deviation: (D,) float32, > 0.
    """

    mean: Tensor
    deviation: Tensor

    def __call__(self, features: Any, *, memory: int = _MEMORY) -> RowSource:
        """Return features as a standardised source, in float32.

        Args:
            features: (N, D), array, tensor or ``RowSource``.
            memory: If all rows take at most so many bytes, they are standardised once; else each time they are read.
        """
        scaled = ScaledRows(as_rows(features), self)
        rows, columns = scaled.shape
        if rows * columns * scaled.dtype.itemsize > memory:
            return scaled
        standardised = torch.empty(rows, columns)
        for start, stop in spans(scaled):
            scaled.read_into(standardised[start:stop], start)
        return ArrayRows(standardised)


class ScaledRows:
    """A ``RowSource`` whose rows are standardised as they are read, in float32.

    Args:
        rows: Source (N, D).
        scaling: Mean and deviation, learned on training rows.

    Raises:
        AnalysisError: If the source has another number of columns.
    """

    def __init__(self, rows: RowSource, scaling: Standardisation) -> None:
        if rows.shape[1] != len(scaling.mean):
            msg = f"Features have {rows.shape[1]} columns, the standardisation was learned on {len(scaling.mean)}."
            raise AnalysisError(msg)
        self._rows, self._scaling = rows, scaling
        self._factor = 1 / scaling.deviation

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self._rows.shape

    @property
    def dtype(self) -> torch.dtype:
        """float32."""
        return torch.float32

    @property
    def chunk_rows(self) -> int:
        """Rows per chunk of the source."""
        return self._rows.chunk_rows

    def read(self, start: int, stop: int) -> Tensor:
        """Return the rows ``start <= i < stop``, (stop - start, D)."""
        block = torch.empty(stop - start, self.shape[1])
        self.read_into(block, start)
        return block

    def read_into(self, block: Tensor, start: int) -> None:
        """Read the rows from ``start`` on into a float32 tensor (n, D)."""
        source = self._rows.read(start, start + len(block))
        # A few rows at a time, which stay in the processor's cache from one operation to the next.
        for target, rows in zip(torch.split(block, _ROWS), torch.split(source, _ROWS), strict=True):
            target.copy_(rows).sub_(self._scaling.mean).mul_(self._factor)


def learn_standardisation(
    features: Any, added: float = 0.0, *, used: NDArray[np.bool_] | None = None
) -> Standardisation:
    """Learn mean and ``sqrt(variance + added)`` of each column, in one pass.

    A column that hardly varies (below a thousandth of the median deviation) is divided by that bound, not blown up.

    Args:
        features: Training features (N, D), the only ones that take part: array, tensor or ``RowSource``.
        added: Added to the variances.
        used: (N,) mask of the rows that take part; None: all.

    Raises:
        AnalysisError: If fewer than two rows take part.

    Example:
        >>> learn_standardisation(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).deviation
        tensor([1., 1.])
    """
    rows = as_rows(features)
    mask = torch.ones(rows.shape[0], dtype=torch.bool) if used is None else torch.from_numpy(used)
    if int(mask.sum()) < 2:
        msg = f"Standardisation is learned on {int(mask.sum())} rows; at least 2 are needed."
        raise AnalysisError(msg)
    count = 0
    mean = torch.zeros(rows.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(mean)
    for start, stop in spans(rows):
        # Means and squared deviations of blocks are joined (Chan, Golub, LeVeque 1979): no difference of large sums.
        block = rows.read(start, stop).to(torch.float32)
        if used is not None:
            block = block[mask[start:stop]]
        n = len(block)
        if not n:
            continue
        variance, centre = torch.var_mean(block, dim=0, correction=0)
        shift = centre.double() - mean
        squares += variance.double() * n + shift.square() * (count * n / (count + n))
        mean += shift * (n / (count + n))
        count += n
    deviation = (squares / count + added).sqrt()
    floor = float(deviation.median()) / 1000 or 1.0
    return Standardisation(mean.float(), deviation.clamp_min(floor).float())


def learn_block_scales(features: Any, blocks: Sequence[slice]) -> Standardisation:
    """Learn the root mean square of each block of columns, in one pass; columns of a block keep their proportions.

    Args:
        features: Training features (N, D): array, tensor or ``RowSource``.
        blocks: Columns of each block, such as those of a layer; a column of none stays as it is.

    Returns:
        Division by the root mean square, nothing subtracted; a block of zeros stays as it is.

    Example:
        >>> learn_block_scales(torch.tensor([[3.0, 3.0, 0.1], [3.0, 3.0, 0.1]]), [slice(0, 2), slice(2, 3)]).deviation
        tensor([3.0000, 3.0000, 0.1000])
    """
    rows = as_rows(features)
    squares = torch.zeros(rows.shape[1], dtype=torch.float64)
    for start, stop in spans(rows):
        squares += rows.read(start, stop).float().square().sum(dim=0).double()
    scales = torch.ones_like(squares)
    for block in blocks:
        scales[block] = (squares[block].mean() / rows.shape[0]).sqrt() or 1.0
    return Standardisation(torch.zeros(len(scales)), scales.float())


class _Transformed:
    """A float32 row source made of others with the same number of rows."""

    dtype = torch.float32

    def __init__(self, *sources: RowSource) -> None:
        counts = sorted({source.shape[0] for source in sources})
        if len(counts) != 1:
            msg = f"Feature matrices to be combined have {counts} rows; their numbers of rows must be equal."
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
    """The columns of several matrices, concatenated.

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
    """Signed square roots, ``sign(x) sqrt(|x|)``, which reduce the weight of a few large activations.

    Example:
        >>> from dcgan_analysis.linear import ArrayRows
        >>> RootRows(ArrayRows(torch.tensor([[4.0, -9.0]]))).read(0, 1).tolist()
        [[2.0, -3.0]]
    """

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start <= i < stop``."""
        block = self.sources[0].read(start, stop).float()
        return block.abs().sqrt_().copysign_(block)
