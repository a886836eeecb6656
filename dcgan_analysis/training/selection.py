"""The images of a split to train on: the first so many, without listed near-duplicates."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dcgan_analysis.core.hashing import hash_parts
from dcgan_analysis.data.curation.deduplication import read_duplicates
from dcgan_analysis.data.files.checked import CheckedImages
from dcgan_analysis.data.files.rows import Rows
from dcgan_analysis.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.training.config import TrainingConfig


def select_images(config: TrainingConfig, split: DatasetSplit) -> tuple[DatasetSplit, dict[str, Any]]:
    """Return the images to train on, and the metadata on those left out.

    The list may be of the whole split or of the first ``images``.

    Args:
        config: ``images`` and ``leave_out``.
        split: The whole split.

    Returns:
        The images, and ``n``, ``file`` and ``file_sha256``; empty without a list.

    Raises:
        DatasetError: If the list cannot be read, or names an image that the split does not have.
        TrainingError: If it was made of other images, or leaves none.
    """
    first = split
    if config.images is not None and config.images < len(split):
        source = f"{split.source}, first {config.images} of {len(split)}"
        first = split.take(range(config.images), source=source)
    if config.leave_out is None:
        return first, {}
    duplicates = read_duplicates(Path(config.leave_out))
    if duplicates.sha256 != split.sha256 and duplicates.sha256 != first.sha256:
        msg = (
            f"leave_out: '{duplicates.path}' was made of other images ('{duplicates.dataset}', split "
            f"'{duplicates.split}', sha256 {duplicates.sha256[:16]}) than '{config.dataset}', split '{config.split}', "
            f"holds (sha256 {split.sha256[:16]}). Make it anew of these: dcgan-analyze dedup."
        )
        raise TrainingError(msg)
    positions = duplicates.kept(split)
    positions = positions[positions < len(first)]
    left_out = len(first) - len(positions)
    record = {"n": left_out, "file": duplicates.path.name, "file_sha256": duplicates.file_sha256}
    return _without(first, positions, f"{first.source}, {left_out} near-duplicates left out", record), record


def untrained_images(config: TrainingConfig, split: DatasetSplit) -> DatasetSplit | None:
    """Return what ``images`` leaves of a split, to measure the feature accuracy on.

    Args:
        config: ``images`` and ``probe_images``.
        split: The whole split.

    Returns:
        None where that are fewer than ``probe_images``, or not of all classes, as in a split that is in their order.
    """
    if config.images is None or split.labels is None or len(split) - config.images < config.probe_images:
        return None
    if not np.array_equal(np.unique(split.labels[config.images :]), np.unique(split.labels)):
        return None
    return split.take(range(config.images, len(split)))


def _without(split: DatasetSplit, positions: NDArray[np.int64], source: str, record: dict[str, Any]) -> DatasetSplit:
    if not isinstance(split.images, np.memmap | CheckedImages):
        return split.take(positions, source=source)
    # Everything but the images is small; of these no copy is made.
    pixels = np.broadcast_to(np.uint8(0), (len(split), 1, 1, 1))
    small = dataclasses.replace(split, images=pixels, known_sha256=None).take(positions, source=source)
    rows = cast("NDArray[np.uint8]", Rows(split.images, positions))
    # Their content is known by where it comes from: to hash it would mean to read it all.
    content = hash_parts({"images": split.sha256, "leave_out": record["file_sha256"]})
    return dataclasses.replace(small, images=rows, known_sha256=content)
