"""Image zips and image folders as datasets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.data.containers import (
    Container,
    FolderContainer,
    natural_order,
    open_container,
)
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.decode import decode_images
from dcgan_analysis.data.metadata import (
    METADATA,
    ImageIndex,
    from_folders,
    from_metadata,
    split_of,
)
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.data.dataset import Progress

__all__ = ["load_images"]

_GROUPS = "photo"
_NOT_COLUMNS = frozenset({"name", "note", "classes", "attributes", "labels", _GROUPS})


def load_images(path: Path, *, name: str | None = None) -> Dataset:
    """Read an image zip or an image folder; images are decoded split by split, on first use.

    Names that begin with ``train/``, ``validation/`` (or ``val/``), ``test/``, ``extra/`` or
    ``unlabeled/`` say the split; where none does, everything is ``train``. With a
    ``dataset.json``, labels are integers (classes) or lists of numbers (attributes). Without one,
    the subfolders of a folder are its classes, and a zip has no labels.

    Args:
        path: The zip or folder.
        name: What to call the dataset; by default what ``dataset.json`` says, or the file's name.

    Raises:
        DatasetError: If there are no images, or ``dataset.json`` does not fit them.
    """
    container = open_container(path)
    if not container.images:
        msg = f"'{path}' holds no images (png, jpg, webp, ...). Give a zip or a folder of images."
        raise DatasetError(msg)
    if container.has(METADATA):
        index = from_metadata(container)
    elif isinstance(container, FolderContainer):
        index = from_folders(container.images)
    else:
        # Subfolders of a zip are no classes: the StyleGAN tools number theirs by thousands.
        index = ImageIndex(sorted(container.images, key=natural_order))
    return Dataset(
        name or str(index.metadata.get("name") or path.stem),
        {
            split: partial(_load_split, container, index, split, positions)
            for split, positions in index.splits(f"'{path}'").items()
        },
        classes=index.classes,
        note=str(index.metadata.get("note", "")),
        attribute_names=index.attribute_names,
    )


def _load_split(
    container: Container,
    index: ImageIndex,
    split: str,
    positions: list[int],
    progress: Progress | None,
) -> DatasetSplit:
    names = [index.names[position] for position in positions]
    folder = names[0].partition("/")[0] if split_of(names[0]) else None
    where = f"{container.path.name}, {folder}/" if folder else container.path.name

    groups = index.column(_GROUPS, split, positions)
    if groups is not None and np.isnan(groups).any():
        msg = f"'{_GROUPS}' in {METADATA} of {where} must give a number for every image."
        raise DatasetError(msg)
    columns = {key: index.column(key, split, positions) for key in index.metadata if key not in _NOT_COLUMNS}
    attributes = index.attributes
    return DatasetSplit(
        images=decode_images(names, container.read, where=where, progress=progress),
        labels=None if index.labels is None else np.array(index.labels, np.int64)[positions],
        ids=names,
        groups=None if groups is None else groups.astype(np.int64),
        classes=index.classes,
        source=where,
        attributes=None if attributes is None else np.array(attributes, np.float32)[positions],
        attribute_names=index.attribute_names,
        extras={key: values for key, values in columns.items() if values is not None},
    )
