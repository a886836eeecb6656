"""Some images of an array, none of them copied: a memory-mapped split may be larger than the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Rows:
    """Images that are read when they are asked for.

    Args:
        images: uint8 (M, C, H, W).
        positions: int64 (N,) of the images.

    Example:
        >>> rows = Rows(np.arange(5, dtype=np.uint8)[:, None, None, None], np.array([1, 4]))
        >>> len(rows), rows[np.array([1])].ravel().tolist()
        (2, [4])
    """

    def __init__(self, images: NDArray[np.uint8], positions: NDArray[np.int64]) -> None:
        self._images = images
        self._positions = positions
        self.shape = (len(positions), *images.shape[1:])
        self.dtype = images.dtype
        self.ndim = images.ndim

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self._images[self._positions[rows]]
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._images[self._positions], dtype)
