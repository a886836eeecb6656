"""One writer for each feature store: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dcgan_analysis.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["lock_path", "writer_lock"]


def lock_path(path: Path) -> Path:
    """Return the lock file of a store's writer."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a store's writer; the operating system drops it when the process dies.

    Raises:
        StoreError: If another writer holds it; the message names the holder.
    """
    lock = lock_path(path)
    descriptor = _acquire(path, lock)
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {os.uname().nodename} since {since}"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        # Removed while it is still held: whoever waits at the old file sees that it is gone.
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, lock: Path) -> int:
    if sys.platform == "win32":
        msg = f"Feature store {path}: writing needs POSIX file locks. Use Linux, macOS or WSL."
        raise StoreError(msg)
    import fcntl

    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            msg = f"Feature store {path} is being written by {holder}. Wait for it, or stop it."
            raise StoreError(msg) from None
        # Between opening and locking, the last holder may have removed the file.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
        os.close(descriptor)
