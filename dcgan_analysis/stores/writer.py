"""Writing feature stores chunk by chunk: a process killed at any moment loses one chunk.

HDF5 lays the file out and closes it before the first feature is written. Chunks have no filters and
are allocated in advance, so each is plain bytes at a known offset: the writer puts them there
itself, syncs them, and only then records them as written. HDF5's own structures never change after
the first moment, and a process killed at any time leaves a file that opens.
"""

from __future__ import annotations

import glob
import logging
import math
import os
import shutil
import zlib
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np
import torch

from dcgan_analysis.atomic import atomic_path
from dcgan_analysis.distributed import is_leader, wait_for_all
from dcgan_analysis.errors import StoreError
from dcgan_analysis.hashing import hash_json
from dcgan_analysis.stores.spec import (
    CHUNK_TABLE,
    STORAGE,
    FeatureKey,
    chunk_offsets,
    hash_table,
    opened,
    part_path,
    read_key,
    stamp,
    unreadable_path,
    writer_lock,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

__all__ = ["FeatureStoreWriter", "as_bytes", "default_chunk_rows"]

_log = logging.getLogger(__name__)

# What a kill can lose, and what a reader multiplies at once: 512 rows of 28,672 in bfloat16.
_CHUNK_BYTES = 32 << 20


def default_chunk_rows(columns: int, dtype: torch.dtype) -> int:
    """Return how many rows fit into 32 MiB: the largest power of two, between 1 and 8192.

    Example:
        >>> default_chunk_rows(28672, torch.bfloat16)
        512
    """
    rows = _CHUNK_BYTES // (columns * dtype.itemsize)
    return 1 << min(max(rows, 1).bit_length() - 1, 13)


@dataclass(frozen=True)
class _Plan:
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


class FeatureStoreWriter:
    """Writes a store chunk by chunk; made by :meth:`open`.

    Attributes:
        path: Where the store will stand when it is complete.
        note: One line on what was found at ``path``: nothing, a file to go on with, or one that was
            put aside.
        shape: ``(N, D)``.
        chunk_rows: Rows per chunk.
        dtype: Dtype of the stored features.
    """

    def __init__(self, path: Path, plan: _Plan, dtype: torch.dtype, note: str, stream: int) -> None:
        self.path, self.note, self.dtype = path, note, dtype
        self.shape, self.chunk_rows = (plan.n, plan.columns), plan.chunk_rows
        self._shapes, self._ids, self._stream = plan.shapes, plan.tables["ids"], stream
        with opened(part_path(path)) as file:
            self._offsets = chunk_offsets(file["features"])
            self._table: np.ndarray = file["chunks"][:]
            self._table_at: int = file["chunks"].id.get_offset()

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        key: FeatureKey,
        n: int,
        *,
        taps: Mapping[str, Sequence[int]],
        dtype: torch.dtype,
        ids: Sequence[str],
        labels: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        classes: Sequence[str] = (),
        chunk_rows: int | None = None,
        replace: bool = False,
    ) -> Iterator[Self]:
        """Create a store, or go on with a half-written one of the same key and contents.

        The store appears at ``path`` when the block ends with every row written. After an error or
        a kill, what was written stays in ``path`` + ``.part``, and the next call goes on from
        there.

        Under torchrun every process enters the block with the same arguments and writes chunks of its own; all must
        see the same file system.

        Args:
            path: The store's file; its folder is made if needed.
            key: What the features are; ``key.taps`` and ``key.store_dtype`` must be those given
                here.
            n: Number of rows (images).
            taps: Tap -> shape of its pooled features, in the order of the columns:
                ``{"conv1": (128, 4, 4)}``.
            dtype: float32, float16 or bfloat16.
            ids: N sample ids.
            labels: N class numbers, or None.
            groups: N group numbers, or None.
            classes: K class names.
            chunk_rows: Rows per chunk; by default what :func:`default_chunk_rows` says.
            replace: Whether a complete store at ``path`` may be replaced.

        Raises:
            StoreError: If a store exists there or is being written, the disk cannot hold it, its
                description contradicts itself, or the block ends before every row is written.

        Example:
            >>> with FeatureStoreWriter.open(
            ...     path, key, 2, taps={"conv1": (1, 4, 4)}, dtype=torch.float32, ids=["a", "b"]
            ... ) as writer:  # doctest: +SKIP
            ...     for rows in writer.missing:
            ...         writer.write(rows.start, extract(images[rows.start : rows.stop]))
        """
        tables: dict[str, Any] = {"ids": list(ids), "classes": list(classes)}
        for name, values in (("labels", labels), ("groups", groups)):
            if values is not None:
                tables[name] = np.asarray(values).astype("<i8", casting="safe")
        plan = _plan(path, key, n, taps, dtype, chunk_rows, tables)
        path.parent.mkdir(parents=True, exist_ok=True)
        with writer_lock(path) if is_leader() else nullcontext():
            note = ""
            if is_leader():
                if path.exists() and not replace:
                    msg = f"Feature store {path} exists. Read it, or remove it to extract again."
                    raise StoreError(msg)
                note = _prepare(path, plan)
            wait_for_all()  # the file is laid out
            stream = os.open(part_path(path), os.O_RDWR)
            try:
                writer = cls(path, plan, dtype, note, stream)
                wait_for_all()  # everybody has seen which chunks are missing
                yield writer
                wait_for_all()  # every chunk is written
                if is_leader():
                    writer._finish()
                wait_for_all()  # the store stands at its path
            finally:
                os.close(stream)

    @property
    def missing(self) -> list[range]:
        """Rows of each chunk that is not written yet, in order."""
        starts = np.flatnonzero(self._table["written"] == 0) * self.chunk_rows
        return [range(s, min(s + self.chunk_rows, self.shape[0])) for s in starts.tolist()]

    def write(self, start: int, rows: torch.Tensor) -> None:
        """Write whole chunks of rows.

        Args:
            start: First row, a multiple of ``chunk_rows``.
            rows: Float tensor of shape (m, D), converted to the store's dtype; m is a multiple of
                ``chunk_rows``, or reaches to the last row.

        Raises:
            StoreError: If rows are not finite, not whole chunks, already written, or cannot be
                written (full disk); they then do not count as written.
        """
        stop = start + len(rows)
        begins = start % self.chunk_rows == 0 and 0 <= start < stop
        ends = stop == self.shape[0] or (stop % self.chunk_rows == 0 and stop < self.shape[0])
        if not begins or not ends or rows.shape[1:] != self.shape[1:]:
            msg = (
                f"Feature store {self.path} has shape {self.shape} and takes whole chunks of "
                f"{self.chunk_rows} rows, got shape {tuple(rows.shape)} for row {start} on."
            )
            raise StoreError(msg)
        first = start // self.chunk_rows
        if self._table["written"][first : -(-stop // self.chunk_rows)].any():
            msg = f"Feature store {self.path}: of rows {start} to {stop} some are already written."
            raise StoreError(msg)
        stored = rows.detach().to(device="cpu", dtype=self.dtype).contiguous()
        self._check_finite(start, stored)
        parts = [as_bytes(stored[at : at + self.chunk_rows]) for at in range(0, len(stored), self.chunk_rows)]
        records = np.array([(1, zlib.crc32(part)) for part in parts], CHUNK_TABLE)
        try:
            for number, part in enumerate(parts, start=first):
                self._put(self._offsets[number], part)
            os.fsync(self._stream)
            self._put(self._table_at + first * CHUNK_TABLE.itemsize, records.tobytes())
        except OSError as error:
            raise _disk_error(self.path, self._bytes_missing(), error) from error
        self._table[first : first + len(parts)] = records

    def _check_finite(self, start: int, stored: torch.Tensor) -> None:
        # Both ends are NaN if anything is; fifteen times faster than isfinite() on every number.
        if all(math.isfinite(end) for end in torch.aminmax(stored)):
            return
        row, column = (~stored.isfinite()).nonzero()[0].tolist()
        ends = np.cumsum([math.prod(shape) for shape in self._shapes.values()])
        tap = list(self._shapes)[int(np.searchsorted(ends, column, side="right"))]
        msg = (
            f"Feature store {self.path}: image '{self._ids[start + row]}' has the feature "
            f"{stored[row, column].item()} at tap '{tap}', allowed are finite numbers. "
            "Check the weights and images, or store as bfloat16 or float32 (larger range)."
        )
        raise StoreError(msg)

    def _put(self, offset: int, data: bytes | memoryview) -> None:
        # A call may write less than it was given: on a full disk, or beyond 2 GiB on Linux.
        view = memoryview(data)
        while len(view):
            written = os.pwrite(self._stream, view, offset)
            view, offset = view[written:], offset + written

    def _bytes_missing(self) -> int:
        return sum(map(len, self.missing)) * self.shape[1] * self.dtype.itemsize

    def _finish(self) -> None:
        # Other processes may have written chunks of their own.
        raw = os.pread(self._stream, self._table.nbytes, self._table_at)
        self._table = np.frombuffer(raw, self._table.dtype)
        if missing := self.missing:
            msg = (
                f"Feature store {self.path} is half-written: {len(missing)} of {len(self._table)} "
                f"chunks are missing, the first at row {missing[0].start}. Extract again: it goes "
                "on from there."
            )
            raise StoreError(msg)
        os.fsync(self._stream)
        part_path(self.path).replace(self.path)


def _plan(
    path: Path,
    key: FeatureKey,
    n: int,
    taps: Mapping[str, Sequence[int]],
    dtype: torch.dtype,
    chunk_rows: int | None,
    tables: dict[str, Any],
) -> _Plan:
    shapes = {tap: tuple(int(size) for size in shape) for tap, shape in taps.items()}
    columns = sum(math.prod(shape) for shape in shapes.values())
    rows = default_chunk_rows(max(columns, 1), dtype) if chunk_rows is None else chunk_rows
    plan = _Plan(key, n, shapes, min(rows, n), tables)
    if problem := next(_problems(plan, dtype), None):
        msg = f"Feature store {path}: {problem}"
        raise StoreError(msg)
    return plan


def _problems(plan: _Plan, dtype: torch.dtype) -> Iterator[str]:
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


def _prepare(path: Path, plan: _Plan) -> str:
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
        raise _disk_error(path, needed, reason)
    try:
        _create(part, plan)
    except OSError as error:
        raise _disk_error(path, needed, error) from error
    return note


def _disk_error(path: Path, needed: int, error: OSError | str) -> StoreError:
    reason = error if isinstance(error, str) else error.strerror or str(error)
    free = shutil.disk_usage(path.parent).free
    msg = (
        f"Feature store {path} cannot be written ({reason}): {needed:,} bytes needed, {free:,} "
        "free. What is written is kept: free some space (dcgan-analyze cache gc), then run again."
    )
    return StoreError(msg)


def _create(path: Path, plan: _Plan) -> None:
    """Lay out a store; all is final but the features and the records of their chunks."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # The bounds keep the file readable for HDF5 1.10; 64 bytes are a cache line and a vector
    # register.
    options = {"libver": ("v110", "v110"), "alignment_threshold": 1, "alignment_interval": 64}
    with atomic_path(path) as temporary, h5py.File(temporary, "w", **options) as file:
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


def as_bytes(rows: torch.Tensor) -> memoryview:
    """Return the bytes of rows of any dtype, without a copy where they lie one after another."""
    return rows.contiguous().view(torch.uint8).numpy().reshape(-1).data
