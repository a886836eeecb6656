"""Files and folders that appear whole or not at all (written beside their place, then renamed), by one writer each."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import stat
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dcgan_analysis.errors import DcganAnalysisError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["atomic_folder", "atomic_path", "exists", "lock_path", "write_text", "writer_lock"]

_log = logging.getLogger(__name__)


def _beside(path: Path) -> Path:
    # The same folder, so that the rename stays within one file system and is atomic (POSIX rename).
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends without an error it becomes ``path``.

    The file is flushed to the disk before the rename, so that a power loss leaves the old file or the new
    one. On an error the temporary file is removed and ``path`` is as it was.

    Example:
        >>> import pathlib, tempfile
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    # Some writers (safetensors) make files that only their owner may read: remember what the umask asks for.
    temporary.touch()
    mode = stat.S_IMODE(temporary.stat().st_mode)
    temporary.unlink()
    try:
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends without an error it becomes ``path``.

    Args:
        path: Where the folder shall stand.
        replace: Whether an existing folder may be replaced; the old one is removed after the rename.

    Raises:
        FileExistsError: If ``path`` exists and ``replace`` is false, at the beginning or at the end; it is unchanged.
    """
    if path.exists() and not replace:
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        if not path.exists():
            temporary.rename(path)
        elif replace:
            _exchange(temporary, path)
        else:
            raise FileExistsError(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, path: Path) -> None:
    old = _beside(path)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def exists(path: Path) -> bool:
    """Say whether there is a file or folder of this name; of a name that is too long there is none."""
    try:
        return path.exists()
    except OSError:
        return False


def lock_path(path: Path) -> Path:
    """Return the lock file of the writer of a file or folder."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def writer_lock(
    path: Path, what: str, error: type[DcganAnalysisError] = StoreError, *, wait: bool = False
) -> Iterator[None]:
    """Hold the lock of the writer of a file or folder; the operating system drops it when the process dies.

    Args:
        path: What is written; it need not exist, its folder must.
        what: What it is, for the message.
        error: What is raised.
        wait: Whether to wait for another writer, with a line that names it, instead of refusing.

    Raises:
        DcganAnalysisError: If another writer holds it and ``wait`` is false: ``error``, whose message names the holder.
    """
    # Not needed by light commands.
    from filelock import FileLock, Timeout

    lock = lock_path(path)

    def sign(descriptor: int) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()} since {since}".encode())

    held = FileLock(lock, fallback_to_soft=False, on_acquired=sign)
    try:
        held.acquire(blocking=False)
    except Timeout:
        holder = "another process"
        with suppress(OSError):
            holder = lock.read_text(encoding="utf-8") or holder
        if not wait:
            msg = f"{what} is being written by {holder}. Wait for it, or stop it."
            raise error(msg) from None
        _log.warning("%s is being written by %s: waiting for it.", what, holder)
        held.acquire()
    try:
        yield
    finally:
        # Removed while it is still held: whoever waits at the old file sees that it is gone.
        with suppress(OSError):
            lock.unlink()
        held.release()
