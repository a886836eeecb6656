"""Files and folders that appear whole or not at all (written beside their place, then renamed), by one writer each.

What has appeared stays: contents reach the disk before the name does, and the name before the writer goes on. What a
process leaves that is killed meanwhile is recognised by its name and removed by the next one that writes there.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import re
import shutil
import stat
import uuid
import zlib
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from dcgan_analysis.errors import DcganAnalysisError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

# Name, process, machine, random digits; ".old" is what a replacement set aside.
_BESIDE = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)-(?P<host>[0-9a-f]{8})-[0-9a-f]{8}\.(?P<kind>part|old)")
_SIGNED = re.compile(r"process (?P<pid>\d+) on (?P<node>.*) since ")
# What this process is writing, and the folders it has swept.
_in_work: set[Path] = set()
_swept: set[Path] = set()

_AT_WORKING_FOLDER, _RENAME_EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h


@cache
def _host() -> str:
    """Return what tells process numbers of this machine, or container, from those of others on a shared disk."""
    numbers = ""
    with suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - what it names is no path
    return f"{zlib.crc32(f'{platform.node()} {numbers}'.encode()):08x}"


def _beside(path: Path, kind: str = "part") -> Path:
    # The same folder, so that the rename stays within one file system and is atomic (POSIX rename).
    return path.with_name(f".{path.name}.{os.getpid()}-{_host()}-{uuid.uuid4().hex[:8]}.{kind}")


@contextmanager
def _working(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside another; whatever it holds when the block ends is removed."""
    folder = path.parent.absolute()
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)
    temporary = _beside(path)
    _in_work.add(temporary.absolute())
    try:
        yield temporary
    finally:
        _remove(temporary)
        _in_work.discard(temporary.absolute())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are absent, to last."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        _sync_folder(folder.parent)


def _sync_folder(path: Path) -> None:
    """Let the names in a folder reach the disk."""
    if os.name == "nt":  # no folder can be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems of networks cannot
            raise
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Let a file, or a folder with all that it holds, reach the disk."""
    if path.is_dir():
        for one in path.iterdir():
            if not one.is_symlink():
                sync(one)
        _sync_folder(path)
        return
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file, or folder, its name: after a power loss it is there whole, or what was there before is.

    Args:
        temporary: The file or folder, in the same file system; synced first.
        path: Its name; a file there is replaced.
    """
    unfinished = not _in_work.isdisjoint(path.absolute().parents)  # inside a folder that is synced when it is whole
    if not unfinished:
        sync(temporary)
    os.replace(temporary, path)  # noqa: PTH105 - one call for files and folders
    if not unfinished:
        _sync_folder(path.parent)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends without an error it becomes ``path``.

    File and name are on the disk when the block has ended, so that a power loss leaves the old file or the new
    one. On an error the temporary file is removed and ``path`` is as it was.

    Example:
        >>> import pathlib, tempfile
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    make_folder(path.parent)
    with _working(path) as temporary:
        # Some writers (safetensors) make files that only their owner may read: remember what the umask asks for.
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        temporary.unlink()
        yield temporary
        temporary.chmod(mode)
        put_in_place(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``, which is removed when the block ends."""
    make_folder(path.parent)
    with _working(path) as temporary:
        temporary.mkdir()
        yield temporary


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends without an error it becomes ``path``.

    Args:
        path: Where the folder shall stand.
        replace: Whether an existing folder may be replaced, in one step; the old one is removed afterwards.

    Raises:
        FileExistsError: If ``path`` exists and ``replace`` is false, at the beginning or at the end; it is unchanged.
    """
    if path.exists() and not replace:
        raise FileExistsError(path)
    with scratch_folder(path) as temporary:
        yield temporary
        if not path.exists():
            put_in_place(temporary, path)
        elif replace:
            sync(temporary)
            if not _exchanged(temporary, path):
                _replace_in_two(temporary, path)
            _sync_folder(path.parent)
        else:
            raise FileExistsError(path)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; false where the system, or the file system, has no such step."""
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    if exchange(_AT_WORKING_FOLDER, names[0], _AT_WORKING_FOLDER, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _replace_in_two(new: Path, path: Path) -> None:
    old = _beside(path, "old")  # a kill between the steps leaves it: sweep() gives it its name back
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def abandoned(folder: Path) -> list[Path]:
    """Return what processes of this machine left in a folder that are no longer there.

    Half-written files and folders, what a replacement had set aside, and locks.
    """
    leftovers = []
    with suppress(OSError):
        for path in sorted(folder.absolute().iterdir()):
            named = _BESIDE.fullmatch(path.name)
            if named:
                own = int(named["pid"]) == os.getpid()
                gone = path not in _in_work if own else not _running(int(named["pid"]))
                if named["host"] == _host() and gone:
                    leftovers.append(path)
            elif path.suffix == ".lock" and path.is_file() and path.stat().st_size < 1000:
                signed = _SIGNED.match(path.read_text(encoding="utf-8", errors="replace"))
                if signed and signed["node"] == platform.node() and not _running(int(signed["pid"])):
                    leftovers.append(path)
    return leftovers


def sweep(folder: Path) -> list[Path]:
    """Remove what :func:`abandoned` names; a folder set aside whose replacement never came gets its name back.

    Returns:
        What was removed.
    """
    removed = []
    for path in abandoned(folder):
        named = _BESIDE.fullmatch(path.name)
        with suppress(OSError):
            if named and named["kind"] == "old" and not (path.parent / named["name"]).exists():
                path.rename(path.parent / named["name"])
                continue
            if named:
                _remove(path)
            else:
                _unlink_lock(path)
        if not path.exists():
            removed.append(path)
    return removed


def _unlink_lock(lock: Path) -> None:
    from filelock import FileLock, Timeout

    held = FileLock(lock, fallback_to_soft=False)
    with suppress(Timeout):
        held.acquire(blocking=False)
        lock.unlink()
        held.release()


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
        # For a moment only, it may be held by one that removes it (see `sweep`).
        held.acquire(timeout=0.2, poll_interval=0.05)
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
