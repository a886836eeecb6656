"""Properties that are measured on an image itself, without labels and without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def brightness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean pixel of each image, uint8 (N, C, H, W), as a number in [0, 1].

    Example:
        >>> brightness(np.full((1, 3, 2, 2), 255, np.uint8)).tolist()
        [1.0]
    """
    means: NDArray[np.float64] = images.reshape(len(images), -1).mean(axis=1) / 255
    return means


def slant(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how far the bright parts of each image, uint8 (N, C, H, W), lean to the right.

    With pixels as weights: minus the covariance of x and y over the variance of y, which is the shift to the right for
    each row further up; 0 is upright, 1 is 45 degrees. What is as dark as the darkest pixel has no weight; an image of
    one shade has slant 0.

    Example:
        >>> slant(np.fliplr(np.eye(8, dtype=np.uint8) * 255)[None, None]).round(3).tolist()
        [1.0]
    """
    weights = images.astype(np.float64).mean(axis=1)
    weights -= weights.min(axis=(1, 2), keepdims=True)
    total = weights.sum(axis=(1, 2))
    safe = np.where(total > 0, total, 1)
    height, width = weights.shape[1:]
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    mean_y = (weights * y).sum(axis=(1, 2)) / safe
    mean_x = (weights * x).sum(axis=(1, 2)) / safe
    dy, dx = y[None] - mean_y[:, None, None], x[None] - mean_x[:, None, None]
    variance = (weights * dy**2).sum(axis=(1, 2))
    covariance = (weights * dy * dx).sum(axis=(1, 2))
    leaning: NDArray[np.float64] = np.divide(-covariance, variance, out=np.zeros(len(images)), where=variance > 0)
    return leaning


PROPERTIES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float64]]] = {"brightness": brightness, "slant": slant}
"""Name -> measure."""
