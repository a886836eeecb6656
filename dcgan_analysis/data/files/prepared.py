"""Prepared images: decoded once, kept as bytes in files that are read through a memory map.

The layout, one folder:

    metadata.json         format, version, image shape, splits with number and content hash, classes, note
    <split>.u8            N x C x H x W bytes, image after image
    <split>.ids           N names, one a line
    <split>.npz           labels, groups, attributes and further columns, those there are
    skipped.tsv           images that could not be read: name, reason

A split of three million images costs no memory but its names; whoever reads a minibatch reads its rows from the disk.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import Progress

__all__ = ["FORMAT", "PREPARED", "SKIPPED", "VERSION", "is_prepared", "load_prepared"]

PREPARED = "metadata.json"
SKIPPED = "skipped.tsv"
FORMAT = "dcgan-analysis prepared images"
VERSION = 1

_COLUMNS = ("labels", "groups", "attributes")


def is_prepared(path: Path) -> bool:
    """Say whether a folder holds prepared images."""
    try:
        return bool(json.loads((path / PREPARED).read_text(encoding="utf-8"))["format"] == FORMAT)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def load_prepared(path: Path, *, name: str | None = None) -> Dataset:
    """Open prepared images; nothing is read but the metadata until a split is used.

    Args:
        path: The folder that ``dcgan-analyze prepare`` wrote.
        name: What to call the dataset; by default the folder's name.

    Raises:
        DatasetError: If a newer release wrote it.
    """
    metadata = json.loads((path / PREPARED).read_text(encoding="utf-8"))
    if metadata["version"] != VERSION:
        msg = f"'{path}' has version {metadata['version']} of {FORMAT}, this release reads {VERSION}. Prepare it again."
        raise DatasetError(msg)
    return Dataset(
        name or path.name,
        {split: partial(_load_split, path, metadata, split) for split in metadata["splits"]},
        classes=metadata["classes"],
        note=metadata["note"],
        attribute_names=metadata["attribute_names"],
    )


def _load_split(path: Path, metadata: dict[str, Any], split: str, progress: Progress | None) -> DatasetSplit:
    record = metadata["splits"][split]
    shape = (record["n"], *metadata["image_shape"])
    file = path / f"{split}.u8"
    try:
        size = file.stat().st_size
        ids = (path / f"{split}.ids").read_text(encoding="utf-8").splitlines()
        with np.load(path / f"{split}.npz", allow_pickle=False) as arrays:
            columns = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError) as error:
        msg = f"Prepared images '{path}', split '{split}': {error}. Prepare them again."
        raise DatasetError(msg) from error
    if size != np.prod(shape):
        msg = f"'{file}' has {size:,} bytes, {np.prod(shape):,} were written. Prepare the images again."
        raise DatasetError(msg)
    return DatasetSplit(
        images=_mapped(file, shape),
        ids=ids,
        classes=metadata["classes"],
        source=f"{path.name}, {split}",
        attribute_names=metadata["attribute_names"],
        known_sha256=record["sha256"],
        images_sha256=record.get("images_sha256"),
        extras={key: values for key, values in columns.items() if key not in _COLUMNS},
        **{key: columns.get(key) for key in _COLUMNS},
    )


def _mapped(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file so that it behaves as an array in memory does: what is written to it stays in this process.

    Torch complains of arrays that cannot be written. A map larger than the memory may be refused; it is read-only then.
    """
    try:
        return np.memmap(file, np.uint8, "c", shape=shape)
    except OSError:
        return np.memmap(file, np.uint8, "r", shape=shape)
