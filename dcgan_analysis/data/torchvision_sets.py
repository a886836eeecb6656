"""The datasets that torchvision reads and downloads, in torchvision's own layouts.

Listings look here for which of them are there: nothing heavy is imported before one is read.
"""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import Dataset, DatasetSplit, Progress

# A server that does not answer must not hold up the one clear error; torchvision sets no limit.
_TIMEOUT_SECONDS = 15.0

# What the readers raise on absent, damaged or foreign files (they check formats by assert), and
# downloads without a network (URLError is an OSError).
_FAILURES = (RuntimeError, ValueError, OSError, EOFError, AssertionError, LookupError)

_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class _Part:
    """One split: a file below the data root that shows it is there, and torchvision's arguments."""

    file: str
    arguments: dict[str, Any] = field(default_factory=dict)
    download: bool = True


@dataclass(frozen=True)
class TorchvisionSet:
    """One dataset of ``torchvision.datasets``.

    Attributes:
        name: The registered name.
        reader: Name of torchvision's class.
        parts: The splits, ``train`` first.
        classes: Class names; empty: those that torchvision tells.
    """

    name: str
    reader: str
    parts: dict[str, _Part]
    classes: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """A file below the data root that shows that torchvision's layout is there."""
        return self.parts["train"].file

    def is_in(self, root: Path) -> bool:
        """Say whether the data root has this dataset in torchvision's layout."""
        return (root / self.marker).is_file()

    def load(self, root: Path) -> Dataset:
        """Read the training images, and on first use the other splits whose files are there.

        Raises:
            DatasetError: If the files are damaged.
        """
        from torchvision import datasets

        from dcgan_analysis.data.dataset import Dataset

        reader = getattr(datasets, self.reader)

        def read(split: str, progress: Progress | None = None) -> DatasetSplit:
            part = self.parts[split]
            try:
                source = reader(str(root), **part.arguments, download=False)
            except _FAILURES as error:
                msg = (
                    f"{self.reader} {split} in {root} ({part.file}) cannot be read: "
                    f"{_one_line(error)} Remove its files to have them downloaded again."
                )
                raise DatasetError(msg) from error
            return _as_split(source, split, self.classes, f"{root.name}/{part.file}")

        train = read("train")
        others = [name for name in self.parts if (root / self.parts[name].file).is_file()]
        return Dataset(
            self.name,
            {name: partial(read, name) for name in others} | {"train": lambda _: train},
            classes=train.classes,
            note=f"As published, read by torchvision.datasets.{self.reader}.",
        )

    def download(self, root: Path) -> None:
        """Fetch what is not there yet, with a progress bar where stderr is a terminal.

        Raises:
            DatasetError: If that fails.
        """
        from torchvision import datasets

        reader = getattr(datasets, self.reader)
        try:
            with _download_manners():
                for part in self.parts.values():
                    if part.download:
                        reader(str(root), **part.arguments, download=True)
        except _FAILURES as error:
            msg = f"Downloading {self.reader} failed: {_one_line(error)}"
            raise DatasetError(msg) from error


@contextlib.contextmanager
def _download_manners() -> Iterator[None]:
    """Keep stdout clean, show the bar on terminals only, and give up on silent servers."""
    import socket

    shown = sys.stderr if sys.stderr.isatty() else io.StringIO()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."


def _as_split(source: Any, split: str, classes: tuple[str, ...], where: str) -> DatasetSplit:
    """Bring what torchvision's classes hold, each in its own way, into one form."""
    import numpy as np

    from dcgan_analysis.data.dataset import DatasetSplit

    images: NDArray[np.uint8] = np.asarray(source.data)
    if images.ndim == 3:  # MNIST and its kin: (N, H, W)
        images = images[:, None]
    elif images.shape[-1] == 3:  # CIFAR: (N, H, W, C)
        images = images.transpose(0, 3, 1, 2)
    targets = source.targets if hasattr(source, "targets") else source.labels
    labels = None if split == "unlabeled" else np.asarray(targets, np.int64)
    return DatasetSplit(
        images=np.ascontiguousarray(images),
        labels=labels,
        ids=[f"{split}/{i:06d}" for i in range(len(images))],
        classes=list(classes or source.classes),
        source=where,
    )


def _mnist(name: str, reader: str, classes: tuple[str, ...] = ()) -> TorchvisionSet:
    raw = f"{reader}/raw"
    parts = {
        "train": _Part(f"{raw}/train-images-idx3-ubyte", {"train": True}),
        "test": _Part(f"{raw}/t10k-images-idx3-ubyte", {"train": False}),
    }
    return TorchvisionSet(name, reader, parts, classes)


def _cifar(name: str, reader: str, folder: str, train: str, test: str) -> TorchvisionSet:
    parts = {
        "train": _Part(f"{folder}/{train}", {"train": True}),
        "test": _Part(f"{folder}/{test}", {"train": False}),
    }
    return TorchvisionSet(name, reader, parts)


def _svhn() -> TorchvisionSet:
    # 'extra' is 1.3 GB: read where it lies, never fetched unasked.
    parts = {
        split: _Part(f"{split}_32x32.mat", {"split": split}, download=split != "extra")
        for split in ("train", "test", "extra")
    }
    return TorchvisionSet("svhn", "SVHN", parts, _DIGITS)


def _stl10() -> TorchvisionSet:
    parts = {split: _Part(f"stl10_binary/{split}_X.bin", {"split": split}) for split in ("train", "test", "unlabeled")}
    return TorchvisionSet("stl10", "STL10", parts)


TORCHVISION_SETS = {
    known.name: known
    for known in (
        _cifar("cifar10", "CIFAR10", "cifar-10-batches-py", "data_batch_1", "test_batch"),
        _cifar("cifar100", "CIFAR100", "cifar-100-python", "train", "test"),
        _svhn(),
        _stl10(),
        # torchvision calls MNIST's classes "0 - zero" and so on.
        _mnist("mnist", "MNIST", _DIGITS),
        _mnist("fashion-mnist", "FashionMNIST"),
        _mnist("kmnist", "KMNIST"),
    )
}
"""All of them by registered name."""
