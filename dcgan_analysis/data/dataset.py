"""What every analysis and trainer reads: named splits of images held as bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from dcgan_analysis.core.hashing import hash_array, hash_parts
from dcgan_analysis.core.progress import Progress
from dcgan_analysis.core.text import Described, count
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["SPLIT_NAMES", "Dataset", "DatasetSplit", "PartialLoader", "Progress", "SplitLoader"]


SPLIT_NAMES = ("train", "validation", "test", "extra", "unlabeled")
"""The only names a split can have, in the order they are listed."""

_IMAGE_DIMENSIONS = 4
_CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True, eq=False, repr=False)
class DatasetSplit(Described):
    """The images of one split. Treat the arrays as read-only: ``sha256`` is computed once.

    Attributes:
        images: uint8 array (N, C, H, W), values 0 to 255.
        labels: int64 array (N,) of numbers 0 to K - 1, or None.
        ids: N names that stay with the images: file names, or positions in the original file.
        groups: int64 array (N,) or None; images of one group (one photo) belong on the same side
            when images are divided.
        classes: K class names, in the order of the labels; empty without labels.
        source: Where the images came from, in words: ``"cifar10.zip, train/"``.
        attributes: float32 array (N, A), several numbers per image, or None.
        attribute_names: A names, in the order of the columns of ``attributes``.
        extras: Further arrays of length N by name, as ``"yaw"`` in degrees with NaN where unknown.
        known_sha256: Its content hash where that was computed before; None: computed when first asked for.
        images_sha256: Hash of the array of images only, where that was computed before.

    Raises:
        DatasetError: If images have another type or shape than stated here, another array is not of
            length N, or a label has no class.

    Example:
        >>> images = np.zeros((2, 3, 32, 32), np.uint8)
        >>> split = DatasetSplit(images, np.array([0, 1]), ["a", "b"], classes=["cat", "dog"])
        >>> len(split), split.image_shape, split.take([1]).ids
        (2, (3, 32, 32), ['b'])
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    ids: list[str]
    groups: NDArray[np.int64] | None = None
    classes: list[str] = field(default_factory=list)
    source: str = ""
    attributes: NDArray[np.float32] | None = None
    attribute_names: list[str] = field(default_factory=list)
    extras: dict[str, NDArray[Any]] = field(default_factory=dict)
    known_sha256: str | None = None
    images_sha256: str | None = None

    def __post_init__(self) -> None:
        where = self.source or "a split"
        if remedy := _remedy_for_images(self.images):
            msg = f"Images of {where} must be uint8 (N, C, H, W), got {self.images.dtype} {self.images.shape}. {remedy}"
            raise DatasetError(msg)
        if self.labels is not None:
            object.__setattr__(self, "labels", _as_class_numbers(self.labels, where))
        arrays: dict[str, NDArray[Any] | list[str] | None] = {
            "labels": self.labels,
            "ids": self.ids,
            "groups": self.groups,
            "attributes": self.attributes,
            **self.extras,
        }
        for name, array in arrays.items():
            if array is not None and len(array) != len(self.images):
                msg = (
                    f"{where} has {len(self.images)} images but {len(array)} {name}; there must be one for each image."
                )
                raise DatasetError(msg)
        if self.labels is not None and len(self.labels):
            low, high = int(self.labels.min()), int(self.labels.max())
            if low < 0 or high >= len(self.classes):
                msg = (
                    f"Labels of {where} run from {low} to {high}, but with "
                    f"{len(self.classes)} classes they must be 0 to {len(self.classes) - 1}."
                )
                raise DatasetError(msg)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def sha256(self) -> str:
        """Hash of the content, pixels and labels; names and origin do not matter."""
        if self.known_sha256 is not None:
            return self.known_sha256
        labels = "none" if self.labels is None else hash_array(self.labels)
        return hash_parts({"images": self.images_sha256 or hash_array(self.images), "labels": labels})

    def take(self, indices: ArrayLike, *, source: str | None = None) -> DatasetSplit:
        """Return some of the images as a split of its own.

        Args:
            indices: Integers, in the order wanted, or a mask of N booleans.
            source: What the new split says of its origin; by default the same.
        """
        index = np.asarray(indices)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        # Neighbouring images are not copied: a memory-mapped split may be larger than the memory.
        adjacent = len(index) > 0 and index[0] >= 0 and bool((np.diff(index) == 1).all())
        return DatasetSplit(
            images=self.images[index[0] : index[-1] + 1] if adjacent else self.images[index],
            labels=None if self.labels is None else self.labels[index],
            ids=[self.ids[i] for i in index],
            groups=None if self.groups is None else self.groups[index],
            classes=self.classes,
            source=self.source if source is None else source,
            attributes=None if self.attributes is None else self.attributes[index],
            attribute_names=self.attribute_names,
            extras={name: values[index] for name, values in self.extras.items()},
        )

    def __len__(self) -> int:
        return len(self.images)

    def _describe(self) -> tuple[str, dict[str, str]]:
        return f"DatasetSplit of {_size(self)}", {
            "labels": "none" if self.labels is None else f"{len(self.classes)} classes",
            "attributes": ", ".join(self.attribute_names),
            "extras": ", ".join(self.extras),
            "source": self.source,
        }


