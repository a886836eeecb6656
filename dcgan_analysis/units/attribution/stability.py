"""Whether attributions keep when their images change a little: the changes, and the agreement within what units see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch.nn.functional import pad

from dcgan_analysis.units.attribution.measures import correlations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis.models.receptive import Box


def shifted(images: Tensor, rows: int, columns: int) -> Tensor:
    """Return images (N, C, H, W) moved down and right; the pixels at the edge are repeated.

    Example:
        >>> import torch
        >>> shifted(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 0, 1)
        tensor([[[[1., 1., 2.]]]])
    """
    height, width = images.shape[2:]
    return pad(images, (columns, 0, rows, 0), mode="replicate")[:, :, :height, :width]


def agreement(
    first: NDArray[np.float32], second: NDArray[np.float32], boxes: Sequence[Box], shift: tuple[int, int] = (0, 0)
) -> NDArray[np.float64]:
    """Correlate attributions within what each unit sees.

    Args:
        first: Attributions (N, C, H, W).
        second: Those of changed images.
        boxes: What each unit sees, N.
        shift: Rows and columns by which the images of ``second`` were moved; its attributions are moved back.

    Returns:
        Pearson correlations (N,), NaN where a box is too small to be moved.
    """
    rows, columns = shift
    agreement = []
    for a, b, box in zip(first, second, boxes, strict=True):
        unshifted = a[:, box.top : box.bottom - rows, box.left : box.right - columns]
        shifted = b[:, box.top + rows : box.bottom, box.left + columns : box.right]
        agreement.append(float(correlations(unshifted[None], shifted[None])[0]) if unshifted.size else np.nan)
    return np.array(agreement)
