"""Near-duplicates of a split: which images to leave out of a training, and which of another split are known from it.

The list is JSON: ``leave_out`` names the images that a training should not use, all but the first of each group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.hashing import hash_file
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.curation.copies import measure_hash
from dcgan_analysis.data.curation.hash_groups import moved_groups, near_groups, near_matches
from dcgan_analysis.data.curation.near_duplicates import learn_hash, moves_within
from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import DatasetSplit

FORMAT = "dcgan-analysis duplicates"


@dataclass(frozen=True)
class Leakage:
    """Images of another split that are near-duplicates of one in the first.

    Attributes:
        split: The other images.
        positions: (K,) of these images in it.
        of: (K,) of the nearest image in the first split.
        bits: (K,) in how many bits the hashes differ.
    """

    split: DatasetSplit
    positions: NDArray[np.int64]
    of: NDArray[np.int64]
    bits: NDArray[np.int64]


@dataclass(frozen=True)
class Duplicates:
    """Near-duplicates of a split.

    Attributes:
        groups: Positions of the images of each group of near-duplicates.
        bits: In how many bits the hashes of a group's neighbours may differ.
        measured: Name of a measure -> value, low, high, n.
        split: The images.
        hashes: Their hashes (N, 16).
        settings: How the hash was learned.
        leakage: What another split shares with this one; None: not asked for.
    """

    groups: list[NDArray[np.int64]]
    bits: int
    measured: dict[str, dict[str, float]]
    split: DatasetSplit
    hashes: NDArray[np.uint8]
    settings: dict[str, Any]
    leakage: Leakage | None = None

    @property
    def leave_out(self) -> list[str]:
        """Ids of all images but the first of each group."""
        return [self.split.ids[i] for group in self.groups for i in group[1:].tolist()]

    def document(self, dataset: str, split: str, against: str | None = None) -> dict[str, Any]:
        """Return it as JSON-able values, given the names of dataset, split and other split."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": 1,
            "dataset": dataset,
            "split": split,
            "images": len(self.split),
            "sha256": self.split.sha256,
            "hash": {**self.settings, "bits": self.bits},
            "measured": self.measured,
            "groups": [[self.split.ids[i] for i in group.tolist()] for group in self.groups],
            "leave_out": self.leave_out,
        }
        if self.leakage is not None:
            other = self.leakage.split
            pairs = np.stack([self.leakage.positions, self.leakage.of, self.leakage.bits], axis=1).tolist()
            document["against"] = {
                "split": against,
                "images": len(other),
                "sha256": other.sha256,
                "collisions": [{"id": other.ids[i], "of": self.split.ids[j], "bits": bits} for i, j, bits in pairs],
            }
        return document


def find_duplicates(
    split: DatasetSplit,
    *,
    against: DatasetSplit | None = None,
    bits: int = 0,
    moves: int = 0,
    steps: int = 600,
    seed: int = 0,
    progress: Progress = silent,
) -> Duplicates:
    """Find the near-duplicates of a split.

    Args:
        split: The images.
        against: Other images, of which those are listed that are near-duplicates of one in ``split``.
        bits: In how many of 128 bits the hashes of near-duplicates may differ; 0 as in the paper.
        moves: Images are also compared moved by up to so many pixels, in (2 moves + 1)^2 times the time; 0 as in
            the paper.
        steps: Minibatches that the hash is learned from.
        seed: Of the hash and of the measurement.
        progress: Called as the work goes on.

    Raises:
        DatasetError: If there are fewer than two images.
    """
    hashed = learn_hash(split.images, seed=seed, steps=steps, progress=progress)
    hashes = hashed(split.images, progress)
    moved = moves_within(moves)[1:]
    if moved:
        others = (hashed(split.images, progress, moved=by) for by in moved)
        groups = moved_groups(hashes, others, bits, progress)
    else:
        groups = near_groups(hashes, bits, progress)
    measured = measure_hash(split.images, hashes, hashed, bits, np.random.default_rng(seed), moves)
    leakage = None
    if against is not None:
        matches = [
            near_matches(hashed(against.images, progress, moved=by), hashes, bits, progress)
            for by in moves_within(moves)
        ]
        leakage = Leakage(against, *_nearest(matches))
    settings = {"steps": steps, "seed": seed, "moves": moves}
    return Duplicates(groups, bits, measured, split, hashes, settings, leakage)


def _nearest(
    matches: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each position of several matches the one with the fewest bits; of equals the first."""
    positions, of, bits = (np.concatenate(column) for column in zip(*matches, strict=True))
    order = np.lexsort([bits, positions])  # stable
    _, first = np.unique(positions[order], return_index=True)
    return positions[order][first], of[order][first], bits[order][first]


@dataclass(frozen=True)
class DuplicateList:
    """What a training needs of the file.

    Attributes:
        path: The file.
        file_sha256: Hash of its bytes.
        dataset: The dataset's name then.
        split: The split's name.
        sha256: Content hash of the images that were searched.
        leave_out: Ids of images.
    """

    path: Path
    file_sha256: str
    dataset: str
    split: str
    sha256: str
    leave_out: list[str]

    def kept(self, split: DatasetSplit) -> NDArray[np.int64]:
        """Return the positions of the images that stay.

        Raises:
            DatasetError: If an id is not in the split.
        """
        unknown = sorted(set(self.leave_out) - set(split.ids))
        if unknown:
            msg = (
                f"'{self.path}' leaves out {len(unknown):,} images that {split.source or 'the split'} does not have, "
                f"such as '{unknown[0]}'. Make the list again: dcgan-analyze dedup"
            )
            raise DatasetError(msg)
        left_out = set(self.leave_out)
        return np.array([i for i, name in enumerate(split.ids) if name not in left_out], np.int64)


def read_duplicates(path: Path) -> DuplicateList:
    """Read a file that ``dcgan-analyze dedup`` wrote.

    Raises:
        DatasetError: If it is absent or not such a file.
    """
    try:
        document = parse_json(read_document(path))
        if document["format"] != FORMAT or document["version"] != 1:
            raise KeyError(FORMAT)
        dataset, split, sha256 = (str(document[key]) for key in ("dataset", "split", "sha256"))
        if not all(isinstance(name, str) for name in document["leave_out"]) or isinstance(document["leave_out"], str):
            raise TypeError(FORMAT)
        leave_out: list[str] = document["leave_out"]
        return DuplicateList(path, hash_file(path), dataset, split, sha256, leave_out)
    except OSError as error:
        msg = f"The list of near-duplicates '{path}' cannot be read: {error.strerror}. Make it: dcgan-analyze dedup"
        raise DatasetError(msg) from None
    except (ValueError, KeyError, TypeError):
        msg = f"'{path}' is not a list of near-duplicates, version 1. Make one: dcgan-analyze dedup"
        raise DatasetError(msg) from None
