"""Attribution maps as pictures. Each is scaled by itself: methods and layers differ by orders of magnitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Share of the values that are not cut off: a single pixel must not make all others gray.
_KEPT = 99.5
# Ends of the diverging scale: Okabe and Ito's blue and vermilion, white between them.
_NEGATIVE, _POSITIVE = np.array([0.0, 114.0, 178.0]), np.array([213.0, 94.0, 0.0])


def attribution_picture(
    attribution: NDArray[np.float32], kind: Literal["gradient", "contribution"]
) -> NDArray[np.uint8]:
    """Draw one attribution map.

    Args:
        attribution: (C, H, W); what lies outside the receptive field should be cut away first.
        kind: ``gradient``: each channel around middle gray, as the papers on guided backpropagation show it.
            ``contribution``: the sum over channels, blue for less, white for nothing, orange for more.

    Returns:
        uint8: (C, H, W) for gradients, (3, H, W) for contributions; a map of zeros is gray or white.

    Example:
        >>> attribution_picture(np.array([[[-1.0, 0.0, 1.0]]], np.float32), "gradient").tolist()
        [[[0, 128, 255]]]
    """
    values = attribution.astype(np.float64)
    if kind == "contribution":
        values = values.sum(0, keepdims=True)
    largest = float(np.percentile(np.abs(values), _KEPT)) or float(np.abs(values).max())
    scaled = np.clip(values / largest, -1, 1) if largest > 0 else np.zeros_like(values)
    if kind == "gradient":
        gray: NDArray[np.uint8] = np.round(127.5 + 127.5 * scaled).astype(np.uint8)
        return gray
    ends = np.where(scaled[..., None] < 0, _NEGATIVE, _POSITIVE)
    colours = 255 + np.abs(scaled[..., None]) * (ends - 255)
    picture: NDArray[np.uint8] = np.round(colours[0]).astype(np.uint8).transpose(2, 0, 1)
    return picture
