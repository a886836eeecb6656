"""Matrices that are read block by block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
# A block of this many elements (32 MB in bfloat16) leaves room for the factors in a shared third-level cache, so that
# the second product of a pass does not fetch it from memory again.
_BLOCK_ELEMENTS = 1 << 24


class NonFiniteError(AnalysisError, ValueError):
    """A matrix holds NaN or an infinity (also a ``ValueError``, as scikit-learn expects)."""


@runtime_checkable
class RowSource(Protocol):
    """A matrix (N, D) that is read by consecutive rows."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Storage type: bfloat16, float16, float32 or float64."""
        ...

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk of the storage, at least 1."""
        ...

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return the rows ``start <= i < stop``, (stop - start, D), in storage type.

        The result may be a view of the storage and must not be modified.
        """
        ...


class ArrayRows:
    """An array or tensor in memory as a `RowSource`; nothing is copied.

    Args:
        array: (N, D), NumPy array or tensor; integers and booleans become float64, as in scikit-learn.
        columns: Columns to keep, as a slice without a step; all by default.

    Raises:
        AnalysisError: If the array is not two-dimensional.

    Example:
        >>> rows = ArrayRows(np.arange(6.0).reshape(3, 2), columns=slice(1, 2))
        >>> rows.shape, rows.read(1, 3).tolist()
        ((3, 1), [[3.0], [5.0]])
    """

    def __init__(self, array: Any, columns: slice | None = None) -> None:
        tensor = array.detach() if isinstance(array, torch.Tensor) else _from_numpy(array)
        if tensor.ndim != 2:
            msg = (
                f"A feature matrix has {tensor.ndim} dimensions, shape {tuple(tensor.shape)}; two are needed, (N, D). "
                "Flatten each image's features first."
            )
            raise AnalysisError(msg)
        if tensor.dtype not in _FLOATS:
            tensor = tensor.to(torch.float64)
        self._tensor = tensor if columns is None else tensor[:, columns]

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self._tensor.shape[0], self._tensor.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the array."""
        return self._tensor.dtype

    @property
    def chunk_rows(self) -> int:
        """Rows that fill one block of work."""
        return block_rows(self.shape[1])

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return a view of the rows ``start <= i < stop``."""
        return self._tensor[start:stop]


class SomeRows:
    """Some rows of a source, copied as they are read.

    Args:
        rows: The source.
        index: (n,) positions in it, ascending, at least one.

    Example:
        >>> some = SomeRows(ArrayRows(np.arange(8.0).reshape(4, 2)), np.array([1, 3]))
        >>> some.shape, some.read(1, 2).tolist()
        ((2, 2), [[6.0, 7.0]])
    """

    def __init__(self, rows: RowSource, index: np.ndarray) -> None:
        self._rows, self._index = rows, index
        self.shape = len(index), rows.shape[1]
        self.dtype = rows.dtype
        # A block of these spans about a block of the source.
        spanned = int(index[-1]) + 1 - int(index[0])
        self.chunk_rows = max(1, min(rows.chunk_rows, block_rows(self.shape[1])) * len(index) // spanned)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return a copy of the rows ``start <= i < stop``."""
        chosen = self._index[start:stop]
        first = int(chosen[0])
        return self._rows.read(first, int(chosen[-1]) + 1)[torch.from_numpy(chosen - first)]


def _from_numpy(array: Any) -> torch.Tensor:
    array = np.asarray(array)
    if not array.flags.writeable or not array.dtype.isnative or any(s < 0 for s in array.strides):
        # torch supports neither read-only memory nor foreign byte orders nor negative strides.
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(array)


def as_rows(matrix: Any) -> RowSource:
    """Return ``matrix`` as a `RowSource`: itself if it is one, else wrapped without a copy."""
    return matrix if isinstance(matrix, RowSource) else ArrayRows(matrix)


def block_rows(columns: int) -> int:
    """Return how many rows of ``columns`` values make a block of work: a power of two."""
    return 1 << max(5, (_BLOCK_ELEMENTS // max(columns, 1)).bit_length() - 1)


def spans(rows: RowSource) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive blocks; none straddles two chunks of the storage."""
    total, columns = rows.shape
    chunk, block = max(rows.chunk_rows, 1), block_rows(columns)
    if chunk < block:
        chunk = block = chunk * (block // chunk)
    for outer in range(0, total, chunk):
        end = min(outer + chunk, total)
        for start in range(outer, end, block):
            yield start, min(start + block, end)


def check_finite(rows: RowSource) -> None:
    """Read everything once and refuse NaN and infinities.

    Raises:
        NonFiniteError: Names the first row and column (counted from 0) that is not finite.
    """
    for start, stop in spans(rows):
        block = rows.read(start, stop)
        # A finite sum has finite terms, and is ten times as fast to check.
        if math.isfinite(block.sum(dtype=torch.promote_types(block.dtype, torch.float32))):
            continue
        bad = (~torch.isfinite(block)).nonzero()
        if len(bad):
            row, column = (int(index) for index in bad[0])
            value = float(block[row, column])
            name = "NaN" if math.isnan(value) else f"{value}"
            msg = (
                f"Features contain {name} at row {start + row}, column {column}; every value must be finite. Extract "
                "that image again or leave it out."
            )
            raise NonFiniteError(msg)


def gather(rows: RowSource, selections: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Copy several selections of rows in one pass over the source.

    Args:
        rows: Source (N, D).
        selections: Index arrays, each (n,), values in [0, N), any order, repeats allowed.

    Returns:
        One tensor (n, D) in storage type per selection.

    Raises:
        AnalysisError: If an index lies outside the matrix.
    """
    total, columns = rows.shape
    for number, chosen in enumerate(selections):
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < total:
            msg = (
                f"Selection {number} asks for rows {int(chosen.min())} to {int(chosen.max())} of a "
                f"matrix with {total} rows; indices must lie in [0, {total})."
            )
            raise AnalysisError(msg)
    orders = [np.argsort(chosen, kind="stable") for chosen in selections]
    ranked = [chosen[order] for chosen, order in zip(selections, orders, strict=True)]
    out = [torch.empty(len(chosen), columns, dtype=rows.dtype) for chosen in selections]
    for start, stop in spans(rows):
        cuts = [np.searchsorted(index, (start, stop)) for index in ranked]
        if all(low == high for low, high in cuts):
            continue
        block = rows.read(start, stop)
        for target, order, index, (low, high) in zip(out, orders, ranked, cuts, strict=True):
            source = torch.from_numpy(index[low:high] - start)
            target[torch.from_numpy(order[low:high])] = block[source].to(target.device)
    return out