def _remedy_for_images(images: Any) -> str:
    """Return what brings an array into the form of images, empty where it has it."""
    if not isinstance(images.dtype, np.dtype):
        return "Give a NumPy array: images.cpu().numpy()."
    shape = images.shape
    if images.ndim == _IMAGE_DIMENSIONS - 1:
        return "Gray images (N, H, W) lack the axis of channels: images[:, None]."
    if images.ndim == _IMAGE_DIMENSIONS and shape[3] in _CHANNELS and shape[1] not in _CHANNELS:
        return "Channels come before height and width: images.transpose(0, 3, 1, 2)."
    if images.ndim == _IMAGE_DIMENSIONS and images.dtype == np.uint8:
        return ""
    if images.ndim != _IMAGE_DIMENSIONS or images.dtype.kind not in "iuf" or not images.size:
        return "Give bytes, 0 to 255."
    low, high = float(images.min()), float(images.max())
    shown = f"Values run from {low:g} to {high:g}"
    if 0 <= low <= high <= 1 and images.dtype.kind == "f":
        return f"{shown}: np.rint(images * 255).astype(np.uint8)."
    if -1 <= low <= high <= 1 and images.dtype.kind == "f":
        return f"{shown}: np.rint((images + 1) * 127.5).astype(np.uint8)."
    if 0 <= low <= high <= np.iinfo(np.uint8).max:
        return f"{shown}: np.rint(images).astype(np.uint8)."
    return f"{shown}; scale them to bytes, 0 to 255."


def _as_class_numbers(labels: Any, where: str) -> NDArray[np.int64]:
    """Return labels as int64 (N,).

    Raises:
        DatasetError: If they have another shape, or are no whole numbers.
    """
    array = np.asarray(labels)
    problem = f"Labels of {where} must be whole numbers (N,), got {array.dtype} {array.shape}."
    if array.ndim == 2:
        remedy = "labels.ravel()" if array.shape[1] == 1 else "labels.argmax(axis=1), if each row marks one class"
        msg = f"{problem} Give {remedy}."
        raise DatasetError(msg)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        remedy = " Give labels.astype(np.int64)." if array.ndim == 1 and array.dtype.kind == "f" else ""
        raise DatasetError(problem + remedy)
    return array.astype(np.int64, copy=False)


SplitLoader = Callable[[Progress | None], DatasetSplit]
"""Reads one split, reporting its progress where it is given something to report to."""


@runtime_checkable
class PartialLoader(Protocol):
    """A ``SplitLoader`` that knows how many images there are, and can read only some of them."""

    def __len__(self) -> int: ...

    def __call__(self, progress: Progress | None) -> DatasetSplit:
        """Read all."""
        ...

    def some(self, positions: NDArray[np.int64], source: str, progress: Progress | None) -> DatasetSplit:
        """Read the images at some positions; ``source`` is added to what the split says of its origin."""
        ...


def _held(split: DatasetSplit, progress: Progress | None) -> DatasetSplit:
    return split


