"""The cache: files named by the hash of what decided them, in a folder for each kind.

``<cache>/features/<first 16 digits of the key's SHA-256>.h5`` are the feature stores. A file's modification time is
when it was last used; the content of a store never changes. Beside them lie smaller files: outcomes of long
computations (``features.outcomes``: dictionaries, trials, and whatever plugins keep), in ``neighbours/`` those by
which long searches go on (of mnist-nn), and in ``images/`` a folder for each set of decoded image files
(``data.files.decoded``).
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.core.distributed import agreed, is_leader
from dcgan_analysis.core.files import make_folder, sweep, writer_lock
from dcgan_analysis.core.folders import cache_folder
from dcgan_analysis.data.files.decoded import IMAGES
from dcgan_analysis.errors import StoreError
from dcgan_analysis.features.format import Difference, FeatureKey, opened, read_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.features.store import FeatureStore

__all__ = [
    "CacheEntry",
    "CacheFolder",
    "collect_garbage",
    "explain",
    "find",
    "list_entries",
    "list_folders",
    "path_for",
    "turn",
]

_FEATURES = "features"
# Named by a hash, or on the way to it (see atomic_path). Nothing else is ever listed or removed: the cache may lie in a
# folder that holds other things.
_KEPT = re.compile(r"[0-9a-f]{16}\.(safetensors|npz)|\.[0-9a-f]{16}\.(safetensors|npz)\..+\.part")
_KEPT_FOLDER = re.compile(rf"{IMAGES}/[0-9a-f]{{16}}(\.part)?")


@dataclass(frozen=True)
class CacheEntry:
    """One store in the cache.

    Attributes:
        path: Its file.
        size: Bytes on the disk.
        last_used: When it was last found by its key, UTC.
        key: Its key; None: the file cannot be read.
        problem: Why it cannot be read; empty: it can.
    """

    path: Path
    size: int
    last_used: datetime
    key: FeatureKey | None
    problem: str = ""


@dataclass(frozen=True)
class CacheFolder:
    """What is kept of one kind beside the feature stores.

    Attributes:
        kind: Name of the folder: ``"trials"``.
        files: How many; of decoded images, how many sets.
        size: Bytes on the disk.
        last_used: When one of them was last used, UTC.
    """

    kind: str
    files: int
    size: int
    last_used: datetime


def path_for(key: FeatureKey, folder: Path | None = None) -> Path:
    """Return where the store of a key stands, or would stand.

    Args:
        key: What the features are.
        folder: The cache folder; None: :func:`cache_folder`.
    """
    return _stores(folder) / f"{key.sha256[:16]}.h5"


@contextmanager
def turn(path: Path) -> Iterator[bool]:
    """Hold the lock of a store's writer, and say whether the store is complete.

    Where another process is writing it, a line says so, and it is waited for: the store is then complete, or half
    written by one that was stopped. Under torchrun every process enters; the first holds the lock.

    Args:
        path: Where the store stands, or is to stand.
    """
    make_folder(path.parent)
    with writer_lock(path, f"Feature store {path}", wait=True) if is_leader() else nullcontext():
        yield agreed(path.exists())


def find(key: FeatureKey, folder: Path | None = None) -> FeatureStore | None:
    """Return the complete store of a key and note that it was used; None if there is none.

    Raises:
        StoreError: If its file cannot be read, or holds another key.
    """
    from dcgan_analysis.features.store import FeatureStore

    path = path_for(key, folder)
    if not path.exists():
        return None
    store = FeatureStore(path)
    if store.key != key:
        parts = ", ".join(item.part for item in key.difference(store.key))
        msg = f"Feature store {path} is of another key ({parts} differ). Remove the file, run again."
        raise StoreError(msg)
    # A cache that others share may be read-only.
    with suppress(OSError):
        os.utime(path)
    return store


def list_entries(folder: Path | None = None) -> list[CacheEntry]:
    """Return the complete stores of the cache, the last used first."""
    entries = [_entry(path) for path in _stores(folder).glob("*.h5")]
    return sorted(entries, key=lambda entry: entry.last_used, reverse=True)


def list_folders(folder: Path | None = None) -> list[CacheFolder]:
    """Return what is kept beside the feature stores, by kind, in alphabetical order."""
    folders = []
    for kind, paths in _kept(folder).items():
        states = [path.stat() for path in paths]
        used = datetime.fromtimestamp(max(state.st_mtime for state in states), UTC)
        folders.append(CacheFolder(kind, len(paths), sum(map(_size, paths)), used))
    return folders


def explain(
    key: FeatureKey, folder: Path | None = None, *, exclude: Path | None = None
) -> tuple[CacheEntry, list[Difference]] | None:
    """Say why a key is not in the cache: the nearest entry and the parts in which it differs.

    Args:
        key: What the features are.
        folder: The cache folder; None: :func:`cache_folder`.
        exclude: A store left out of account, as one is not compared with itself.

    Returns:
        The entry that differs in the fewest parts (the last used of equals) with the differences,
        which are empty if the key is in the cache; None if the cache is empty.
    """
    others = [entry for entry in list_entries(folder) if exclude is None or entry.path.resolve() != exclude.resolve()]
    candidates = [(entry, key.difference(entry.key)) for entry in others if entry.key]
    return min(candidates, key=lambda candidate: len(candidate[1]), default=None)


def collect_garbage(
    *,
    max_bytes: int | None = None,
    older_than: timedelta | None = None,
    folder: Path | None = None,
) -> list[Path]:
    """Remove what ended processes left, and what is kept by age and total size.

    What a living process is writing is never touched.

    Args:
        max_bytes: Remove what was not used for longest until the rest of all that is kept is no larger; None: any size.
        older_than: Remove stores and outcomes not used, and searches not gone on with, for that long; None: any age.
        folder: The cache folder; None: :func:`cache_folder`.

    Returns:
        The files removed.
    """
    removed = [path for path in _leftovers(_stores(folder)) if _remove(path)]
    top = cache_folder() if folder is None else folder
    for kind in sorted(filter(Path.is_dir, top.iterdir()) if top.is_dir() else ()):
        removed += sweep(kind)
    if older_than is not None:
        oldest = (datetime.now(UTC) - older_than).timestamp()
        removed += [path for path in _everything(folder) if path.stat().st_mtime < oldest and _remove_any(path)]
    if max_bytes is not None:
        total = 0
        whole = (path for path in _everything(folder) if not path.name.startswith("."))  # others are being written
        for path in sorted(whole, key=lambda path: path.stat().st_mtime, reverse=True):
            size = _size(path)
            if total + size > max_bytes and _remove_any(path):
                removed.append(path)
            else:
                total += size
    return removed


def _everything(folder: Path | None) -> list[Path]:
    return [*_stores(folder).glob("*.h5"), *(path for paths in _kept(folder).values() for path in paths)]


def _stores(folder: Path | None) -> Path:
    return (cache_folder() if folder is None else folder) / _FEATURES


def _entry(path: Path) -> CacheEntry:
    status = path.stat()
    used = datetime.fromtimestamp(status.st_mtime, UTC)
    try:
        with opened(path) as file:
            return CacheEntry(path, status.st_size, used, read_key(file))
    except StoreError as error:
        return CacheEntry(path, status.st_size, used, None, str(error))


def _leftovers(folder: Path) -> Iterator[Path]:
    # Half-written, set aside as unreadable, and laid out but not yet renamed (see atomic_path).
    for pattern in ("[!.]*.h5.part", "*.h5.unreadable", ".*.h5.part.*.part"):
        yield from sorted(folder.glob(pattern))


def _kept(folder: Path | None) -> dict[str, list[Path]]:
    """Return the files, or folders of images, beside the feature stores, by kind; what is being written as well."""
    paths: dict[str, list[Path]] = {}
    for path in sorted((cache_folder() if folder is None else folder).glob("*/*")):
        whole = _KEPT_FOLDER.fullmatch(f"{path.parent.name}/{path.name}") and path.is_dir()
        if whole or (path.parent.name != _FEATURES and _KEPT.fullmatch(path.name) and path.is_file()):
            paths.setdefault(path.parent.name, []).append(path)
    return paths


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def _remove_any(path: Path) -> bool:
    """Remove a store, another file, or a folder, unless it is being written; return whether it is gone."""
    if path.parent.name == _FEATURES:
        return _remove(path)
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    with suppress(StoreError), writer_lock(path.with_suffix(""), "A set of images"):
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _remove(path: Path) -> bool:
    """Remove a file unless its store is being written; return whether it is gone."""
    store = path.with_name(path.name.removeprefix(".").split(".h5")[0] + ".h5")
    try:
        with writer_lock(store, f"Feature store {store}"):
            path.unlink(missing_ok=True)
    except StoreError:
        return False
    return True
