"""Writing feature stores chunk by chunk: a process killed at any moment loses one chunk.

Each chunk is plain bytes at a known offset of a file that ``layout`` has laid out: the writer puts them there itself,
syncs them, and only then records them as written. A process killed at any time leaves a file that HDF5 opens.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from dcgan_analysis.core.checksums import crc32
from dcgan_analysis.core.distributed import is_leader, wait_for_all
from dcgan_analysis.core.files import make_folder, put_in_place, writer_lock
from dcgan_analysis.errors import StoreError
from dcgan_analysis.features.format import CHUNK_TABLE, chunk_offsets, opened, part_path
from dcgan_analysis.features.layout import StorePlan, disk_error, lay_out, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from dcgan_analysis.features.format import FeatureKey

__all__ = ["FeatureStoreWriter", "as_bytes"]


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

    def __init__(self, path: Path, plan: StorePlan, dtype: torch.dtype, note: str, stream: int) -> None:
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
        locked: bool = False,
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
            chunk_rows: Rows per chunk; by default what :func:`layout.default_chunk_rows` says.
            replace: Whether a complete store at ``path`` may be replaced.
            locked: Whether the caller holds ``writer_lock(path)`` already.

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
        plan = make_plan(path, key, n, taps, dtype, chunk_rows, tables)
        make_folder(path.parent)
        with writer_lock(path, f"Feature store {path}") if is_leader() and not locked else nullcontext():
            note = ""
            if is_leader():
                if path.exists() and not replace:
                    msg = f"Feature store {path} exists. Read it, or remove it to extract again."
                    raise StoreError(msg)
                note = lay_out(path, plan)
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
        records = np.array([(1, crc32(part)) for part in parts], CHUNK_TABLE)
        try:
            for number, part in enumerate(parts, start=first):
                self._put(self._offsets[number], part)
            os.fsync(self._stream)
            self._put(self._table_at + first * CHUNK_TABLE.itemsize, records.tobytes())
        except OSError as error:
            raise disk_error(self.path, self._bytes_missing(), error) from error
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
        put_in_place(part_path(self.path), self.path)


def as_bytes(rows: torch.Tensor) -> memoryview:
    """Return the bytes of rows of any dtype, without a copy where they lie one after another."""
    return rows.contiguous().view(torch.uint8).numpy().reshape(-1).data
