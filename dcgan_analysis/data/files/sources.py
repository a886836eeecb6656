"""Datasets by name or path: what is built in, what plugins add, what lies in the data root, torchvision's download."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.core.files import exists
from dcgan_analysis.core.folders import data_folder, expanded
from dcgan_analysis.core.registry import Registry, call_registered
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.errors import DatasetError, UnknownNameError, unknown_name

if TYPE_CHECKING:
    from dcgan_analysis.data.dataset import Dataset, Progress

# Made by scripts/make_cifar10_mini.py.
_EMBEDDED = Path(__file__).parents[1] / "embedded"


def _digits(root: Path, download: bool) -> Dataset:
    from dcgan_analysis.data.digits import load_digits

    return load_digits()


def _cifar10_mini(root: Path, download: bool) -> Dataset:
    from dcgan_analysis.data.files.image_sets import load_images

    return load_images(_EMBEDDED / "cifar10-mini.zip")


def builtin_datasets() -> list[DatasetEntry]:
    """Return the datasets that the framework knows by itself."""
    summaries = {
        "cifar10": "60,000 photos of 10 classes, 32x32 colour (Krizhevsky 2009)",
        "cifar100": "60,000 photos of 100 classes, 32x32 colour (Krizhevsky 2009)",
        "svhn": "house-number digits cut from street photos, 32x32 colour (Netzer et al. 2011)",
        "stl10": "13,000 labelled and 100,000 unlabelled photos, 96x96 colour (Coates et al. 2011)",
        "mnist": "70,000 handwritten digits, 28x28 gray (LeCun et al. 1998)",
        "fashion-mnist": "70,000 pieces of clothing, 28x28 gray (Xiao et al. 2017)",
        "kmnist": "70,000 cursive Japanese characters, 28x28 gray (Clanuwat et al. 2018)",
        "faces64": "aligned faces with 40 attributes, 64x64 colour",
        "bedrooms64": "photos of bedrooms, 64x64 colour",
    }
    digits = "1,797 handwritten digits, 32x32 colour (Alpaydin and Kaynak 1998)"
    photos = "3,000 photos of CIFAR-10, 2,000 to train on and 1,000 to test, 32x32 colour"
    return [
        DatasetEntry("digits", digits, _digits, _embedded),
        DatasetEntry("cifar10-mini", photos, _cifar10_mini, _embedded),
        *(DatasetEntry(name, text, partial(_find, name), partial(_state, name)) for name, text in summaries.items()),
    ]


def builtin_registry() -> Registry[DatasetEntry]:
    """Return a new registry that holds the built-in datasets."""
    registry = Registry[DatasetEntry]("dataset")
    for entry in builtin_datasets():
        registry.add(entry.name, entry, owner="dcgan-analysis")
    return registry


def _is_path(text: str | Path) -> bool:
    return isinstance(text, Path) or text.endswith((".zip", ".tar")) or bool({"/", os.sep} & set(text))


def load_dataset(
    name_or_path: str | Path,
    *,
    data_root: str | Path | None = None,
    registry: Registry[DatasetEntry] | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a dataset by name, or from a path to files of images: a folder, a zip, tar shards, an LMDB.

    A name is looked up in ``registry``; one that is not there may be ``<name>.zip`` or a folder
    ``<name>`` in the data root. Images are decoded when a split is first used.

    Args:
        name_or_path: A name, or a path: a ``Path``, or a text with a slash or ending in ``.zip`` or
            ``.tar``.
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
        dataset = _load_path(expanded(name_or_path))
    else:
        names = builtin_registry() if registry is None else registry
        dataset = _load_name(str(name_or_path), data_folder(data_root), names, download)
    dataset.progress = progress
    return dataset


def _load_path(path: Path) -> Dataset:
    from dcgan_analysis.data.files.image_sets import load_images

    if not exists(path):
        msg = f"Dataset '{path}' does not exist. Give a name, or a zip or a folder of images."
        raise DatasetError(msg)
    return load_images(path)


def _load_name(name: str, root: Path, registry: Registry[DatasetEntry], download: bool) -> Dataset:
    if name in registry:
        return _load_registered(name, root, registry, download)

    dataset = find_images(name, root)
    if dataset is not None:
        return dataset
    lying_there = {file.stem for file in root.glob("*.zip")}
    error = unknown_name("dataset", name, {*registry.names(), *lying_there}, registry.failed())
    hint = f" For the path write ./{name}." if exists(Path(name)) else ""
    msg = f"{error} Nor is there {files_of(name)} in {root}.{hint}"
    raise UnknownNameError(msg)


def _load_registered(name: str, root: Path, registry: Registry[DatasetEntry], download: bool) -> Dataset:
    from dcgan_analysis.data.dataset import Dataset

    load, failure = registry[name].loader, f"Dataset '{name}' of {registry.owner(name)} could not be loaded"
    return call_registered(lambda: load(root, download), Dataset, DatasetError, failure=failure, name="loader")


def files_of(name: str) -> str:
    """Say in words which files of the data root are taken for a dataset of this name."""
    return f"{name}.zip or a folder {name}/"


def find_images(name: str, root: Path) -> Dataset | None:
    """Load ``<name>.zip`` or the image folder ``<name>`` of the data root, if there is one.

    Raises:
        DatasetError: If there is one but it is damaged.
    """
    from dcgan_analysis.data.files.image_sets import load_images

    for path in (root / f"{name}.zip", root / name):
        if exists(path):
            return load_images(path, name=name)
    return None


def _embedded(root: Path) -> str:
    return "embedded"


def _state(name: str, root: Path) -> str:
    from dcgan_analysis.data.torchvision_sets import TORCHVISION_SETS

    known = TORCHVISION_SETS.get(name)
    if (known is not None and known.is_in(root)) or exists(root / f"{name}.zip") or exists(root / name):
        return "here"
    return "not here, needs files" if known is None else "must be downloaded"


def _find(name: str, root: Path, download: bool) -> Dataset:
    return find_dataset(name, root, download=download)


def find_dataset(name: str, root: Path, *, download: bool) -> Dataset:
    """Load a dataset in torchvision's layout, as image zip or folder, or from the network.

    The order matters where several are there: torchvision's files are the whole official sets,
    while a zip may hold a part.

    Args:
        name: The registered name.
        root: The data root; downloads go there too.
        download: Whether torchvision may download.

    Raises:
        DatasetError: If it is nowhere, in one line: what was looked for, where, and what to do.
    """
    from dcgan_analysis.data.torchvision_sets import TORCHVISION_SETS

    known = TORCHVISION_SETS.get(name)
    if known is not None and known.is_in(root):
        return known.load(root)
    dataset = find_images(name, root)
    if dataset is not None:
        return dataset

    looked_for = files_of(name)
    network = ""
    if known is not None:
        looked_for = f"{known.marker} (torchvision's layout), {looked_for}"
        network = " Downloading was not allowed."
        if download:
            try:
                known.download(root)
                return known.load(root)
            except DatasetError as error:
                network = f" {error}"
    absent = "" if root.is_dir() else " (no such folder)"
    msg = (
        f"Dataset '{name}' is not there: looked in {root}{absent} for {looked_for}.{network} "
        "Offline, put one of these into a folder and name it as the data root or by DCGAN_ANALYSIS_DATA. "
        "digits and cifar10-mini need no files."
    )
    raise DatasetError(msg)
