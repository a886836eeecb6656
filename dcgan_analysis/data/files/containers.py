"""The two things that hold image files, a zip and a folder, seen alike: names and bytes."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Protocol

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Container", "FolderContainer", "ZipContainer", "is_image", "natural_order", "open_container"]

_SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
_DIGITS = re.compile(r"(\d+)")


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``img2`` before ``img10``: runs of digits compare as numbers."""
    # Text pairs with -1, so that a number never meets a text in a comparison.
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def is_image(name: str) -> bool:
    """Say whether a name is that of an image file."""
    # Files beginning with a dot and macOS's __MACOSX folder hold no images, whatever their suffix.
    return name.lower().endswith(_SUFFIXES) and not name.startswith((".", "__MACOSX/")) and "/." not in name


class Container(Protocol):
    """Files under names with forward slashes."""

    path: Path
    """The zip or folder itself."""

    images: list[str]
    """Names of the image files, in no particular order."""

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name, image or not."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; safe to call from several threads."""
        ...

    def state(self, name: str) -> str:
        """Return what tells one content of a file from another without reading it."""
        ...


class ZipContainer:
    """A zip, kept open as long as this object lives.

    Raises:
        DatasetError: If the file is absent or no zip.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            msg = f"'{path}' cannot be read as a zip: {error}. Give a zip or a folder of images."
            raise DatasetError(msg) from error
        self.images = [name for name in self._zip.namelist() if is_image(name)]

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        return name in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        """Return the bytes of a file (``ZipFile`` locks its stream, so threads may share it)."""
        try:
            return self._zip.read(name)
        except (
            zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError,
        ) as error:  # fmt: skip
            msg = (
                f"'{name}' in {self.path.name} cannot be read: {error}. "
                "The zip is damaged or encrypted: fetch it again."
            )
            raise DatasetError(msg) from error

    def state(self, name: str) -> str:
        """Return size and CRC-32 of a file, as the zip's directory has them: a copy of the zip has the same."""
        info = self._zip.NameToInfo[name]
        return f"{info.file_size} {info.CRC:08x}"


class FolderContainer:
    """A folder with any depth of subfolders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = []
        for folder, _, files in os.walk(path, followlinks=True):
            inner = os.path.relpath(folder, path).replace(os.sep, "/")
            names += [file if inner == "." else f"{inner}/{file}" for file in files]
        self.images = [name for name in names if is_image(name)]

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            msg = f"'{self.path / name}' cannot be read: {error.strerror}."
            raise DatasetError(msg) from error

    def state(self, name: str) -> str:
        """Return size and time of last change of a file, in nanoseconds; why there are none where there are none."""
        try:
            # Not by way of a Path, which takes longer than the system does.
            status = os.stat(f"{self.path}/{name}")  # noqa: PTH116
        except OSError as error:
            return str(error.strerror)
        return f"{status.st_size} {status.st_mtime_ns}"


def open_container(path: Path) -> Container:
    """Open a folder, or else a zip."""
    return FolderContainer(path) if path.is_dir() else ZipContainer(path)
