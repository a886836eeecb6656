"""Arrays in ``.npz`` files from outside, read with limits: no file may fill the memory, or hold code."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

_LARGEST_RATIO = 200  # of an array to its compressed bytes; numbers hardly compress
_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OverflowError),
    *(KeyError, IndexError, TypeError, AttributeError, SyntaxError, MemoryError, RecursionError, ValueError),
    tokenize.TokenError,
)


def read_npz(path: Path, *, largest: int | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of a file that ``numpy.savez`` wrote; its zip has a CRC-32 of each.

    Args:
        path: The file.
        largest: Bytes that an array may have; None: what its compressed bytes make plausible.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no such file, is damaged, or holds anything else than plain arrays.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(path, a=np.arange(3))
        >>> read_npz(path)
        {'a': array([0, 1, 2])}
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            return {info.filename.removesuffix(".npy"): _array(archive, info, largest) for info in archive.infolist()}
    except _ERRORS as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the beginning of a ``.npy`` file: shape, whether the first index varies fastest, and type.

    Raises:
        ValueError: If it is none, or of a version that numpy does not write for arrays.
    """
    import numpy as np

    readers: dict[Any, Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            msg = f"an array has version {version} of its format"
            raise ValueError(msg)
        shape, fortran, dtype = readers[version](stream)
    except _ERRORS as error:
        raise ValueError(" ".join(str(error).split())) from None
    if any(type(extent) is not int or extent < 0 for extent in shape):
        msg = f"an array has shape {shape}"
        raise ValueError(msg)
    return shape, fortran, dtype


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, largest: int | None) -> np.ndarray:
    import numpy as np

    most = _LARGEST_RATIO * max(info.compress_size, 1 << 16) if largest is None else largest
    if info.file_size > most:
        msg = f"{info.filename} has {info.file_size:,} bytes, at most {most:,} are possible"
        raise ValueError(msg)
    content = archive.read(info)
    stream = io.BytesIO(content)
    shape, fortran, dtype = read_npy_header(stream)
    needed, there = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if dtype.hasobject or needed != there:
        msg = f"{info.filename} claims to be {dtype} {shape}, and has {there:,} bytes"
        raise ValueError(msg)
    values = np.frombuffer(content, dtype, offset=stream.tell()) if needed else np.empty(shape, dtype)
    return values.reshape(shape, order="F" if fortran else "C").copy()
