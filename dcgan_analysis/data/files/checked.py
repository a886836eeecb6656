"""Images in a file of bytes, read through a memory map; a chunk is compared with its checksum when it is first read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.core.checksums import crc32, found_whole
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class CheckedImages(np.lib.mixins.NDArrayOperatorsMixin):
    """Images that behave as their array: rows read and check their chunks, whatever else is asked of them reads all.

    Args:
        file: The bytes of the images, one image after another.
        images: uint8 (N, C, H, W), mapped from there.
        chunk_rows: Images in a chunk; the last may have fewer.
        sums: CRC-32 of each chunk.

    Attributes:
        remedy: What the message about damage advises.

    Example:
        >>> from pathlib import Path
        >>> pixels = np.arange(6, dtype=np.uint8).reshape(3, 1, 1, 2)
        >>> Path("a.u8").write_bytes(pixels.tobytes())
        6
        >>> images = CheckedImages(Path("a.u8"), pixels, 2, [crc32(pixels[:2].tobytes()), 0])
        >>> len(images), images[1].ravel().tolist()
        (3, [2, 3])
        >>> images[2]
        Traceback (most recent call last):
            ...
        dcgan_analysis.errors.DatasetError: 'a.u8' is damaged: images 2 to 3 are not as they were written. Prepare the images again.
    """  # noqa: E501 - the message as it is

    def __init__(self, file: Path, images: NDArray[np.uint8], chunk_rows: int, sums: Sequence[int]) -> None:
        self._file, self._images, self._rows, self._sums = file, images, chunk_rows, sums
        self._whole = found_whole(file, len(sums))
        self.remedy = "Prepare the images again."
        self.shape, self.dtype, self.ndim, self.nbytes = images.shape, images.dtype, images.ndim, images.nbytes

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        if 0 in self._whole:
            self._check(self._chunks(index[0] if isinstance(index, tuple) else index))
        images: NDArray[np.uint8] = self._images[index]
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        self.check()
        return np.array(self._images, dtype, copy=copy) if copy else np.asarray(self._images, dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        values = (np.asarray(value) if isinstance(value, CheckedImages) else value for value in inputs)
        return getattr(ufunc, method)(*values, **settings)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name != "__array_interface__":
            raise AttributeError(name)
        self.check()
        return getattr(self._images, name)

    def check(self) -> None:
        """Check all chunks that this process has not read before.

        Raises:
            DatasetError: If one is not as it was written.
        """
        self._check(range(len(self._sums)))

    def altered(self) -> bool:
        """Say whether images that were read have been changed in memory since."""
        return any(self._sum(chunk) != self._sums[chunk] for chunk, whole in enumerate(self._whole) if whole)

    def _check(self, chunks: Any) -> None:
        for chunk in chunks:
            if not self._whole[chunk]:
                if self._sum(chunk) != self._sums[chunk]:
                    start = chunk * self._rows
                    msg = (
                        f"'{self._file}' is damaged: images {start} to {min(start + self._rows, len(self))} are not as "
                        f"they were written. {self.remedy}"
                    )
                    raise DatasetError(msg)
                self._whole[chunk] = True

    def _sum(self, chunk: int) -> int:
        return crc32(self._images[chunk * self._rows : (chunk + 1) * self._rows].reshape(-1).data)

    def _chunks(self, index: Any) -> Any:
        """Return the chunks of the rows that an index picks; what it does not know picks all."""
        if isinstance(index, slice):
            rows = range(*index.indices(len(self)))
            if not rows:
                return ()
            return range(min(rows[0], rows[-1]) // self._rows, max(rows[0], rows[-1]) // self._rows + 1)
        if isinstance(index, int | np.integer | list | np.ndarray):
            positions = np.asarray(index)
            if positions.dtype == bool:
                positions = np.flatnonzero(positions)
            if positions.dtype.kind in "iu":
                chunks = np.unique(np.where(positions < 0, positions + len(self), positions) // self._rows)
                # Rows that there are not are refused by the array itself.
                return chunks[(chunks >= 0) & (chunks < len(self._sums))].tolist()
        return range(len(self._sums))
