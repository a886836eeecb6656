"""Feature stores: HDF5 files of N rows of D features, read through a memory map.

Chunks have no filters, so rows are plain bytes in the file: reading them needs neither HDF5 nor a
copy, and the system's page cache is the only cache. ``writer.py`` makes such files,
docs/store-format.md describes them.
"""

from __future__ import annotations

import mmap
import sys
import weakref
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan_analysis.core.checksums import crc32, found_whole
from dcgan_analysis.core.memory import memory_is_full
from dcgan_analysis.core.text import Described, count, short_hash
from dcgan_analysis.errors import StoreError, unknown_name
from dcgan_analysis.features.format import STORAGE, FeatureKey, chunk_offsets, hash_table, opened, read_key
from dcgan_analysis.features.layout import default_chunk_rows
from dcgan_analysis.features.writer import FeatureStoreWriter, as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FeatureKey", "FeatureStore", "FeatureStoreWriter", "StoreRows", "default_chunk_rows"]

# Python names the flag from 3.13 on. Without it Linux refuses a private map larger than its memory.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
# The maps of all stores: pages that one has read are given back where another needs the memory.
_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


class FeatureStore(Described):
    """A complete feature store, read-only.

    Everything but the features is in memory; the features are mapped, and no HDF5 handle stays
    open, so a store may be carried over a fork. Pickling carries the path alone.

    Args:
        path: The store's file.

    Attributes:
        path: The same.
        key: What the features are.
        shape: ``(N, D)``.
        dtype: Dtype of the stored features.
        chunk_rows: Rows per chunk.
        taps: Tap -> slice of its columns, in order.
        tap_shapes: Tap -> shape of its pooled features, before flattening.
        ids: N sample ids.
        classes: K class names.
        labels: int64 array of shape (N,), or None.
        groups: int64 array of shape (N,), or None.

    Raises:
        StoreError: If the file is absent, foreign, damaged, half-written, or of a newer format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with opened(self.path) as file:
            if damaged := next(_damaged_tables(file), None):
                raise self._damage(damaged)
            features = file["features"]
            self.key = read_key(file)
            self.shape: tuple[int, int] = features.shape
            self.dtype: torch.dtype = getattr(torch, _stored_dtype(features))
            self._offsets = chunk_offsets(features)
            self.chunk_rows: int = features.chunks[0]
            self._table: np.ndarray = file["chunks"][:]
            names = file["taps/name"].asstr()[:].tolist()
            columns, shapes = file["taps/columns"][:].tolist(), file["taps/shape"][:].tolist()
            if not all(0 <= start < stop <= self.shape[1] for start, stop in columns):
                msg = f"/taps/columns names columns that /features, of {self.shape[1]}, does not have"
                raise ValueError(msg)
            self.taps = {tap: slice(*ends) for tap, ends in zip(names, columns, strict=True)}
            self.tap_shapes = {
                tap: tuple(size for size in shape if size) for tap, shape in zip(names, shapes, strict=True)
            }
            self.ids: list[str] = file["ids"].asstr()[:].tolist()
            self.classes: list[str] = file["classes"].asstr()[:].tolist()
            self.labels: np.ndarray | None = file["labels"][:] if "labels" in file else None
            self.groups: np.ndarray | None = file["groups"][:] if "groups" in file else None
        written = int((self._table["written"] == 1).sum())
        if written < len(self._offsets):
            msg = (
                f"Feature store {path} is half-written: {written} of {len(self._offsets)} chunks. "
                "Extract again: it goes on from there."
            )
            raise StoreError(msg)
        self._whole = found_whole(self.path, len(self._offsets))
        self._runs = self._map()
        self._starts = [start for start, _ in self._runs]

    @property
    def split(self) -> str:
        """Name of the split the rows come from."""
        return self.key.split

    def __len__(self) -> int:
        return self.shape[0]

    def _describe(self) -> tuple[str, dict[str, str]]:
        n, d = self.shape
        return f"FeatureStore of {count(n)} x {count(d)} features", {
            "type": str(self.dtype).removeprefix("torch."),
            "taps": ", ".join(f"{tap} {'x'.join(map(str, shape))}" for tap, shape in self.tap_shapes.items()),
            "labels": "none" if self.labels is None else f"{len(self.classes)} classes",
            "split": self.split,
            "network": f"{self.key.architecture}, sha256 {short_hash(self.key.weights_sha256)}",
            "path": str(self.path),
        }

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        return FeatureStore, (self.path,)

    def rows(self, columns: slice | None = None) -> StoreRows:
        """Return the rows as a ``RowSource``: all columns, or one slice such as ``taps["conv6"]``.

        Raises:
            StoreError: If the slice is empty or has a step.
        """
        start, stop, step = (columns or slice(None)).indices(self.shape[1])
        if step != 1 or start >= stop:
            msg = (
                f"Feature store {self.path}: {columns} is empty or has a step; it has "
                f"{self.shape[1]} columns. Taps: {self.taps}."
            )
            raise StoreError(msg)
        return StoreRows(self, slice(start, stop))

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start`` to ``stop``, shape (stop - start, D), in the store's dtype.

        The tensor is a view of the file's memory map (a copy only where rows are not neighbours in
        the file). It must not be written into.

        Whatever of the rows this process has not read before is compared with its checksum.

        Raises:
            StoreError: If the range is empty or outside the store, or the file is damaged there.
        """
        if not 0 <= start < stop <= len(self):
            msg = f"Feature store {self.path} has {len(self)} rows, asked for {start} to {stop}."
            raise StoreError(msg)
        if stop - start >= self.chunk_rows // 2 and memory_is_full():
            _give_pages_back()
        for chunk in range(start // self.chunk_rows, -(-stop // self.chunk_rows)):
            if not self._whole[chunk]:
                self._check(chunk)
        return self._rows(start, stop)

    def _rows(self, start: int, stop: int) -> torch.Tensor:
        pieces = []
        run = bisect_right(self._starts, start) - 1
        while start < stop:
            first, rows = self._runs[run]
            pieces.append(rows[start - first : stop - first])
            start, run = first + len(rows), run + 1
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def numpy(self, rows: slice | np.ndarray | None = None, taps: Sequence[str] | None = None) -> np.ndarray:
        """Copy features into memory.

        Args:
            rows: Slice, indices or boolean mask; None: all rows.
            taps: Names of taps, in the order of the result's columns; None: all columns.

        Returns:
            float32 array of shape (rows, columns).

        Raises:
            UnknownNameError: If a tap is not in the store.
        """
        columns = [self._columns(tap) for tap in (self.taps if taps is None else taps)]
        picked = np.arange(len(self))[slice(None) if rows is None else rows]
        result = torch.empty(len(picked), sum(c.stop - c.start for c in columns))
        # Neighbours are read together: indices are cut wherever the next one is not the successor.
        cuts = [0, *(np.flatnonzero(np.diff(picked) != 1) + 1).tolist(), len(picked)]
        for begin, end in pairwise(cuts):
            if begin < end:
                block = self.read(int(picked[begin]), int(picked[end - 1]) + 1)
                left = 0
                for c in columns:
                    right = left + c.stop - c.start
                    result[begin:end, left:right] = block[:, c]
                    left = right
        return result.numpy()

    def verify(self) -> None:
        """Read everything and compare it with the recorded checksums.

        Raises:
            StoreError: Naming the first element, or the first chunk of rows, that is damaged.
        """
        with opened(self.path) as file:
            damaged = next(_damaged_tables(file), None)
        if damaged:
            raise self._damage(damaged)
        for chunk in range(len(self._table)):
            self._check(chunk)

    def _check(self, chunk: int) -> None:
        """Compare a chunk of rows with its checksum, and note that it is whole."""
        written, recorded = self._table[chunk].item()
        start = chunk * self.chunk_rows
        stop = min(start + self.chunk_rows, len(self))
        computed = crc32(as_bytes(self._rows(start, stop)))
        if computed != recorded or written != 1:
            damage = (
                f"chunk {chunk} of /features (rows {start} to {stop}) has CRC-32 {computed:08x}, "
                f"recorded {recorded:08x}"
            )
            raise self._damage(damage)
        self._whole[chunk] = True

    def _damage(self, what: str) -> StoreError:
        msg = f"Feature store {self.path} is damaged: {what}. Remove the file and extract again."
        return StoreError(msg)

    def _columns(self, tap: str) -> slice:
        if tap not in self.taps:
            error = unknown_name("tap", tap, self.taps)
            raise error
        return self.taps[tap]

    def _map(self) -> list[tuple[int, torch.Tensor]]:
        """Map the file; return runs of rows that are neighbours in it, each with its first row."""
        # A private map may be handed to torch as writable; pages are copied only if someone writes
        # into them.
        with self.path.open("rb") as stream:
            if sys.platform == "win32":
                whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            else:
                flags = mmap.MAP_PRIVATE | _NORESERVE
                whole = mmap.mmap(stream.fileno(), 0, flags, mmap.PROT_READ | mmap.PROT_WRITE)
        _maps.add(whole)
        n, columns = self.shape
        row_bytes = columns * self.dtype.itemsize
        chunk_bytes = self.chunk_rows * row_bytes
        heads = [
            number
            for number, offset in enumerate(self._offsets)
            if number == 0 or offset != self._offsets[number - 1] + chunk_bytes
        ]
        runs = []
        for head, after in zip(heads, [*heads[1:], len(self._offsets)], strict=True):
            first = head * self.chunk_rows
            count = min(after * self.chunk_rows, n) - first
            flat = torch.frombuffer(whole, dtype=self.dtype, count=count * columns, offset=self._offsets[head])
            runs.append((first, flat.reshape(count, columns)))
        return runs


def _give_pages_back() -> None:
    """Let the system take the pages of all maps; whoever reads one again finds it as it was."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for each in list(_maps):
            each.madvise(mmap.MADV_DONTNEED)


def _stored_dtype(features: Any) -> str:
    name = str(features.attrs["dtype"])
    if STORAGE.get(name) != features.dtype.str:
        msg = f"/features has dtype '{name}' over {features.dtype.str}, allowed: {STORAGE}"
        raise ValueError(msg)
    return name


def _damaged_tables(file: Any) -> Iterator[str]:
    if read_key(file).sha256 != file["key"].attrs["sha256"]:
        yield "/key does not have the recorded SHA-256"
    for name in ("taps/name", "taps/columns", "taps/shape", "ids", "classes", "labels", "groups"):
        if name in file:
            element = file[name]
            values = element.asstr()[:].tolist() if element.dtype == object else element[:]
            if hash_table(values) != element.attrs["sha256"]:
                yield f"/{name} does not have the recorded SHA-256"


@dataclass(frozen=True)
class StoreRows:
    """Rows of a store, all columns or a slice of them; satisfies ``RowSource``.

    Attributes:
        store: The store.
        columns: Slice of its columns.
    """

    store: FeatureStore
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, columns)``."""
        return len(self.store), self.columns.stop - self.columns.start

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the stored features."""
        return self.store.dtype

    @property
    def chunk_rows(self) -> int:
        """Rows per chunk of the file."""
        return self.store.chunk_rows

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return rows ``start`` to ``stop``: a view, not to be written into."""
        return self.store.read(start, stop)[:, self.columns]
