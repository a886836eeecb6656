"""Prepared images: decoded once, kept as bytes in files that are read through a memory map.

The layout, one folder:

    metadata.json         format, version, image shape, splits with number and content hash, classes, note
    <split>.u8            N x C x H x W bytes, image after image
    <split>.ids           N names, one a line
    <split>.npz           labels, groups, attributes and further columns, those there are
    skipped.tsv           images that could not be read: name, reason

A split of three million images takes memory for its names only; a minibatch is read from the disk row by row. Up to a
gigabyte, pixels are compared with their checksums when a split is opened; larger ones chunk by chunk, as they are read.
"""

from __future__ import annotations

import json
import math
import stat
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dcgan_analysis.core.array_files import read_npz
from dcgan_analysis.core.checksums import crc32_file, found_whole
from dcgan_analysis.core.documents import parse_json
from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.files.checked import CheckedImages
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import Progress

PREPARED = "metadata.json"
SKIPPED = "skipped.tsv"
_Format = Literal["dcgan-analysis prepared images"]
FORMAT: _Format = "dcgan-analysis prepared images"
VERSION = 1
CHECKED_AT_ONCE = 1 << 30
"""Bytes up to which a split is checked when it is opened, in a tenth of a second; larger ones as they are read."""

_COLUMNS = ("labels", "groups", "attributes")
_MOST_METADATA_BYTES = 1 << 26
_LONGEST_NAME = 1 << 13

_Positive = Annotated[int, Field(gt=0, lt=1 << 40)]
_Counts = dict[str, Annotated[int, Field(ge=0)]]


class SplitRecord(BaseModel):
    """One split of prepared images.

    Attributes:
        n: How many images it has.
        sha256: Its content hash, pixels and labels.
        images_sha256: Hash of the pixels only.
        crc32: CRC-32 of each of its files, by suffix; empty: a release without checksums wrote them. Without ``.u8``
            where the pixels have theirs in ``chunks``.
        chunk_rows: Images in a chunk of pixels.
        chunks: CRC-32 of each chunk.
    """

    model_config = ConfigDict(strict=True)

    n: _Positive
    sha256: str
    images_sha256: str | None = None
    crc32: dict[str, int] = {}
    chunk_rows: Annotated[int, Field(ge=0)] = 0
    chunks: list[int] = []


class Metadata(BaseModel):
    """What ``metadata.json`` holds.

    Attributes:
        format: ``FORMAT``.
        version: ``VERSION``.
        image_shape: Channels, height and width.
        classes: Class names; empty without labels.
        attribute_names: Names of the attributes; empty without.
        note: What a reader of a result must know.
        skipped: How many images could not be read.
        reasons: Why, and how many for each reason.
        remarks: What was changed in others, and in how many.
        splits: The splits.
        checksum: Hash of all that stands here; empty: a release without checksums wrote it.
    """

    model_config = ConfigDict(strict=True)

    format: _Format = FORMAT
    version: int = VERSION
    image_shape: tuple[_Positive, _Positive, _Positive]
    classes: list[str] = []
    attribute_names: list[str] = []
    note: str = ""
    skipped: Annotated[int, Field(ge=0)] = 0
    reasons: _Counts = {}
    remarks: _Counts = {}
    splits: dict[str, SplitRecord] = {}
    checksum: str = ""

    def own_checksum(self) -> str:
        """Return the hash of everything but the field ``checksum``."""
        return hash_json(json.loads(self.model_copy(update={"checksum": ""}).model_dump_json()))

    def sentences(self) -> list[str]:
        """Say how many images were left out and why, and what was changed in how many others."""
        why = ", ".join(f"{reason} ({count:,})" for reason, count in self.reasons.items())
        total = self.skipped + sum(split.n for split in self.splits.values())
        left_out = (
            f"{self.skipped:,} of {total:,} images could not be read and were left out{f': {why}' if why else ''}."
        )
        changed = [f"{count:,} images {remark}." for remark, count in self.remarks.items()]
        return [left_out, *changed] if self.skipped else changed


def is_prepared(path: Path) -> bool:
    """Say whether a folder holds prepared images."""
    file = path / PREPARED
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return FORMAT.encode() in stream.read(_MOST_METADATA_BYTES)
    except OSError:
        return False


