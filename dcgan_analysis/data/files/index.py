"""What is known of a set of image files before any is decoded: names, splits, labels, columns.

``dataset.json`` is that of the StyleGAN family of tools, ``"labels": [[name, label], ...]``
(https://github.com/NVlabs/stylegan3, ``dataset_tool.py``), with optional further keys: see
docs/datasets.md.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dcgan_analysis.core.distributed import launched_first
from dcgan_analysis.core.text import printable
from dcgan_analysis.data.files.containers import (
    ZipContainer,
    count_others,
    member_name,
    natural_order,
    open_container,
)
from dcgan_analysis.data.files.layout import Layout, arrange, folder_of, split_named, wrapper_of
from dcgan_analysis.data.files.pictures import PictureError
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.files.containers import Container

_log = logging.getLogger(__name__)

METADATA = "dataset.json"

_GROUPS = "photo"
# Larger numbers are no class numbers but something else, such as years or identifiers.
_MOST_CLASSES = 100_000
# Whole numbers that float64 holds exactly.
_EXACT = 2**53
# Bytes that a `dataset.json` may have, for the whole and for each image: a name and some hundred numbers.
_MOST_BYTES, _MOST_BYTES_EACH = 1 << 20, 1 << 12
# What labels often come in.
_TABLES = (".csv", ".tsv", ".json", ".txt", ".xml")
# How the StyleGAN tools number the folders of their zips.
_NUMBERED = re.compile(r"\d{5}")


class _DatasetJson(BaseModel):
    """What ``dataset.json`` holds; further keys are columns, or of no meaning here."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    name: str | None = None
    note: str | None = None
    # Errors of a million labels would fill the memory.
    labels: list[tuple[str, int | list[float]]] | None = Field(None, fail_fast=True)
    classes: list[str | int] | None = None
    attributes: list[str | int] | None = None


