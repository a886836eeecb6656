"""Where a named dataset comes from: files in the data root, then torchvision's download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.data.dataset import Dataset

__all__ = ["files_of", "find_dataset", "find_images"]


def files_of(name: str) -> str:
    """Say in words which files of the data root are taken for a dataset of this name."""
    return f"{name}.zip or a folder {name}/"


def find_images(name: str, root: Path) -> Dataset | None:
    """Load ``<name>.zip`` or the image folder ``<name>`` of the data root, if there is one.

    Raises:
        DatasetError: If there is one but it is damaged.
    """
    from dcgan_analysis.data.image_sets import load_images

    for path in (root / f"{name}.zip", root / name):
        if path.exists():
            return load_images(path, name=name)
    return None


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
        "Offline, put one of these into a folder and name it by --data-root or DCGAN_ANALYSIS_DATA."
    )
    raise DatasetError(msg)
