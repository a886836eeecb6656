"""Arrays by name in safetensors files, ``.npz`` archives and folders of ``.npy`` files: headers now, numbers later."""

from __future__ import annotations

import math
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.detect import zip_members
from dcgan_analysis.core.array_files import read_npy_header
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_npy_folder", "read_npz", "read_safetensors"]

_LARGEST_RATIO = 200  # of a compressed array to its file; numbers hardly compress


def read_safetensors(path: Path) -> dict[str, Array]:
    """Return the arrays of a safetensors file, in the order of its names.

    Raises:
        CheckpointError: If it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        text = " ".join(str(error).split())
        msg = f"File '{path}' cannot be read as safetensors: {text}. Copy or convert it again."
        raise CheckpointError(msg) from None

    def reader(name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            with safe_open(path, framework="pt") as file:
                values: Tensor = file.get_tensor(name)
                return values

        return read

    return {name: Array(name, shape, reader(name)) for name, shape in shapes.items()}


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of an archive written by ``numpy.savez``.

    Raises:
        CheckpointError: If it is damaged, or holds pickles.
    """
    arrays = {}
    for member, info in zip_members(path).items():
        name = member.removesuffix(".npy")
        if info.file_size > _LARGEST_RATIO * max(info.compress_size, 1 << 16):
            msg = f"File '{path}': array '{name}' claims {info.file_size:,} bytes, {info.compress_size:,} are stored."
            raise CheckpointError(msg)

        def opened(member: str = member) -> IO[bytes]:
            return zipfile.ZipFile(path).open(member)

        arrays[name] = _npy(path, name, opened, info.file_size)
    return arrays


def read_npy_folder(folder: Path) -> dict[str, Array]:
    """Return the arrays of a folder of ``.npy`` files, called as their files.

    Raises:
        CheckpointError: If one is damaged, or a pickle.
    """
    files = sorted(folder.glob("*.npy"))
    return {path.stem: _npy(path, path.stem, partial(_opened, path), path.stat().st_size) for path in files}


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


@contextmanager
def _explained(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        text = " ".join(str(error).split())
        msg = f"Array '{name}' in '{path}' cannot be read: truncated or damaged ({text}). Copy it again."
        raise CheckpointError(msg) from None


def _npy(path: Path, name: str, opened: Callable[[], IO[bytes]], nbytes: int) -> Array:
    with _explained(path, name), opened() as stream:
        shape, fortran, dtype = read_npy_header(stream)
        start = stream.tell()
    if dtype.kind == "O":
        msg = (
            f"Array '{name}' in '{path}' hides code: it is a pickle of Python objects. It was refused unread. "
            "Save plain arrays: numpy.savez('generator.npz', **arrays)."
        )
        raise CheckpointError(msg)
    if dtype.kind not in "fiub":
        msg = f"Array '{name}' in '{path}' must hold real numbers, got {dtype}."
        raise CheckpointError(msg)
    needed = math.prod(shape) * dtype.itemsize
    if needed > nbytes - start:
        msg = (
            f"Array '{name}' in '{path}' claims {needed:,} bytes, {max(nbytes - start, 0):,} are there. Copy it again."
        )
        raise CheckpointError(msg)

    def read() -> Tensor:
        with _explained(path, name), opened() as stream:
            stream.seek(start)
            data = stream.read(needed)
        if len(data) != needed:
            msg = f"Array '{name}' in '{path}' is truncated. Copy it again."
            raise CheckpointError(msg)
        values = np.frombuffer(data, dtype).astype(np.float32 if dtype.kind == "f" else np.int64)
        return torch.from_numpy(values.reshape(shape, order="F" if fortran else "C").copy())

    return Array(name, shape, read)