@dataclass
class ImageIndex:
    """The files of a dataset in order, with what belongs to each.

    Attributes:
        names: N names of image files.
        splits: Split -> positions of its images; an empty split is not there.
        folders: Split -> the folder that says so, with a slash at its end; empty where none does.
        labels: N class numbers, None where an image has none; None: no image has one.
        classes: K class names; empty without labels.
        attributes: N lists of A numbers, or None.
        attribute_names: A names; empty without attributes.
        name: What ``dataset.json`` calls the dataset; empty without one.
        note: What it says that a reader of a result must know.
        further: Its other keys, of which some are columns.
        remarks: What a user must know: labels that are lost, files that are not used.
    """

    names: list[str]
    splits: dict[str, list[int]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    labels: list[int | None] | None = None
    classes: list[str] = field(default_factory=list)
    attributes: list[list[float]] | None = None
    attribute_names: list[str] = field(default_factory=list)
    name: str = ""
    note: str = ""
    further: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def columns(self, split: str, where: str) -> dict[str, Any]:
        """Return what is known of the images of a split: labels, groups, attributes, extras of ``DatasetSplit``.

        Args:
            split: The split's name.
            where: What holds them, for messages.

        Raises:
            DatasetError: If some images have a photo number and others have none, or a number is out of range.
        """
        positions = self.splits[split]
        groups = self.column(_GROUPS, split, where)
        if (
            groups is not None
            and not (np.isfinite(groups) & (groups == np.rint(groups)) & (abs(groups) < _EXACT)).all()
        ):
            msg = f"'{_GROUPS}' in {METADATA} of {where} must give a whole number for every image."
            raise DatasetError(msg)
        columns = {key: self.column(key, split, where) for key in self.further if key != _GROUPS}
        return {
            "labels": self._labels(positions),
            "groups": None if groups is None else groups.astype(np.int64),
            "attributes": self._attributes(positions, where),
            "extras": {key: values for key, values in columns.items() if values is not None},
        }

    def _labels(self, positions: list[int]) -> NDArray[np.int64] | None:
        labels = [None] if self.labels is None else [self.labels[position] for position in positions]
        return None if any(label is None for label in labels) else np.array(labels, np.int64)

    def _attributes(self, positions: list[int], where: str) -> NDArray[np.float32] | None:
        if self.attributes is None:
            return None
        with np.errstate(over="ignore"):
            values = np.array([self.attributes[position] for position in positions], np.float64).astype(np.float32)
        if not np.isfinite(values).all():
            msg = f"{METADATA} of {where} has attributes beyond the range of float32 (3.4e38)."
            raise DatasetError(msg)
        return values

    def column(self, key: str, split: str, where: str) -> NDArray[np.float64] | None:
        """Return one number per image of a split, NaN where unknown, from a further key.

        The value may be a list per split, a number per name, or a list as long as ``labels``.
        Anything else (a text, a setting of the tool that made the file) is not a column: None.
        """
        value = self.further.get(key)
        positions = self.splits[split]
        chosen: list[Any] | None = None
        if isinstance(value, dict):
            lists = {split_named(k): v for k, v in value.items() if isinstance(v, list)}
            if split in lists:
                chosen = lists[split]
            else:
                by_name = {member_name(name): number for name, number in value.items()}
                names = [self.names[position] for position in positions]
                if any(name in by_name for name in names):
                    chosen = [by_name.get(name) for name in names]
        elif isinstance(value, list) and len(value) == len(self.names):
            chosen = [value[position] for position in positions]
        if chosen is None or not all(v is None or isinstance(v, int | float) for v in chosen):
            return None
        try:
            return np.array([np.nan if v is None else v for v in chosen], np.float64)
        except OverflowError:
            msg = f"'{key}' in {METADATA} of {where} has a number beyond the range of float64."
            raise DatasetError(msg) from None


def open_images(path: Path) -> tuple[Container[Any], ImageIndex]:
    """Open a folder of images, an image zip, a tar or a folder of tar shards, or an LMDB folder.

    A warning says which labels are lost and how many files are not used.

    Raises:
        DatasetError: If it is none of these, holds no images, its ``dataset.json`` does not fit them, or images of
            one split could get among those of another.
    """
    container = open_container(path)
    index = index_of(container)
    for remark in index.remarks if launched_first() else []:
        _log.warning("%s: %s", path.name, remark)
    return container, index


def index_of(container: Container[Any]) -> ImageIndex:
    """Say what is known of the images of a container, from ``dataset.json`` or from their names.

    A folder that everything lies in is taken for the dataset itself.

    Raises:
        DatasetError: See :func:`open_images`.
    """
    where = f"'{container.path}'"
    wrapper = "" if container.sharded else wrapper_of(container.images)
    # The topmost file counts: its names are relative to where it lies.
    levels = [wrapper[:end] for end in range(len(wrapper) + 1) if end == 0 or wrapper[end - 1] == "/"]
    described = next((level for level in levels if container.has(level + METADATA)), None)
    container.enter(wrapper if described is None else described)
    if described is not None:
        index = _from_metadata(container)
        layout = arrange(index.names, where, sharded=container.sharded)
    else:
        index = ImageIndex(container.images if container.in_order else sorted(container.images, key=natural_order))
        layout = arrange(index.names, where, sharded=container.sharded)
    for position, name in enumerate(index.names):
        index.splits.setdefault(layout.splits[folder_of(name)], []).append(position)
    if described is None and container.numbers:
        _take_numbers(index, container)
    elif described is None:
        _take_classes(index, layout, container)
    index.folders = {split: f"{container.root}{folder}" for split, folder in layout.shown.items()}
    unused = count_others(container, [METADATA] if described is not None else []).sentence()
    if unused:
        tables = [name for name in container.others if name.endswith(_TABLES) and described is None]
        lost = f" Labels are read from {METADATA} alone." if tables and index.labels is None else ""
        index.remarks.append(unused + lost)
    return index


def _from_metadata(container: Container[Any]) -> ImageIndex:
    """Read ``dataset.json``; the images come in the order of its labels."""
    where = f"{METADATA} of '{container.path}'"
    try:
        data = container.read(METADATA, _MOST_BYTES + _MOST_BYTES_EACH * len(container.images))
        text = data.decode(json.detect_encoding(data))
        metadata = _DatasetJson.model_validate_json(text.removeprefix("\ufeff"))
    except (PictureError, UnicodeDecodeError, ValidationError) as error:
        msg = f'{where} cannot be used: {_reason(error)}. It must hold "labels": [[name, label], ...].'
        raise DatasetError(msg) from error
    index = ImageIndex(
        [],
        name=printable(metadata.name or ""),
        note=printable(metadata.note or ""),
        further=metadata.model_extra or {},
    )
    if metadata.labels is None:
        index.names = sorted(container.images, key=natural_order)
        return index
    labelled = {member_name(name): label for name, label in metadata.labels}
    if len(labelled) < len(metadata.labels):
        msg = f"{where} lists {len(metadata.labels) - len(labelled)} images more than once. List each once."
        raise DatasetError(msg)
    present = set(container.images)
    absent = [name for name in labelled if name not in present]
    unlisted = sorted(present - labelled.keys(), key=natural_order)
    for names, lack in ((absent, "listed but not there"), (unlisted, "there but not listed")):
        if names:
            msg = f"{where} does not fit the images: '{names[0]}' is {lack} ({len(names)} in all)."
            raise DatasetError(msg)
    index.names = list(labelled)
    _take_labels(index, list(labelled.values()), metadata, where)
    return index


def _reason(error: PictureError | UnicodeDecodeError | ValidationError) -> str:
    if isinstance(error, PictureError):
        return f"{error.reason}{f' ({error.detail})' if error.detail else ''}"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding}"
    # Where a number or a list may stand, the error that lies deepest is about what does stand there.
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    deepest = max(errors, key=lambda each: len(each["loc"]))
    return f"{'.'.join(str(part) for part in deepest['loc'][:3]) or 'the file'}: {printable(deepest['msg'])}"


