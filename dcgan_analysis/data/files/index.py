"""What is known of a set of image files before any is decoded: names, splits, labels, columns.

``dataset.json`` is that of the StyleGAN family of tools, ``"labels": [[name, label], ...]``
(https://github.com/NVlabs/stylegan3, ``dataset_tool.py``), with optional further keys: see
docs/datasets.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.data.files.containers import FolderContainer, natural_order
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.data.files.containers import Container

__all__ = ["METADATA", "ImageIndex", "from_folders", "from_metadata", "index_of", "split_of"]

METADATA = "dataset.json"

_GROUPS = "photo"
_NOT_COLUMNS = frozenset({"name", "note", "classes", "attributes", "labels", _GROUPS})

# Larger numbers are no class numbers but something else, such as years or identifiers.
_MOST_CLASSES = 100_000

_SPLITS = {
    "train": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test", "extra": "extra", "unlabeled": "unlabeled",
}  # fmt: skip


def split_of(name: str) -> str | None:
    """Return the split that a name's first folder says, or None.

    Example:
        >>> split_of("val/cat/1.png"), split_of("cat/1.png")
        ('validation', None)
    """
    first, slash, _ = name.partition("/")
    return _SPLITS.get(first.lower()) if slash else None


@dataclass
class ImageIndex:
    """The files of a dataset in order, with what belongs to each.

    Attributes:
        names: N names of image files.
        labels: N class numbers, or None.
        classes: K class names; empty without labels.
        attributes: N lists of A numbers, or None.
        attribute_names: A names; empty without attributes.
        metadata: The object in ``dataset.json``; empty without one.
    """

    names: list[str]
    labels: list[int] | None = None
    classes: list[str] = field(default_factory=list)
    attributes: list[list[float]] | None = None
    attribute_names: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def splits(self, where: str) -> dict[str, list[int]]:
        """Return the positions of each split's images; all are ``train`` where no name says one.

        Raises:
            DatasetError: If some names say a split and others do not.
        """
        members: dict[str, list[int]] = {}
        outside = []
        for position, name in enumerate(self.names):
            split = split_of(name)
            if split is None:
                outside.append(position)
            else:
                members.setdefault(split, []).append(position)
        if members and outside:
            msg = (
                f"{where} has images in split folders and {len(outside)} outside of them, first "
                f"'{self.names[outside[0]]}'. Put all of them under train/, validation/, test/, "
                "extra/ or unlabeled/, or none."
            )
            raise DatasetError(msg)
        return members or {"train": outside}

    def columns(self, split: str, positions: list[int], where: str) -> dict[str, Any]:
        """Return what is known of the images of a split: labels, groups, attributes, extras of ``DatasetSplit``.

        Args:
            split: The split's name.
            positions: The positions of all its images.
            where: What holds them, for messages.

        Raises:
            DatasetError: If some images have a photo number and others have none.
        """
        groups = self.column(_GROUPS, split, positions)
        if groups is not None and np.isnan(groups).any():
            msg = f"'{_GROUPS}' in {METADATA} of {where} must give a number for every image."
            raise DatasetError(msg)
        columns = {key: self.column(key, split, positions) for key in self.metadata if key not in _NOT_COLUMNS}
        return {
            "labels": None if self.labels is None else np.array(self.labels, np.int64)[positions],
            "groups": None if groups is None else groups.astype(np.int64),
            "attributes": None if self.attributes is None else np.array(self.attributes, np.float32)[positions],
            "extras": {key: values for key, values in columns.items() if values is not None},
        }

    def column(self, key: str, split: str, positions: list[int]) -> NDArray[np.float64] | None:
        """Return one number per image of a split, NaN where unknown, from a key of the metadata.

        The value may be a list per split, a number per name, or a list as long as ``labels``.
        Anything else (a text, a setting of the tool that made the file) is no column: None.
        """
        value = self.metadata.get(key)
        names = [self.names[position] for position in positions]
        chosen: list[Any] | None = None
        if isinstance(value, dict):
            lists = {_SPLITS[k]: v for k, v in value.items() if k in _SPLITS}
            if isinstance(lists.get(split), list):
                chosen = lists[split]
            elif any(name in value for name in names):
                chosen = [value.get(name) for name in names]
        elif isinstance(value, list) and len(value) == len(self.names):
            chosen = [value[position] for position in positions]
        if chosen is None or not all(v is None or isinstance(v, int | float) for v in chosen):
            return None
        return np.array([np.nan if v is None else v for v in chosen], np.float64)


def index_of(container: Container) -> ImageIndex:
    """Say what is known of the images of a zip or folder, from ``dataset.json`` or from their names.

    Raises:
        DatasetError: If ``dataset.json`` does not fit the images.
    """
    if container.has(METADATA):
        return from_metadata(container)
    if isinstance(container, FolderContainer):
        return from_folders(container.images)
    # Subfolders of a zip are no classes: the StyleGAN tools number theirs by thousands.
    return ImageIndex(sorted(container.images, key=natural_order))


def from_metadata(container: Container) -> ImageIndex:
    """Read ``dataset.json``; the images come in the order of its labels.

    Raises:
        DatasetError: If it is no such object, or does not list exactly the images that are there.
    """
    where = f"{METADATA} of '{container.path}'"
    try:
        metadata = json.loads(container.read(METADATA))
        pairs = metadata.get("labels")
        labelled = None if pairs is None else {str(name): label for name, label in pairs}
    except (ValueError, TypeError, AttributeError) as error:
        msg = f'{where} cannot be used: {error}. It must hold "labels": [[name, label], ...].'
        raise DatasetError(msg) from error
    if labelled is None:
        return ImageIndex(sorted(container.images, key=natural_order), metadata=metadata)

    if len(labelled) < len(pairs):
        msg = f"{where} lists {len(pairs) - len(labelled)} images more than once. List each once."
        raise DatasetError(msg)
    present = set(container.images)
    absent = [name for name in labelled if name not in present]
    unlisted = sorted(present - labelled.keys(), key=natural_order)
    for names, lack in ((absent, "listed but not there"), (unlisted, "there but not listed")):
        if names:
            msg = f"{where} does not fit the images: '{names[0]}' is {lack} ({len(names)} in all)."
            raise DatasetError(msg)

    index = ImageIndex(list(labelled), metadata=metadata)
    labels = list(labelled.values())
    if all(isinstance(label, int) for label in labels):
        if not 0 <= min(labels) <= max(labels) < _MOST_CLASSES:
            msg = (
                f"Labels in {where} run from {min(labels)} to {max(labels)}; they must number "
                f"the classes from 0 to {_MOST_CLASSES - 1} at most."
            )
            raise DatasetError(msg)
        index.labels = labels
        index.classes = [str(c) for c in metadata.get("classes") or range(max(labels) + 1)]
    elif all(isinstance(label, list) and len(label) == len(labels[0]) for label in labels):
        index.attributes = labels
        titles = metadata.get("attributes") or range(len(labels[0]))
        index.attribute_names = [str(title) for title in titles]
    else:
        msg = f"Labels in {where} must be all integers, or all lists of as many numbers."
        raise DatasetError(msg)
    return index


def from_folders(names: list[str]) -> ImageIndex:
    """Take the folder (below the split, where there is one) as the class, in alphabetical order.

    Images directly in the top folder or in a split's folder have no class; then none has.

    Example:
        >>> index = from_folders(["train/dog/1.png", "train/cat/2.png", "test/cat/3.png"])
        >>> index.names, index.labels, index.classes
        (['test/cat/3.png', 'train/cat/2.png', 'train/dog/1.png'], [0, 0, 1], ['cat', 'dog'])
    """
    names = sorted(names, key=natural_order)
    folders = []
    for name in names:
        inner = name.split("/")[1 if split_of(name) else 0 : -1]
        if not inner:
            return ImageIndex(names)
        folders.append(inner[0])
    classes = sorted(set(folders))
    numbers = {name: number for number, name in enumerate(classes)}
    return ImageIndex(names, labels=[numbers[folder] for folder in folders], classes=classes)
