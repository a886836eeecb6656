"""Files of images as datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.files.decoded import decode_once
from dcgan_analysis.data.files.index import open_images
from dcgan_analysis.data.files.prepared import is_prepared, load_prepared

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import Progress
    from dcgan_analysis.data.files.containers import Container
    from dcgan_analysis.data.files.index import ImageIndex


def load_images(path: Path, *, name: str | None = None) -> Dataset:
    """Read a folder of images, an image zip, tar shards or an LMDB; opening it reads names and labels only.

    Images are decoded split by split, on first use, into the cache, from where they are read through a memory map
    (see ``dcgan_analysis.data.files.decoded``); those that cannot be read are left out, with a warning.

    A folder of prepared images (see ``dcgan_analysis.data.files.prepared``) is opened, not decoded.

    Names that begin with ``train/``, ``validation/`` (or ``val/``), ``test/``, ``extra/`` or ``unlabeled/``, or with a
    usual variant of these, say the split; where none does, everything is ``train``. With a ``dataset.json``, labels
    are integers (classes) or lists of numbers (attributes). Without one, subfolders are classes. Labels that are lost
    and files that are not used are counted in a warning and in the dataset's ``note``.

    Args:
        path: The folder or file.
        name: What to call the dataset; by default what ``dataset.json`` says, or the file's name.

    Raises:
        DatasetError: If there are no images, ``dataset.json`` does not fit them, or images of one split could get
            among those of another.
    """
    if is_prepared(path):
        return load_prepared(path, name=name)
    container, index = open_images(path)
    return Dataset(
        name or index.name or path.stem,
        {split: _FileSplit(container, index, split) for split in index.splits},
        classes=index.classes,
        note=" ".join(filter(None, [index.note, *index.remarks])),
        attribute_names=index.attribute_names,
    )


class _FileSplit:
    """The image files of one split; called, it decodes all or some of them (see ``PartialLoader``)."""

    def __init__(self, container: Container[Any], index: ImageIndex, split: str) -> None:
        self._container = container
        self._index = index
        self._split = split
        self._positions = index.splits[split]

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
        folder = index.folders.get(self._split)
        where = f"{self._container.path.name}, {folder}" if folder else self._container.path.name
        return DatasetSplit(
            images=np.broadcast_to(np.uint8(0), (len(names), 1, 1, 1)),
            ids=names,
            classes=index.classes,
            source=where,
            attribute_names=index.attribute_names,
            **index.columns(self._split, where),
        )

    def _decoded(self, files: DatasetSplit, progress: Progress | None) -> DatasetSplit:
        pixels = decode_once(self._container, files.ids, where=files.source, progress=progress)
        unread = len(files) - len(pixels.positions)
        if unread:
            files = files.take(pixels.positions, source=f"{files.source}, {unread} unreadable left out")
        source = ", ".join([files.source, *(f"{count:,} {remark}" for remark, count in pixels.remarks.items())])
        return replace(files, images=pixels.images, images_sha256=pixels.sha256, source=source)