def _take_labels(index: ImageIndex, labels: list[int | list[float]], metadata: _DatasetJson, where: str) -> None:
    """Take class numbers or attributes from ``dataset.json``."""
    numbers = [label for label in labels if isinstance(label, int)]
    rows = [label for label in labels if isinstance(label, list)]
    if len(numbers) == len(labels):
        if not 0 <= min(numbers) <= max(numbers) < _MOST_CLASSES:
            msg = (
                f"Labels in {where} run from {min(numbers)} to {max(numbers)}; they must number "
                f"the classes from 0 to {_MOST_CLASSES - 1} at most."
            )
            raise DatasetError(msg)
        index.labels = list(numbers)
        index.classes = [printable(str(c)) for c in metadata.classes or range(max(numbers) + 1)]
    elif len(rows) == len(labels) and len({len(row) for row in rows}) == 1:
        index.attributes = rows
        index.attribute_names = [printable(str(title)) for title in metadata.attributes or range(len(rows[0]))]
        if len(index.attribute_names) != len(rows[0]):
            msg = f"'attributes' in {where} names {len(index.attribute_names)} columns, but labels have {len(rows[0])}."
            raise DatasetError(msg)
    else:
        msg = f"Labels in {where} must be all integers, or all lists of as many numbers."
        raise DatasetError(msg)


def _take_numbers(index: ImageIndex, container: Container[Any]) -> None:
    """Take the class numbers of ``.cls`` files."""
    numbers = [container.numbers.get(name) for name in index.names]
    known = [number for number in numbers if number is not None]
    if max(known) >= _MOST_CLASSES:
        msg = f"A .cls file in '{container.path}' holds {max(known)}; classes are numbered up to {_MOST_CLASSES - 1}."
        raise DatasetError(msg)
    if len(known) < len(numbers):
        lacking = index.names[numbers.index(None)]
        index.remarks.append(
            f"Labels are not used: {len(numbers) - len(known):,} of {len(numbers):,} images have no .cls file beside "
            f"them, first '{lacking}'."
        )
        return
    index.labels = numbers
    index.classes = [str(number) for number in range(max(known) + 1)]


def _take_classes(index: ImageIndex, layout: Layout, container: Container[Any]) -> None:
    """Take the folder below the split as the class, in alphabetical order.

    A split where some images lie in no class folder has no labels, nor has one whose folders are all unknown in train.
    """
    folders = [layout.classes[folder_of(name)] for name in index.names]
    every = {folder for folder in folders if folder is not None}
    if not every:
        return
    if isinstance(container, ZipContainer) and all(_NUMBERED.fullmatch(folder) for folder in every):
        index.remarks.append(
            f"No labels: in a zip, folders such as '{min(every)}/' are not taken for classes; unpack it if they are."
        )
        return
    trained = {folders[position] for position in index.splits.get("train", [])} - {None}
    labelled: dict[str, set[str]] = {}
    for split, positions in index.splits.items():
        own = {folder for position in positions if (folder := folders[position]) is not None}
        lacking = [position for position in positions if folders[position] is None]
        unknown = sorted(own - trained) if trained else []
        if lacking:
            index.remarks.append(
                f"No labels in {split}: {len(lacking):,} of {len(positions):,} images lie in no class folder, first "
                f"'{index.names[lacking[0]]}'."
            )
        elif unknown and len(unknown) == len(own):
            index.remarks.append(f"No labels in {split}: its folder '{unknown[0]}/' is not a class of train.")
        else:
            labelled[split] = own
            if unknown:
                index.remarks.append(f"Classes of {split} that train does not have: {len(unknown)}, '{unknown[0]}'.")
    if not labelled:
        return
    index.classes = sorted(set().union(*labelled.values()))
    numbers = {name: number for number, name in enumerate(index.classes)}
    index.labels = [None] * len(folders)
    for split in labelled:
        for position in index.splits[split]:
            index.labels[position] = numbers[folders[position] or ""]
