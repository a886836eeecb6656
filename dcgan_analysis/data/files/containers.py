"""What holds image files, a folder, a zip, tar shards or an LMDB, seen alike: names and bytes.

Nothing is decoded here, and only names are held in memory. Names are printable and have forward slashes, whatever they
look like where they lie. Nothing but regular files is read, no folder twice, and no file that is larger than a picture
of the largest size allowed.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import threading
import zipfile
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from dcgan_analysis.core.content import HEAD_BYTES, describe_content
from dcgan_analysis.core.files import exists
from dcgan_analysis.core.text import printable
from dcgan_analysis.data.files.pictures import LIMIT_VARIABLE, PictureError, most_pixels, picture_format
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_IMAGE_SUFFIXES = (
    ".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
_ARRAY_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".mat")
# Files of any other suffix are pictures if their first bytes say so; these are looked at no closer.
_TEXT_SUFFIXES = (".cls", ".csv", ".json", ".txt", ".xml")
_ODD_PARTS = re.compile(r"(?:^|/)\.?(?:/|$)")
_DIGITS = re.compile(r"(\d+)")
_LMDB_FILE = "data.mdb"
_SEEN = "links to folders that are read already, or that hold this one"
_ARRAYS = "Arrays are used from Python: dcgan_analysis.data.Dataset.from_arrays."
_GIVE = "Give a zip, a folder or tar shards of images, or an LMDB."
# A tar's header may announce a name of any length.
_LONGEST_HEADER = 1 << 20
_LONGEST_NUMBER = 20
_PIECE = 1 << 12

Member = TypeVar("Member")
Read = TypeVar("Read", int, bytes)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``img2`` before ``img10``: runs of digits compare as numbers."""
    # Text pairs with -1, so that a number never meets a text in a comparison. Of thousands of digits Python makes none.
    parts = _DIGITS.split(name)
    return [(int(part), part) if part.isdecimal() and len(part) < 1000 else (-1, part) for part in parts]


def member_name(text: str) -> str:
    """Return the name under which a file is known: printable, parts joined by forward slashes."""
    if "\\" in text or _ODD_PARTS.search(text):
        text = "/".join(part for part in text.replace("\\", "/").split("/") if part not in ("", "."))
    return printable(text)


def is_hidden(name: str) -> bool:
    """Say whether a file, or a folder that it lies in, begins with a dot or is macOS's ``__MACOSX``."""
    return name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name


