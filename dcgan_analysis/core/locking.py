"""One writer for each file: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dcgan_analysis.errors import DcganAnalysisError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["lock_path", "writer_lock"]


def lock_path(path: Path) -> Path:
    """Return the lock file of a file's writer."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def writer_lock(path: Path, what: str | None = None, error: type[DcganAnalysisError] = StoreError) -> Iterator[None]:
    """Hold the lock of a file's writer; the operating system drops it when the process dies.

    Args:
        path: The file, which need not exist; its folder must.
        what: What is written, for the message; None: the feature store ``path``.
        error: What is raised.

    Raises:
        DcganAnalysisError: If another writer holds it: ``error``, whose message names the holder.
    """
    lock = lock_path(path)
    descriptor = _acquire(lock, what or f"Feature store {path}", error)
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


def _acquire(lock: Path, what: str, error: type[DcganAnalysisError]) -> int:
    if sys.platform == "win32":
        msg = f"{what}: writing needs POSIX file locks. Use Linux, macOS or WSL."
        raise error(msg)
    import fcntl

    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            msg = f"{what} is being written by {holder}. Wait for it, or stop it."
            raise error(msg) from None
        # Between opening and locking, the last holder may have removed the file.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
        os.close(descriptor)
