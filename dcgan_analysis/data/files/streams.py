"""Encoded images of any size and number, one after another: zips, folders, tar shards, LMDB.

Nothing is decoded here, and only names are held in memory. What comes out is the same in every run, so that whoever
reads a stream can go on at a position.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from dcgan_analysis.data.files.containers import is_image, natural_order, open_container
from dcgan_analysis.data.files.index import METADATA, ImageIndex, index_of, split_of
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["EncodedImage", "ImageStream", "open_stream"]

_LMDB_FILE = "data.mdb"
_SHARD = "*.tar"


@dataclass(frozen=True)
class EncodedImage:
    """One image as it lies in its file.

    Attributes:
        name: Unique within the stream.
        label: Its class number, or None.
        read: Returns the bytes; raises DatasetError where the file cannot be read.
    """

    name: str
    label: int | None
    read: Callable[[], bytes]


@dataclass(frozen=True)
class ImageStream:
    """Images in a fixed order.

    Attributes:
        path: Where they lie.
        kind: ``"zip or folder"``, ``"tar shards"`` or ``"LMDB"``.
        n: How many there are; 0 where only reading through tells.
        start: Yields the images from a position on.
        index: Names, labels and columns of a zip or folder; None for the others.
        classes: Class names; empty where there are none, or where they are numbered only.
        one_split: The split that all images belong to, told apart by their positions alone; empty: names say it.
    """

    path: Path
    kind: str
    n: int
    start: Callable[[int], Iterator[EncodedImage]]
    index: ImageIndex | None = None
    classes: list[str] = field(default_factory=list)
    one_split: str = ""

    def split(self, image: EncodedImage) -> str:
        """Return the split that an image's name says, ``"train"`` where it says none."""
        return self.one_split or split_of(image.name) or "train"


def open_stream(path: Path) -> ImageStream:
    """Open a source of images.

    Args:
        path: An image zip; a folder of images; a ``.tar`` or a folder of ``.tar`` shards (WebDataset's layout: files
            of one key lie side by side, ``0001.jpg`` and ``0001.cls``); an LMDB folder as LSUN comes in (``data.mdb``
            with encoded images as values).

    Raises:
        DatasetError: If there is nothing of the kind, or LMDB is not installed.
    """
    if not path.exists():
        msg = f"'{path}' does not exist. Give a zip, a folder of images, .tar shards or an LMDB folder."
        raise DatasetError(msg)
    if (path / _LMDB_FILE).is_file():
        return _lmdb_stream(path)
    shards = [path] if path.suffix == ".tar" else sorted(path.glob(_SHARD), key=lambda file: natural_order(file.name))
    return _tar_stream(path, shards) if shards else _container_stream(path)


def _container_stream(path: Path) -> ImageStream:
    container = open_container(path)
    if not container.images:
        msg = f"'{path}' holds no images (png, jpg, webp, ...), no .tar shards and no LMDB. Give one of these."
        raise DatasetError(msg)
    index = index_of(container)
    index.splits(f"'{path}'")  # refuses names half of which say a split

    def start(position: int) -> Iterator[EncodedImage]:
        for i in range(position, len(index.names)):
            name = index.names[i]
            label = None if index.labels is None else index.labels[i]
            yield EncodedImage(name, label, partial(container.read, name))

    return ImageStream(path, "zip or folder", len(index.names), start, index, index.classes)


def _tar_stream(path: Path, shards: list[Path]) -> ImageStream:
    def start(position: int) -> Iterator[EncodedImage]:
        for i, image in enumerate(image for shard in shards for image in _read_shard(shard)):
            if i >= position:
                yield image

    return ImageStream(path, "tar shards", 0, start)


def _read_shard(shard: Path) -> Iterator[EncodedImage]:
    """Yield the images of one shard; the files of a key stand side by side, in any order."""
    key, image, label = "", None, None
    try:
        with tarfile.open(shard) as archive:
            for member in archive:
                if not member.isfile() or member.name == METADATA:
                    continue
                folder, slash, file = member.name.rpartition("/")
                own = f"{folder}{slash}{file.partition('.')[0]}"
                if own != key:
                    if image is not None:
                        yield _tar_image(shard, image, label)
                    key, image, label = own, None, None
                stream = archive.extractfile(member)
                data = b"" if stream is None else stream.read()
                if is_image(member.name):
                    image = (member.name, data)
                elif file.endswith(".cls"):
                    label = _class_number(shard, member.name, data)
    except (tarfile.TarError, OSError, EOFError) as error:
        msg = f"Shard '{shard}' is damaged: {error}. Fetch it again, or move it out of the folder."
        raise DatasetError(msg) from error
    if image is not None:
        yield _tar_image(shard, image, label)


def _tar_image(shard: Path, image: tuple[str, bytes], label: int | None) -> EncodedImage:
    name, data = image
    return EncodedImage(f"{shard.stem}/{name}", label, partial(bytes, data))


def _class_number(shard: Path, name: str, data: bytes) -> int:
    text = data.decode("ascii", errors="replace").strip()
    if not text.isdecimal():
        msg = f"'{name}' in {shard.name} holds '{text[:20]}'; a .cls file holds a class number from 0."
        raise DatasetError(msg)
    return int(text)


def _lmdb_stream(path: Path) -> ImageStream:
    try:
        import lmdb
    except ImportError:
        msg = f"'{path}' is an LMDB, and the package lmdb is not installed: pip install 'dcgan-analysis[lmdb]'"
        raise DatasetError(msg) from None
    try:
        environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False, max_readers=1)
        n = int(environment.stat()["entries"])
    except lmdb.Error as error:
        msg = f"LMDB '{path}' cannot be read: {error}. Fetch it again."
        raise DatasetError(msg) from None

    def start(position: int) -> Iterator[EncodedImage]:
        with environment.begin(buffers=False) as transaction:
            for i, (key, value) in enumerate(transaction.cursor()):
                if i >= position:
                    yield EncodedImage(key.decode(errors="replace"), None, partial(bytes, value))

    return ImageStream(path, "LMDB", n, start)
