"""How much of each class the samples reach, beside other real images in their place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.core.distributed import divided
from dcgan_analysis.neighbours import coverage
from dcgan_analysis_plugins.mnist_nn.source import take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis_plugins.mnist_nn.source import SampleSource

__all__ = ["ClassCoverage", "class_coverage"]

_NEIGHBOUR = 5


@dataclass(frozen=True)
class ClassCoverage:
    """Coverage class by class.

    Attributes:
        images: Real images of each class, and as many samples.
        samples: (K,) how many of the real images have a sample in their neighbourhood.
        control: (K,) how many have one of as many other real images there.
    """

    images: int
    samples: NDArray[np.int64]
    control: NDArray[np.int64]


def class_coverage(
    source: SampleSource, real: SampleSource, classes: int, images: int, *, k: int = _NEIGHBOUR
) -> ClassCoverage | None:
    """Measure coverage in the space of pixels, each class for itself.

    The first samples of each class are compared with real images, and with the real images that come before those as
    control. So for a source that is ``real`` itself both are the same. Several processes share the classes out.

    Args:
        source: Where samples come from.
        real: A finite source of real images.
        classes: K.
        images: Real images of all classes, at most; of each class as many are taken, and at most half of those that
            the smallest class has.
        k: The neighbourhood of a real image reaches to its k-th nearest other real one.

    Returns:
        What was found; None: there are too few images for neighbourhoods.
    """
    labels = real.labels(np.arange(real.size or 0))
    per_class = min(images // classes, int(np.bincount(labels, minlength=classes).min()) // 2)
    if per_class <= k:
        return None

    def covered(number: int) -> tuple[int, int]:
        members = np.flatnonzero(labels == number)[: 2 * per_class]
        control, reference = _rows(real, members[:per_class]), _rows(real, members[per_class:])
        mine = _rows(source, _first(source, number, per_class, classes))
        return int(coverage(reference, mine, k).sum()), int(coverage(reference, control, k).sum())

    found = np.array(divided([partial(covered, number) for number in range(classes)]), dtype=np.int64)
    return ClassCoverage(per_class, found[:, 0], found[:, 1])


def _first(source: SampleSource, number: int, count: int, classes: int) -> NDArray[np.int64]:
    """Return the indices of the first samples of a class; sources without end take the classes in turn."""
    last = count * classes if source.size is None else source.size
    return np.flatnonzero(source.labels(np.arange(last)) == number)[:count]


def _rows(source: SampleSource, indices: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(take(source, indices)).flatten(1)
