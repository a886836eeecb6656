"""Datasets: named splits of images as bytes, found by name or path; splits, draws, preprocessing.

Nothing here imports torch before it is needed, and names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.data.dataset import SPLIT_NAMES, Dataset, DatasetSplit
    from dcgan_analysis.data.image_sets import load_images
    from dcgan_analysis.data.preprocessing import Preprocessing
    from dcgan_analysis.data.registry import (
        DatasetEntry,
        builtin_datasets,
        data_folder,
        load_dataset,
    )
    from dcgan_analysis.data.splits import few_label_draws, holdout, last

__all__ = [
    "SPLIT_NAMES",
    "Dataset",
    "DatasetEntry",
    "DatasetSplit",
    "Preprocessing",
    "builtin_datasets",
    "data_folder",
    "few_label_draws",
    "holdout",
    "last",
    "load_dataset",
    "load_images",
]

_HOMES = {
    "SPLIT_NAMES": "dataset",
    "Dataset": "dataset",
    "DatasetEntry": "registry",
    "DatasetSplit": "dataset",
    "Preprocessing": "preprocessing",
    "builtin_datasets": "registry",
    "data_folder": "registry",
    "few_label_draws": "splits",
    "holdout": "splits",
    "last": "splits",
    "load_dataset": "registry",
    "load_images": "image_sets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