def read_metadata(path: Path) -> Metadata:
    """Read the metadata of prepared images.

    Raises:
        DatasetError: If they are damaged, or a newer release wrote them.
    """
    try:
        with (path / PREPARED).open("rb") as stream:
            text = stream.read(_MOST_METADATA_BYTES)
        document = parse_json(text)
        metadata = Metadata.model_validate_json(text)
    except (OSError, ValueError) as error:
        msg = f"'{path / PREPARED}' cannot be used: {_first(error)}. Prepare the images again."
        raise DatasetError(msg) from error
    if metadata.version != VERSION:
        msg = f"'{path}' has version {metadata.version} of {FORMAT}, this release reads {VERSION}. Prepare it again."
        raise DatasetError(msg)
    if metadata.checksum and hash_json({**document, "checksum": ""}) != metadata.checksum:
        msg = f"'{path / PREPARED}' is damaged: it is not as it was written. Prepare the images again."
        raise DatasetError(msg)
    return metadata


def _first(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def load_prepared(path: Path, *, name: str | None = None) -> Dataset:
    """Open prepared images; nothing is read but the metadata until a split is used.

    Args:
        path: The folder that ``dcgan-analyze prepare`` wrote.
        name: What to call the dataset; by default the folder's name.

    Raises:
        DatasetError: If the metadata are damaged, or a newer release wrote them.
    """
    metadata = read_metadata(path)
    return Dataset(
        name or path.name,
        {split: partial(_load_split, path, metadata, split) for split in metadata.splits},
        classes=metadata.classes,
        note=metadata.note,
        attribute_names=metadata.attribute_names,
    )


def _load_split(path: Path, metadata: Metadata, split: str, progress: Progress | None) -> DatasetSplit:
    record = metadata.splits[split]
    shape = (record.n, *metadata.image_shape)
    file = path / f"{split}.u8"
    names, arrays = path / f"{split}.ids", path / f"{split}.npz"
    try:
        size = _size(file)
        if size != math.prod(shape):
            msg = f"'{file}' has {size:,} bytes, {math.prod(shape):,} were written. Prepare the images again."
            raise DatasetError(msg)
        if _size(names) > record.n * _LONGEST_NAME:
            msg = f"'{names}' is too long for {record.n:,} names. Prepare the images again."
            raise DatasetError(msg)
        for suffix, recorded in record.crc32.items():
            one = file.with_suffix(suffix)
            _check(one, recorded)
        ids = names.read_text(encoding="utf-8").splitlines()
        _size(arrays)
        columns = _read_columns(arrays, record.n, len(metadata.attribute_names))
    except (OSError, ValueError) as error:
        msg = f"Prepared images '{path}', split '{split}': {error}. Prepare them again."
        raise DatasetError(msg) from error
    images = _mapped(file, shape)
    if record.chunks:
        if len(record.chunks) != -(-record.n // max(1, record.chunk_rows)):
            msg = f"'{path / PREPARED}' has {len(record.chunks)} checksums of '{split}'. Prepare the images again."
            raise DatasetError(msg)
        checked = CheckedImages(file, images, record.chunk_rows, record.chunks)
        if images.nbytes > CHECKED_AT_ONCE:
            images = cast("NDArray[np.uint8]", checked)
        else:
            checked.check()
    return DatasetSplit(
        images=images,
        ids=ids,
        classes=metadata.classes,
        source=f"{path.name}, {split}",
        attribute_names=metadata.attribute_names,
        known_sha256=record.sha256,
        images_sha256=record.images_sha256,
        extras={key: values for key, values in columns.items() if key not in _COLUMNS},
        **{key: columns.get(key) for key in _COLUMNS},
    )


def _check(file: Path, recorded: int) -> None:
    whole = found_whole(file)
    if not whole[0] and crc32_file(file) != recorded:
        msg = f"'{file}' is damaged: it is not as it was written. Prepare the images again."
        raise DatasetError(msg)
    whole[0] = True


def _size(file: Path) -> int:
    """Return how many bytes a file has; a folder, a pipe or a device is refused."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        msg = f"'{file}' is not a file"
        raise ValueError(msg)
    return status.st_size


def _read_columns(file: Path, n: int, attributes: int) -> dict[str, NDArray[Any]]:
    """Read arrays of ``n`` rows; what declares more than such an array can have is refused before it is unpacked."""
    columns = read_npz(file, largest=4096 + 8 * n * max(1, attributes))
    for name, values in columns.items():
        if values.shape[:1] != (n,) or values.dtype.kind not in "iuf":
            msg = f"{name} of {file.name} is {values.dtype} {values.shape}, not numbers of {n:,} images"
            raise ValueError(msg)
    return columns


def _mapped(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file so that it behaves as an array in memory does: what is written to it stays in this process.

    Torch complains of arrays that cannot be written. A map larger than the memory may be refused; it is read-only then.
    """
    try:
        return np.memmap(file, np.uint8, "c", shape=shape)
    except OSError:
        return np.memmap(file, np.uint8, "r", shape=shape)