class UnusedFiles:
    """Files that are not used, counted by reason.

    Example:
        >>> unused = UnusedFiles()
        >>> unused.add("hidden", ".DS_Store")
        >>> unused.sentence()
        "1 file is not used: hidden (1, first '.DS_Store')."
    """

    def __init__(self) -> None:
        self._reasons: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one file."""
        count, first = self._reasons.get(reason, (0, name))
        self._reasons[reason] = (count + 1, first)

    def sentence(self) -> str:
        """Say how many there are, and why; empty where there are none."""
        total = sum(count for count, _ in self._reasons.values())
        if not total:
            return ""
        reasons = (f"{reason} ({count:,}, first '{first}')" for reason, (count, first) in self._reasons.items())
        return f"{total:,} {'file is' if total == 1 else 'files are'} not used: {', '.join(reasons)}."


class Container(ABC, Generic[Member]):
    """Files under names with forward slashes.

    Attributes:
        path: The folder or file itself.
        root: The folder inside that names are relative to, with a slash at its end; empty: the top.
        images: Names of the pictures.
        others: Names of all other files but hidden ones.
        unused: What is never used; files of ``others`` are not counted.
        numbers: Name of an image -> class number that a file beside it gives (WebDataset's ``.cls``).
        sharded: Whether the first folder of each name is the archive that it lies in.
    """

    kind: ClassVar[str]
    """What it is, in words."""
    in_order: ClassVar[bool] = False
    """Whether ``images`` are in an order that is to be kept; otherwise it is of no meaning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = ""
        self.images: list[str] = []
        self.others: list[str] = []
        self.unused = UnusedFiles()
        self.numbers: dict[str, int] = {}
        self.sharded = False
        self._members: dict[str, Member] = {}

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name, picture or not."""
        return self.root + name in self._members

    def enter(self, folder: str) -> None:
        """Make names relative to a folder (with a slash at its end) that all images lie in."""
        self.root += folder
        self.images = [name.removeprefix(folder) for name in self.images]
        self.numbers = {name.removeprefix(folder): number for name, number in self.numbers.items()}
        self.others = [name.removeprefix(folder) if name.startswith(folder) else f"/{name}" for name in self.others]

    def size(self, name: str) -> int:
        """Return how many bytes a file has.

        Raises:
            PictureError: If it cannot be read.
        """
        return self._guarded(name, self._size)

    def read(self, name: str, most: int | None = None) -> bytes:
        """Return the bytes of a file; safe to call from several threads.

        Args:
            name: The file.
            most: How many bytes it may have; by default four for each pixel that a picture may have.

        Raises:
            PictureError: If it has more, or cannot be read.
        """
        size, allowed = self.size(name), 4 * most_pixels() if most is None else most
        if size > allowed:
            remedy = f"Make it smaller, or raise the limit by the environment variable {LIMIT_VARIABLE}."
            raise PictureError(self._called(name), f"more than {allowed:,} bytes", detail=f"{size:,}", remedy=remedy)
        return self._guarded(name, lambda member: self._read(member, size))

    @abstractmethod
    def state(self, name: str) -> str:
        """Return what tells one content of a file from another without reading it."""

    @abstractmethod
    def _size(self, member: Member) -> int: ...

    @abstractmethod
    def _read(self, member: Member, n: int) -> bytes:
        """Return the first ``n`` bytes."""

    def _called(self, name: str) -> str:
        return f"'{name}' in {self.path.name}"

    def _guarded(self, name: str, use: Callable[[Member], Read]) -> Read:
        try:
            return use(self._members[self.root + name])
        except PictureError:
            raise
        except Exception as error:
            # Archives are damaged in many ways: BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ...
            if isinstance(error, OSError) and error.strerror:
                raise PictureError(self._called(name), error.strerror) from error
            reason, detail = f"damaged or encrypted in the {self.kind}", " ".join(str(error).split())
            raise PictureError(self._called(name), reason, detail=detail, remedy="Fetch it again.") from error

    def _add(self, name: str, member: Member) -> None:
        """Take a file in under a name."""
        name = member_name(name)
        if name in self._members:
            self.unused.add("another of the same name", name)
        self._members[name] = member

    def _look_through(self) -> None:
        """Tell pictures, other files and hidden files apart, by suffix or else by first bytes."""
        for name in self._members:
            lower = name.lower()
            if is_hidden(name):
                self.unused.add("hidden", name)
            elif lower.endswith(_IMAGE_SUFFIXES) or (not lower.endswith(_TEXT_SUFFIXES) and self._is_picture(name)):
                self.images.append(name)
            else:
                self.others.append(name)

    def _is_picture(self, name: str) -> bool:
        try:
            head: bytes = self._guarded(name, lambda member: self._read(member, HEAD_BYTES))
        except PictureError:
            return False
        return picture_format(head) is not None


class ZipContainer(Container[zipfile.ZipInfo]):
    """A zip, kept open as long as this object lives.

    Raises:
        DatasetError: If the file is absent or no zip.
    """

    kind = "zip"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:
            # Besides BadZipFile: struct.error, UnicodeDecodeError, NotImplementedError, ...
            msg = f"'{path}' cannot be read as a zip: {error}. Fetch it again, or give a folder of images."
            raise DatasetError(msg) from error
        for info in self._zip.infolist():
            if not info.filename.endswith(("/", "\\")):
                self._add(info.filename, info)
        self._look_through()

    def state(self, name: str) -> str:
        """Return size and CRC-32 of a file, as the zip's directory has them: a copy of the zip has the same."""
        info = self._members[self.root + name]
        return f"{info.file_size} {info.CRC:08x}"

    def _size(self, member: zipfile.ZipInfo) -> int:
        return member.file_size

    def _read(self, member: zipfile.ZipInfo, n: int) -> bytes:
        # `ZipFile` locks its stream, so threads may share it. Deflate is unpacked no further than asked for; other
        # methods unpack whatever a piece of the archive gives.
        bounded = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        pieces, missing = [], n
        with self._zip.open(member) as stream:
            while missing and (piece := stream.read(missing if bounded else min(missing, _PIECE))):
                pieces.append(piece)
                missing -= len(piece)
        return b"".join(pieces)


class FolderContainer(Container[str]):
    """A folder with any depth of subfolders.

    Links are followed, but no folder is read twice, and none that holds this one.
    """

    kind = "folder"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for name in self._walk():
            self._add(name, name)
        self._look_through()

    def _walk(self) -> Iterator[str]:
        """Yield the paths of all files below the folder: those of real folders first, then those behind links."""
        top = os.stat(self.path)  # noqa: PTH116
        above = {_identity(os.stat(parent)) for parent in self.path.resolve().parents}  # noqa: PTH116
        seen = {_identity(top)}
        folders, links = [""], list[str]()
        while folders or links:
            if not folders:
                links.sort(reverse=True)
                link = links.pop()
                target = _identity(os.stat(self.path / link))  # noqa: PTH116
                if target in seen or target in above:
                    self.unused.add(_SEEN, member_name(link))
                    continue
                seen.add(target)
                folders.append(link)
            folder = folders.pop()
            try:
                entries = sorted(os.scandir(self.path / folder), key=lambda entry: entry.name)
            except OSError:
                self.unused.add("folders that cannot be read", member_name(folder))
                continue
            inner = []
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                kind = _kind(entry)
                if kind == "file":
                    yield name
                elif kind == "link":
                    links.append(name)
                elif kind == "folder" and (identity := _identity(entry.stat())) not in seen:
                    seen.add(identity)
                    inner.append(name)
                else:
                    reason = _SEEN if kind == "folder" else "pipes, devices and broken links"
                    self.unused.add(reason, member_name(name))
            folders += reversed(inner)

    def state(self, name: str) -> str:
        """Return size and time of last change of a file, in nanoseconds; why there are none where there are none."""
        try:
            # Not by way of a Path, which takes longer than the system does.
            status = os.stat(f"{self.path}/{self._members[self.root + name]}")  # noqa: PTH116
        except OSError as error:
            return str(error.strerror)
        return f"{status.st_size} {status.st_mtime_ns}"

    def _size(self, member: str) -> int:
        status = os.stat(f"{self.path}/{member}")  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no longer a file")
        return status.st_size

    def _read(self, member: str, n: int) -> bytes:
        with (self.path / member).open("rb") as stream:
            return stream.read(n)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return ``"file"``, ``"folder"``, ``"link"`` (to a folder), or nothing for what is not read."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
    except OSError:
        pass  # a link to itself, or to where nobody may look
    return ""


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class _BoundedHeader(tarfile.TarInfo):
    """A header that announces no more text than names need."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> _BoundedHeader:  # type: ignore[override]
        header = super().frombuf(buf, encoding, errors)
        if header.type not in tarfile.REGULAR_TYPES and header.size > _LONGEST_HEADER:
            msg = f"a header announces {header.size:,} bytes"
            raise tarfile.ReadError(msg)
        return header


class TarContainer(Container[tuple[int, int, int]]):
    """Uncompressed tar files: where each member lies is looked up once, then any is read at its place.

    Args:
        path: The tar, or the folder of the shards.
        shards: The tar files. Of several, each name begins with the name of the tar without its suffix.

    Raises:
        DatasetError: If one is damaged or compressed, or a ``.cls`` file beside an image holds no class number.
    """

    kind = "tar"
    in_order = True

    def __init__(self, path: Path, shards: list[Path]) -> None:
        super().__init__(path)
        self.sharded = len(shards) > 1
        self._shards = shards
        # How WebDataset joins files: all whose names agree up to the first dot.
        by_key: dict[str, int] = {}
        for number, shard in enumerate(shards):
            prefix = f"{shard.stem}/" if self.sharded else ""
            for name, offset, size in self._members_of(shard):
                self._add(prefix + name, (number, offset, size))
                if name.endswith(".cls") and not is_hidden(name):
                    by_key[_key(member_name(prefix + name))] = self._class_number(shard, name, (number, offset, size))
        self._look_through()
        if by_key:
            self.others = [name for name in self.others if not name.endswith(".cls")]
            self.numbers = {name: by_key[_key(name)] for name in self.images if _key(name) in by_key}

    def _members_of(self, shard: Path) -> Iterator[tuple[str, int, int]]:
        """Yield name, offset and size of the regular files of a tar."""
        try:
            length = shard.stat().st_size
            with tarfile.open(shard, "r:", tarinfo=_BoundedHeader) as archive:
                while (member := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # of millions, the headers would fill the memory
                    if member.isdir():
                        continue
                    if not member.isfile() or member.issparse():
                        self.unused.add("links, devices and sparse files", member_name(member.name))
                        continue
                    if member.offset_data + member.size > length:
                        raise EOFError("it ends within a file")  # noqa: EM101
                    yield member.name, member.offset_data, member.size
                # `tarfile` takes a damaged header for the end.
                archive.fileobj.seek(archive.offset)
                if any(archive.fileobj.read(tarfile.BLOCKSIZE)):
                    raise tarfile.ReadError(f"no header at byte {archive.offset:,}")  # noqa: EM102
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            content = describe_content(_first_bytes(shard))
            reason = str(error) if content == "a tar archive" else f"it is {content}"
            msg = f"Shard '{shard}' is damaged: {reason}. Fetch it again, or move it out of the folder."
            raise DatasetError(msg) from error

    def _class_number(self, shard: Path, name: str, member: tuple[int, int, int]) -> int:
        text = self._read(member, min(member[2], _LONGEST_NUMBER + 1)).decode("ascii", errors="replace").strip()
        if not text.isdecimal() or len(text) > _LONGEST_NUMBER:
            shown = printable(text[:_LONGEST_NUMBER])
            msg = f"'{member_name(name)}' in {shard.name} holds '{shown}'; a .cls file holds a class number from 0."
            raise DatasetError(msg)
        return int(text)

    def state(self, name: str) -> str:
        """Return place and size of a file, and when the tar was changed last."""
        number, offset, size = self._members[self.root + name]
        return f"{offset} {size} {self._shards[number].stat().st_mtime_ns}"

    def _size(self, member: tuple[int, int, int]) -> int:
        return member[2]

    def _read(self, member: tuple[int, int, int], n: int) -> bytes:
        number, offset, size = member
        with self._shards[number].open("rb") as stream:
            stream.seek(offset)
            return stream.read(min(n, size))


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


class LmdbContainer(Container[bytes]):
    """An LMDB of encoded images, as LSUN comes in: keys are names, values are files.

    Raises:
        DatasetError: If it is damaged, or the package lmdb is not installed.
    """

    kind = "LMDB"
    in_order = True

    # The package refuses to open one twice in a process.
    _open: ClassVar[dict[Path, Any]] = {}
    _opening = threading.Lock()

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            import lmdb
        except ImportError:
            msg = f"'{path}' is an LMDB, and the package lmdb is not installed: pip install 'dcgan-analysis[lmdb]'"
            raise DatasetError(msg) from None
        file = path / _LMDB_FILE
        try:
            with self._opening:
                place = path.resolve()
                if place not in self._open:
                    self._open[place] = lmdb.open(str(path), readonly=True, lock=False, readahead=False, max_readers=1)
                self._environment = self._open[place]
            pages = self._environment.info()["last_pgno"] + 1
            expected = pages * self._environment.stat()["psize"]
            # To read a page that the file does not have ends the process.
            if file.stat().st_size < expected:
                msg = f"LMDB '{path}' is cut off: {file.stat().st_size:,} of {expected:,} bytes. Fetch it again."
                raise DatasetError(msg)
            with self._environment.begin() as transaction:
                for key in transaction.cursor().iternext(values=False):
                    self._add(key.decode(errors="backslashreplace"), key)
        except lmdb.Error as error:
            msg = f"LMDB '{path}' cannot be read: {error}. Fetch it again."
            raise DatasetError(msg) from None
        self._stamp = f"{file.stat().st_size} {file.stat().st_mtime_ns}"
        # Values have no suffix: what is not a picture shows when it is decoded.
        self.images = list(self._members)

    def state(self, name: str) -> str:
        """Return size and time of last change of the whole LMDB."""
        return self._stamp

    def _size(self, member: bytes) -> int:
        with self._environment.begin(buffers=True) as transaction:
            return len(transaction.get(member))

    def _read(self, member: bytes, n: int) -> bytes:
        with self._environment.begin(buffers=True) as transaction:
            return bytes(transaction.get(member)[:n])


def open_container(path: Path) -> Container[Any]:
    """Open a folder of images, an image zip, a tar or a folder of tar shards, or an LMDB folder.

    Raises:
        DatasetError: If it is none of these, or holds no images.
    """
    container = _open(path)
    if not container.images:
        arrays = any(suffix_of(name) in _ARRAY_SUFFIXES for name in container.others)
        unused = count_others(container, ()).sentence()
        parts = [f"'{path}' holds no images (png, jpg, webp, ...), no .tar shards and no LMDB.", unused]
        raise DatasetError(" ".join(filter(None, [*parts, _ARRAYS if arrays else _GIVE])))
    return container


def _open(path: Path) -> Container[Any]:
    if not exists(path):
        msg = f"'{path}' does not exist. {_GIVE}"
        raise DatasetError(msg)
    if path.is_dir():
        if (path / _LMDB_FILE).is_file():
            return LmdbContainer(path)
        folder = FolderContainer(path)
        shards = [path / name for name in folder.others if name.endswith(".tar") and "/" not in name]
        if not shards:
            return folder
        if folder.images:
            msg = (
                f"'{path}' holds both images (first '{folder.images[0]}') and .tar shards (first '{shards[0].name}'). "
                "Move one kind out of the folder."
            )
            raise DatasetError(msg)
        return TarContainer(path, sorted(shards, key=lambda file: natural_order(file.name)))
    return _open_file(path)


def _open_file(path: Path) -> Container[Any]:
    if not path.is_file():
        msg = f"'{path}' is neither a file nor a folder. {_GIVE}"
        raise DatasetError(msg)
    content = describe_content(_first_bytes(path))
    if content == "a tar archive":
        return TarContainer(path, [path])
    if "zip archive" in content or zipfile.is_zipfile(path):
        return ZipContainer(path)
    if path.suffix == ".zip":
        msg = f"'{path}' cannot be read as a zip: it is {content}. Fetch it again, or give a folder of images."
    elif content in ("a NumPy array", "an HDF5 file", "a MATLAB file"):
        msg = f"'{path}' is {content}, not a zip, a folder or tar shards of images. {_ARRAYS}"
    elif content.startswith(("a gzip", "a bzip2", "an xz", "a zstd", "a 7z", "a RAR")):
        msg = f"'{path}' is {content}, not readable from the middle. Unpack it, and give the folder or the .tar."
    else:
        msg = f"'{path}' is {content}. {_GIVE}"
    raise DatasetError(msg)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        msg = f"'{path}' cannot be read: {error.strerror}."
        raise DatasetError(msg) from error


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, ``"without suffix"`` where it has none.

    Example:
        >>> suffix_of("a/labels.CSV"), suffix_of("a.b/README")
        ('.csv', 'without suffix')
    """
    file = name.rpartition("/")[2]
    _, dot, suffix = file.rpartition(".")
    return f".{suffix.lower()}" if dot and len(suffix) <= 8 else "without suffix"


def count_others(container: Container[Any], used: Iterable[str]) -> UnusedFiles:
    """Return what a container does not use: hidden files and the like, and all others but those that are used."""
    used = set(used)
    for name in container.others:
        if name not in used:
            container.unused.add(suffix_of(name), name.removeprefix("/"))
    return container.unused
