"""Image zips and image folders as datasets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dcgan_analysis.data.containers import open_container
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.decode import decode_images
from dcgan_analysis.data.metadata import index_of, split_of
from dcgan_analysis.data.prepared import is_prepared, load_prepared
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.data.containers import Container
    from dcgan_analysis.data.dataset import Progress
    from dcgan_analysis.data.metadata import ImageIndex

__all__ = ["load_images"]


def load_images(path: Path, *, name: str | None = None) -> Dataset:
    """Read an image zip or an image folder; images are decoded split by split, on first use.

    A folder of prepared images (see ``dcgan_analysis.data.prepared``) is opened, not decoded.

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
    if is_prepared(path):
        return load_prepared(path, name=name)
    container = open_container(path)
    if not container.images:
        msg = f"'{path}' holds no images (png, jpg, webp, ...). Give a zip or a folder of images."
        raise DatasetError(msg)
    index = index_of(container)
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
    return DatasetSplit(
        images=decode_images(names, container.read, where=where, progress=progress),
        ids=names,
        classes=index.classes,
        source=where,
        attribute_names=index.attribute_names,
        **index.columns(split, positions, where),
    )
