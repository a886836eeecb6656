"""What a new feature store will hold, and its file before the first feature is written.

HDF5 lays the file out and closes it; chunks have no filters and are allocated in advance, so that each is plain bytes
at a known offset. HDF5's own structures never change after that moment.
"""

from __future__ import annotations

import glob
import io
import logging
import math
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from dcgan_analysis.core.files import atomic_path
from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.errors import StoreError
from dcgan_analysis.features.format import (
    CHUNK_TABLE,
    STORAGE,
    FeatureKey,
    hash_table,
    opened,
    part_path,
    read_key,
    stamp,
    unreadable_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch

__all__ = ["StorePlan", "default_chunk_rows", "disk_error", "lay_out", "make_plan"]

_log = logging.getLogger(__name__)

# What a kill can lose, and what a reader multiplies at once: 512 rows of 28,672 in bfloat16.
_CHUNK_BYTES = 32 << 20


def default_chunk_rows(columns: int, dtype: torch.dtype) -> int:
    """Return how many rows fit into 32 MiB: the largest power of two, between 1 and 8192.

    Example:
        >>> import torch
        >>> default_chunk_rows(28672, torch.bfloat16)
        512
    """
    rows = _CHUNK_BYTES // (columns * dtype.itemsize)
    return 1 << min(max(rows, 1).bit_length() - 1, 13)


@dataclass(frozen=True)
class StorePlan:
    """What a new store will hold, known before its first feature.

    Attributes:
        key: What the features are.
        n: Number of rows.
        shapes: Tap -> shape of its pooled features, in the order of the columns.
        chunk_rows: Rows per chunk.
        tables: ``ids``, ``classes``, and ``labels``, ``groups`` where there are any.
    """

    key: FeatureKey
    n: int
    shapes: dict[str, tuple[int, ...]]
    chunk_rows: int
    tables: dict[str, Any]

    @property
    def columns(self) -> int:
        """Number of features D."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def sha256(self) -> str:
        """Hash of the whole plan: a half-written file goes on only under the same one."""
        hashes = {name: hash_table(table) for name, table in self.tables.items()}
        shapes = [[name, *shape] for name, shape in self.shapes.items()]
        return hash_json([self.key.sha256, self.n, shapes, self.chunk_rows, hashes])


def make_plan(
    path: Path,
    key: FeatureKey,
    n: int,
    taps: Mapping[str, Sequence[int]],
    dtype: torch.dtype,
    chunk_rows: int | None,
    tables: dict[str, Any],
) -> StorePlan:
    """Return the plan of a store; arguments as of ``FeatureStoreWriter.open``.

    Raises:
        StoreError: If its description contradicts itself.
    """
    shapes = {tap: tuple(int(size) for size in shape) for tap, shape in taps.items()}
    columns = sum(math.prod(shape) for shape in shapes.values())
    rows = default_chunk_rows(max(columns, 1), dtype) if chunk_rows is None else chunk_rows
    plan = StorePlan(key, n, shapes, min(rows, n), tables)
    if problem := next(_problems(plan, dtype), None):
        msg = f"Feature store {path}: {problem}"
        raise StoreError(msg)
    return plan


def _problems(plan: StorePlan, dtype: torch.dtype) -> Iterator[str]:
    """Yield what is wrong with the description of a store."""
    name, key = str(dtype).removeprefix("torch."), plan.key
    if name not in STORAGE or name != key.store_dtype:
        allowed = ", ".join(STORAGE)
        yield f"dtype is {name}, its key says {key.store_dtype}; make them equal, one of {allowed}."
    if tuple(plan.shapes) != key.taps:
        taps = ", ".join(plan.shapes)
        yield f"taps are {taps}, its key says {', '.join(key.taps)}; make them equal."
    if plan.n < 1 or not plan.shapes or min(map(math.prod, plan.shapes.values())) < 1:
        yield f"needs a row, a tap and sizes >= 1, got {plan.n} rows of {plan.shapes}."
    for table, values in plan.tables.items():
        if table != "classes" and len(values) != plan.n:
            yield f"got {len(values)} {table} for {plan.n} rows; give one per row."
    if plan.chunk_rows < 1 or plan.chunk_rows * plan.columns * dtype.itemsize >= 1 << 32:
        yield f"chunk_rows is {plan.chunk_rows}; it must be >= 1, and a chunk smaller than 4 GiB."


def lay_out(path: Path, plan: StorePlan) -> str:
    """Make sure that the half-written file is there and fits; return one line on what was found."""
    part, note = part_path(path), f"{path} is begun"
    # Files of processes that were killed while they laid out: with the lock in hand, nobody's.
    for abandoned in path.parent.glob(glob.escape(f".{part.name}.") + "*.part"):
        abandoned.unlink()
    if part.exists():
        try:
            with opened(part) as file:
                same, key = file.attrs["plan-sha256"] == plan.sha256, read_key(file)
        except StoreError as error:
            part.replace(unreadable_path(path))
            note = f"{path} is begun anew, its half-written file was set aside: {error}"
        else:
            if same:
                return f"{path} is resumed"
            differing = [item.part for item in plan.key.difference(key)] or ["rows or chunk size"]
            part.unlink()
            note = f"{path} is begun anew, its half-written file differs in {', '.join(differing)}"
        _log.warning(note)
    needed = plan.n * plan.columns * np.dtype(STORAGE[plan.key.store_dtype]).itemsize
    if shutil.disk_usage(path.parent).free < needed:
        reason = "the disk is too small"
        raise disk_error(path, needed, reason)
    try:
        _create(part, plan)
    except OSError as error:
        raise disk_error(path, needed, error) from error
    return note


def disk_error(path: Path, needed: int, error: OSError | str) -> StoreError:
    """Return the error of a disk that does not take what is written: how many bytes are needed, how many are free."""
    reason = error if isinstance(error, str) else error.strerror or str(error)
    free = shutil.disk_usage(path.parent).free
    msg = (
        f"Feature store {path} cannot be written ({reason}): {needed:,} bytes needed, {free:,} "
        "free. What is written is kept: free some space (dcgan-analyze cache gc), then run again."
    )
    return StoreError(msg)


class _Stream(io.FileIO):
    """A file that HDF5 writes: HDF5 ends the process where a disk refuses it, so the refusal is kept for afterwards.

    What was refused is kept too, as HDF5 reads its own structures again.
    """

    refusal: OSError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._refused: list[tuple[int, bytes]] = []

    def write(self, data: Any, /) -> int:
        at, view = self.tell(), memoryview(data)
        try:
            while len(view):
                view = view[super().write(view) :]
        except OSError as error:
            self.refusal = self.refusal or error
            self._refused.append((at, bytes(data)))
            self.seek(at + len(data))
        return len(data)

    def readinto(self, buffer: Any, /) -> int:
        at, view = self.tell(), memoryview(buffer)
        there = super().readinto(buffer) or 0
        view[there:] = bytes(len(view) - there)
        for start, data in self._refused:
            first, last = max(at, start), min(at + len(view), start + len(data))
            if first < last:
                view[first - at : last - at] = data[first - start : last - start]
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.refusal = self.refusal or error
            return size or 0


@contextmanager
def _written(path: Path) -> Iterator[_Stream]:
    """Yield a file for HDF5; raise what the disk refused when HDF5 has closed it."""
    with _Stream(path) as stream:
        try:
            yield stream
        finally:
            if stream.refusal is not None:
                raise stream.refusal


def _create(path: Path, plan: StorePlan) -> None:
    """Lay out a store; all is final but the features and the records of their chunks."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # The bounds keep the file readable for HDF5 1.10; 64 bytes are a cache line and a vector
    # register.
    options = {"libver": ("v110", "v110"), "alignment_threshold": 1, "alignment_interval": 64}
    with atomic_path(path) as temporary, _written(temporary) as stream, h5py.File(stream, "w", **options) as file:
        stamp(file)
        file.attrs["plan-sha256"] = plan.sha256
        _put_table(file, "key", plan.key.model_dump_json())
        file["key"].attrs["sha256"] = plan.key.sha256
        name, shape = plan.key.store_dtype, (plan.n, plan.columns)
        chunk = (plan.chunk_rows, plan.columns)
        features = file.create_dataset("features", shape, STORAGE[name], chunks=chunk, dcpl=layout)
        stamp(features)
        features.attrs["dtype"] = name
        stamp(file.create_dataset("chunks", data=np.zeros(-(-plan.n // chunk[0]), CHUNK_TABLE)))
        stamp(file.create_group("taps"))
        ends = np.cumsum([np.prod(shape) for shape in plan.shapes.values()])
        rank = max(len(shape) for shape in plan.shapes.values())
        shapes = [shape + (0,) * (rank - len(shape)) for shape in plan.shapes.values()]
        _put_table(file, "taps/name", list(plan.shapes))
        _put_table(file, "taps/columns", np.stack([np.r_[0, ends[:-1]], ends], 1).astype("<i8"))
        _put_table(file, "taps/shape", np.array(shapes, "<i8"))
        for table, values in plan.tables.items():
            _put_table(file, table, values)


def _put_table(file: Any, name: str, values: Any) -> None:
    if isinstance(values, np.ndarray):
        element = file.create_dataset(name, data=values)
    else:
        shape = () if isinstance(values, str) else (len(values),)
        element = file.create_dataset(name, shape, h5py.string_dtype(), data=values)
    stamp(element)
    element.attrs["sha256"] = hash_table(values)
