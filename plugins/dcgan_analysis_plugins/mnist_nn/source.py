"""What a source of samples is: sample k of a seed is the same whoever asks for it, and in whatever company.

Samples come in blocks of a fixed size. Random numbers of a block depend on the seed and the block's number alone, and
a block always passes a network as one batch, so neither the number of processes nor a resume nor the number of samples
asked for can change a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLOCK = 500
"""Samples of a block; part of the definition of every sample."""


class SampleSource(Protocol):
    """Labelled images by number.

    Attributes:
        size: How many there are; None: without end.
        identity: Everything the samples depend on, as JSON-able values.
    """

    size: int | None
    identity: dict[str, Any]

    def images(self, number: int) -> NDArray[np.uint8]:
        """Return block ``number``, uint8 (BLOCK, C, H, W); the last one of a finite source may be shorter."""

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of samples by their indices."""


def block_rng(seed: int, number: int) -> np.random.Generator:
    """Return the random generator of a block: counter-based, keyed by seed and block."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(number,))))


def take(source: SampleSource, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return samples by their indices (n,), in that order: uint8 (n, C, H, W). Each block is made once."""
    rows = np.asarray(indices, dtype=np.int64)
    blocks = rows // BLOCK
    found: dict[int, NDArray[np.uint8]] = {}
    for number in np.unique(blocks).tolist():
        positions = np.flatnonzero(blocks == number)
        images = source.images(number)
        found |= dict(zip(positions.tolist(), images[rows[positions] % BLOCK], strict=True))
    return np.stack([found[position] for position in range(len(rows))])


class Remembered:
    """A source that keeps its first blocks once they are made.

    Args:
        source: Any source.
        samples: How many of the first samples to keep, in bytes of memory one for each pixel.
    """

    def __init__(self, source: SampleSource, samples: int) -> None:
        self.size, self.identity = source.size, source.identity
        self._source = source
        self._last = -(-samples // BLOCK)
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def images(self, number: int) -> NDArray[np.uint8]:
        """Return a block, made or remembered."""
        if number in self._kept:
            return self._kept[number]
        images = self._source.images(number)
        if number < self._last:
            self._kept[number] = images
        return images

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of samples."""
        return self._source.labels(indices)
