"""Image zips and image folders as datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.files.containers import open_container
from dcgan_analysis.data.files.decoded import decode_once
from dcgan_analysis.data.files.index import index_of, split_of
from dcgan_analysis.data.files.prepared import is_prepared, load_prepared
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import Progress
    from dcgan_analysis.data.files.containers import Container
    from dcgan_analysis.data.files.index import ImageIndex

__all__ = ["load_images"]


def load_images(path: Path, *, name: str | None = None) -> Dataset:
    """Read an image zip or an image folder; opening it reads names and labels only.

    Images are decoded split by split, on first use, into the cache, from where they are read through a memory map
    (see ``dcgan_analysis.data.files.decoded``); those that cannot be read are left out, with a warning.

    A folder of prepared images (see ``dcgan_analysis.data.files.prepared``) is opened, not decoded.

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
            split: _FileSplit(container, index, split, positions)
            for split, positions in index.splits(f"'{path}'").items()
        },
        classes=index.classes,
        note=str(index.metadata.get("note", "")),
        attribute_names=index.attribute_names,
    )


class _FileSplit:
    """The image files of one split; whoever calls it gets them decoded, all or some (see ``PartialLoader``)."""

    def __init__(self, container: Container, index: ImageIndex, split: str, positions: list[int]) -> None:
        self._container = container
        self._index = index
        self._split = split
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __call__(self, progress: Progress | None) -> DatasetSplit:
        return self._decoded(self._files(), progress)

    def some(self, positions: NDArray[np.int64], source: str, progress: Progress | None) -> DatasetSplit:
        files = self._files()
        return self._decoded(files.take(positions, source=f"{files.source}, {source}"), progress)

    def _files(self) -> DatasetSplit:
        """Return all that is known of the images but their pixels; what does not fit is refused before decoding."""
        index = self._index
        names = [index.names[position] for position in self._positions]
        folder = names[0].partition("/")[0] if split_of(names[0]) else None
        where = f"{self._container.path.name}, {folder}/" if folder else self._container.path.name
        return DatasetSplit(
            images=np.broadcast_to(np.uint8(0), (len(names), 1, 1, 1)),
            ids=names,
            classes=index.classes,
            source=where,
            attribute_names=index.attribute_names,
            **index.columns(self._split, self._positions, where),
        )

    def _decoded(self, files: DatasetSplit, progress: Progress | None) -> DatasetSplit:
        pixels = decode_once(self._container, files.ids, where=files.source, progress=progress)
        unread = len(files) - len(pixels.positions)
        if unread:
            files = files.take(pixels.positions, source=f"{files.source}, {unread} unreadable left out")
        source = ", ".join([files.source, *(f"{count:,} {remark}" for remark, count in pixels.remarks.items())])
        return replace(files, images=pixels.images, images_sha256=pixels.sha256, source=source)
