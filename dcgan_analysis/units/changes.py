"""What taking units away, or putting them in, does to samples: numbers to quote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.annotations.cells import cells_inside
from dcgan_analysis.api.result import Metric
from dcgan_analysis.units.detector import removed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["draws_range", "pixel_changes", "removed_metric"]


def pixel_changes(
    before: Tensor,
    after: Tensor,
    boxes: Sequence[Sequence[tuple[float, float, float, float]]],
    image_range: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean change of pixels (N,) inside and outside of boxes, as a fraction of the image range.

    Args:
        before: (N, C, H, W).
        after: (N, C, H, W).
        boxes: The boxes of each sample, in pixels.
        image_range: Least and largest value of a pixel.
    """
    low, high = image_range
    moved = (after - before).abs().mean(dim=1).cpu().numpy() / (high - low)
    size = (before.shape[2], before.shape[3])
    pixels = np.stack([cells_inside(of_sample, size, size) for of_sample in boxes])
    inside, outside = ((moved * part).sum(axis=(1, 2)) / part.sum(axis=(1, 2)).clip(1) for part in (pixels, ~pixels))
    return inside, outside


def removed_metric(
    before: NDArray[np.float64], after: NDArray[np.float64], description: str, *, higher_is_better: bool | None
) -> Metric:
    """Return which share of the object is gone, with the interval of ``detector.removed``.

    Args:
        before: (J, N) share of each sample that shows the object, to each judge.
        after: (J, N) the same with units changed.
        description: One line for the report.
        higher_is_better: Which direction is better; None: neither, as for a control.

    Example:
        >>> removed_metric(np.full((2, 4), 0.5), np.zeros((2, 4)), "gone", higher_is_better=True).interval
        'one-sided 95 % Clopper-Pearson over samples'
    """
    value, low, high = removed(before, after)
    return Metric(
        value=value,
        low=low,
        high=high,
        interval="95 % over judges and samples" if after.any() else "one-sided 95 % Clopper-Pearson over samples",
        n=before.shape[1],
        higher_is_better=higher_is_better,
        description=description,
    )


def draws_range(values: Sequence[float], description: str) -> Metric:
    """Return the mean over draws of other units, with the least and the most of them.

    Example:
        >>> metric = draws_range([0.0, 0.5], "other units")
        >>> metric.value, metric.low, metric.high
        (0.25, 0.0, 0.5)
    """
    return Metric(
        value=sum(values) / len(values),
        low=min(values),
        high=max(values),
        interval="least and most of the draws",
        n=len(values),
        higher_is_better=None,
        description=description,
    )
