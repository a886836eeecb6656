"""Whether the images that a filter responds to most belong together: the share of their most frequent class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DRAWS = 200


def class_purity(images: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the share of the most frequent class among the strongest images of each filter.

    Args:
        images: Numbers of the images (F, k), as of ``TopResponses.images``.
        labels: Label of every image (N,).
        classes: K.

    Returns:
        Shares (F,), 1/k at least.

    Example:
        >>> class_purity(np.array([[0, 1, 2], [0, 3, 2]]), np.array([4, 4, 0, 1]), 5).round(2).tolist()
        [0.67, 0.33]
    """
    image_labels = labels[images]
    counts = np.stack([(image_labels == label).sum(axis=1) for label in range(classes)], axis=1)
    shares: NDArray[np.float64] = counts.max(axis=1) / images.shape[1]
    return shares


def chance_purity(labels: NDArray[np.int64], classes: int, k: int, rng: np.random.Generator) -> float:
    """Return the mean purity of ``k`` images drawn blindly, over 200 draws."""
    draws = np.stack([rng.permutation(len(labels))[:k] for _ in range(_DRAWS)])
    return float(class_purity(draws, labels, classes).mean())
