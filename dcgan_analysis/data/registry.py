"""Datasets by name: what is built in, what plugins add, and what simply lies in the data root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.errors import DatasetError, UnknownNameError, unknown_name
from dcgan_analysis.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.data.dataset import Dataset, Progress

__all__ = ["DatasetEntry", "builtin_datasets", "builtin_registry", "data_folder", "load_dataset"]

_DATA_VARIABLE = "DCGAN_ANALYSIS_DATA"


@dataclass(frozen=True)
class DatasetEntry:
    """How a named dataset is declared; reading it is left to ``loader``.

    Attributes:
        name: Lower-case words joined by hyphens: ``"fashion-mnist"``.
        summary: One line, shown by ``dcgan-analyze list datasets``.
        loader: Given the data root (which need not exist) and whether it may download, returns the
            dataset. Import what is heavy inside it: entries are made whenever the program starts.
    """

    name: str
    summary: str
    loader: Callable[[Path, bool], Dataset]


def _digits(root: Path, download: bool) -> Dataset:
    from dcgan_analysis.data.digits import load_digits

    return load_digits()


def _found(name: str, root: Path, download: bool) -> Dataset:
    from dcgan_analysis.data.sources import find_dataset

    return find_dataset(name, root, download=download)


def builtin_datasets() -> list[DatasetEntry]:
    """Return the datasets that the framework knows by itself."""
    found = {
        "cifar10": "60,000 photos of 10 classes, 32x32 colour (Krizhevsky 2009)",
        "cifar100": "60,000 photos of 100 classes, 32x32 colour (Krizhevsky 2009)",
        "svhn": "house-number digits cut from street photos, 32x32 colour (Netzer et al. 2011)",
        "stl10": "13,000 labelled and 100,000 unlabelled photos, 96x96 colour (Coates et al. 2011)",
        "mnist": "70,000 handwritten digits, 28x28 gray (LeCun et al. 1998)",
        "fashion-mnist": "70,000 pieces of clothing, 28x28 gray (Xiao et al. 2017)",
        "kmnist": "70,000 cursive Japanese characters, 28x28 gray (Clanuwat et al. 2018)",
        "faces64": "aligned faces with 40 attributes, 64x64 colour; from the data root only",
        "bedrooms64": "photos of bedrooms, 64x64 colour; from the data root only",
    }
    digits = "1,797 real handwritten digits, 32x32 colour; comes with the program, needs no files"
    return [
        DatasetEntry("digits", digits, _digits),
        *(DatasetEntry(name, text, partial(_found, name)) for name, text in found.items()),
    ]


def builtin_registry() -> Registry[DatasetEntry]:
    """Return a new registry that holds the built-in datasets."""
    registry = Registry[DatasetEntry]("dataset")
    for entry in builtin_datasets():
        registry.add(entry.name, entry, owner="dcgan-analysis")
    return registry


def data_folder(data_root: Path | None = None) -> Path:
    """Return the data root: the argument, else ``DCGAN_ANALYSIS_DATA``, else the user's folder.

    It need not exist: not every dataset needs files, and a download creates it.
    """
    named = data_root or os.environ.get(_DATA_VARIABLE)
    if not named:
        import platformdirs

        return platformdirs.user_data_path("dcgan-analysis") / "data"
    return Path(named).expanduser()


def cache_folder() -> Path:
    """Return the cache folder: ``DCGAN_ANALYSIS_CACHE``, or the platform's own place for caches."""
    named = os.environ.get("DCGAN_ANALYSIS_CACHE")
    if not named:
        import platformdirs

        return platformdirs.user_cache_path("dcgan-analysis")
    return Path(named)


def _is_path(text: str | Path) -> bool:
    return isinstance(text, Path) or text.endswith(".zip") or bool({"/", os.sep} & set(text))


def load_dataset(
    name_or_path: str | Path,
    *,
    data_root: Path | None = None,
    registry: Registry[DatasetEntry] | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a dataset by name, or from a path to an image zip or an image folder.

    A name is looked up in ``registry``; one that is not there may be ``<name>.zip`` or a folder
    ``<name>`` in the data root. Images are decoded when a split is first used.

    Args:
        name_or_path: A name, or a path: a ``Path``, or a text with a slash or ending in ``.zip``.
        data_root: Where files lie; by default ``DCGAN_ANALYSIS_DATA``, or the user's data folder.
        registry: The names to know; by default the built-in ones.
        download: Whether torchvision may download what is not in the data root.
        progress: Called as ``progress(what, done, total)`` while images are decoded.

    Raises:
        UnknownNameError: If nothing has this name.
        DatasetError: If the dataset is known but its files are absent or damaged.

    Example:
        >>> load_dataset("digits").split_names
        ['train', 'test']
    """
    if _is_path(name_or_path):
        dataset = _load_path(Path(name_or_path).expanduser())
    else:
        names = builtin_registry() if registry is None else registry
        dataset = _load_name(str(name_or_path), data_folder(data_root), names, download)
    dataset.progress = progress
    return dataset


def _load_path(path: Path) -> Dataset:
    from dcgan_analysis.data.image_sets import load_images

    if not path.exists():
        msg = f"Dataset '{path}' does not exist. Give a name, or a zip or a folder of images."
        raise DatasetError(msg)
    return load_images(path)


def _load_name(name: str, root: Path, registry: Registry[DatasetEntry], download: bool) -> Dataset:
    if name in registry:
        return registry[name].loader(root, download)

    from dcgan_analysis.data.sources import files_of, find_images

    dataset = find_images(name, root)
    if dataset is not None:
        return dataset
    lying_there = {file.stem for file in root.glob("*.zip")}
    error = unknown_name("dataset", name, {*registry.names(), *lying_there})
    hint = f" For the path write ./{name}." if Path(name).exists() else ""
    msg = f"{error} Nor is there {files_of(name)} in {root}.{hint}"
    raise UnknownNameError(msg)