class Dataset(Described):
    """Named splits, each decoded when it is first asked for and then kept.

    Args:
        name: What the dataset is called in results and messages.
        loaders: For each split, the function that reads it; names are those of ``SPLIT_NAMES``.
        classes: K class names; empty without labels.
        note: What a reader of a result must know: parts left out, how images were made, licence.
        attribute_names: Names of the columns of the splits' ``attributes``.

    Attributes:
        progress: What decoding reports to, or None; ``load_dataset`` sets it.

    Raises:
        DatasetError: If there is no split, or one has another name.

    Example:
        >>> from dcgan_analysis.data import load_dataset
        >>> digits = load_dataset("digits")
        >>> digits.split_names, digits.image_shape, len(digits.split("train"))
        (['train', 'test'], (3, 32, 32), 1297)
    """

    def __init__(
        self,
        name: str,
        loaders: Mapping[str, SplitLoader],
        *,
        classes: Sequence[str] = (),
        note: str = "",
        attribute_names: Sequence[str] = (),
    ) -> None:
        unknown = [split for split in loaders if split not in SPLIT_NAMES]
        if unknown or not loaders:
            declared = ", ".join(unknown) or "none"
            msg = f"Dataset '{name}' declares the splits: {declared}. Allowed, at least one: {', '.join(SPLIT_NAMES)}."
            raise DatasetError(msg)
        self.name = name
        self.classes = list(classes)
        self.note = note
        self.attribute_names = list(attribute_names)
        self.progress: Progress | None = None
        self._loaders = dict(loaders)
        self._splits: dict[str, DatasetSplit] = {}
        # Of each split the part that was last read: a run asks for it more than once.
        self._parts: dict[str, tuple[int, bool, DatasetSplit]] = {}

    @classmethod
    def from_splits(cls, name: str, splits: Mapping[str, DatasetSplit], *, note: str = "") -> Dataset:
        """Make a dataset of splits that are in memory; the first tells classes and attributes."""
        first = next(iter(splits.values()), None)
        return cls(
            name,
            {split: partial(_held, held) for split, held in splits.items()},
            classes=first.classes if first else (),
            note=note,
            attribute_names=first.attribute_names if first else (),
        )

    @classmethod
    def from_arrays(
        cls,
        name: str,
        arrays: Mapping[str, NDArray[Any] | tuple[NDArray[Any], NDArray[Any] | None]],
        *,
        classes: Sequence[str] = (),
        note: str = "",
    ) -> Dataset:
        """Make a dataset of arrays, as .npy, .npz or HDF5 files hold them.

        Args:
            name: What the dataset is called.
            arrays: Split -> images, uint8 (N, C, H, W), or images and labels, integers (N,) from 0.
            classes: K class names; numbers where there are labels but no names.
            note: What a reader of a result must know.

        Raises:
            DatasetError: If an array has another form; it says what brings it into this one.

        Example:
            >>> images = np.zeros((2, 3, 32, 32), np.uint8)
            >>> Dataset.from_arrays("mine", {"train": (images, np.array([0, 1]))}).classes
            ['0', '1']
        """
        pairs = {split: value if isinstance(value, tuple) else (value, None) for split, value in arrays.items()}
        labels = {
            split: None if numbers is None else _as_class_numbers(numbers, f"{name}, {split}")
            for split, (_, numbers) in pairs.items()
        }
        known = [numbers for numbers in labels.values() if numbers is not None and len(numbers)]
        names = list(classes) or [str(number) for number in range(1 + max((int(n.max()) for n in known), default=-1))]
        splits = {
            split: DatasetSplit(
                images,
                labels[split],
                [f"{split}/{i:06d}" for i in range(len(images))],
                classes=names,
                source=f"{name}, {split}",
            )
            for split, (images, _) in pairs.items()
        }
        return cls.from_splits(name, splits, note=note)

    @property
    def split_names(self) -> list[str]:
        """Names of the splits there are, in the order of ``SPLIT_NAMES``."""
        return [name for name in SPLIT_NAMES if name in self._loaders]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the first split's images, which are decoded for this."""
        return self.split(self.split_names[0]).image_shape

    def split(self, name: str) -> DatasetSplit:
        """Return a split, decoded on first use.

        Raises:
            DatasetError: If the dataset has no such split, or its images cannot be read.
        """
        if name not in self._splits:
            self._splits[name] = self._loader(name)(self.progress)
        return self._splits[name]

    def some(self, name: str, n: int | None, *, first: bool = False) -> DatasetSplit:
        """Return n images of a split, and decode no others where the dataset consists of image files.

        Args:
            name: The split.
            n: How many; the whole split if it has no more, or if None.
            first: Whether the first n are taken; otherwise they are evenly spread, for images may be sorted by class.

        Raises:
            DatasetError: As :meth:`split`.

        Example:
            >>> from dcgan_analysis.data import load_dataset
            >>> load_dataset("digits").some("test", 3).source
            'sklearn.datasets.load_digits, 3 of 500'
        """
        loader = self._loader(name)
        own = loader if isinstance(loader, PartialLoader) else None
        total = len(own) if own is not None else len(self.split(name)) if n is not None else 0
        if n is None or n >= total:
            return self.split(name)
        if name in self._parts and self._parts[name][:2] == (n, first):
            return self._parts[name][2]
        positions = np.arange(n) if first else np.linspace(0, total - 1, n).round().astype(np.int64)
        source = f"first {n} of {total}" if first else f"{n} of {total}"
        if own is not None:
            part = own.some(positions, source, self.progress)
        else:
            whole = self.split(name)
            part = whole.take(positions, source=f"{whole.source}, {source}")
        self._parts[name] = n, first, part
        return part

    def _loader(self, name: str) -> SplitLoader:
        if name not in self._loaders:
            msg = (
                f"Dataset '{self.name}' has no split '{name}', only: "
                f"{', '.join(self.split_names)}. Choose one of these, or another dataset."
            )
            raise DatasetError(msg)
        return self._loaders[name]

    def _describe(self) -> tuple[str, dict[str, str]]:
        # Nothing is decoded for this: of splits that nobody has asked for, the name alone is known.
        decoded = {name: f"{name}, {_size(self._splits[name])}" for name in self._splits}
        return f"Dataset '{self.name}'", {
            "splits": "; ".join(decoded.get(name, name) for name in self.split_names),
            "classes": str(len(self.classes) or "none"),
            "note": self.note,
        }


def _size(split: DatasetSplit) -> str:
    return f"{count(len(split))} images of {'x'.join(map(str, split.image_shape))}"
