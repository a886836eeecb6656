"""Parts of images for figures: boxes drawn in, pieces cut out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["cut_out", "framed"]

_LINE = 2  # pixels of the enlarged image
Box = tuple[float, float, float, float]


def framed(
    image: NDArray[np.uint8], boxes: Sequence[Box], *, scale: int = 3, colour: str = "#ff1fd1"
) -> NDArray[np.uint8]:
    """Return an image enlarged by ``scale`` in colour, with boxes (x, y, width, height in its pixels) drawn in.

    Example:
        >>> framed(np.zeros((1, 8, 8), np.uint8), [(1, 1, 4, 4)]).shape
        (3, 24, 24)
    """
    large = image.repeat(scale, axis=1).repeat(scale, axis=2)
    large = np.repeat(large, 3 // len(large), axis=0)
    ink = np.round(255 * np.asarray(to_rgb(colour))).astype(np.uint8)[:, None]
    height, width = large.shape[1:]
    for x, y, w, h in boxes:
        left, top = (min(round(scale * at), side - 1) for at, side in ((x, width), (y, height)))
        right, bottom = min(round(scale * (x + w)), width) - 1, min(round(scale * (y + h)), height) - 1
        for edge in range(_LINE):
            rows, columns = (top + edge, bottom - edge), (left + edge, right - edge)
            large[:, rows, left : right + 1] = ink[:, :, None]
            large[:, top : bottom + 1, columns] = ink[:, :, None]
    return large


def cut_out(image: NDArray[np.uint8], box: Box, *, margin: float = 0.5, size: int = 48) -> NDArray[np.uint8]:
    """Return the square around a box, enlarged or reduced to ``size`` pixels without smoothing.

    Args:
        image: uint8 (C, H, W).
        box: (x, y, width, height) in pixels.
        margin: How much more than the box's longer side is shown, as a share of it.
        size: Height and width of the result.

    Example:
        >>> cut_out(np.zeros((3, 32, 32), np.uint8), (4, 4, 8, 6), size=20).shape
        (3, 20, 20)
    """
    x, y, w, h = box
    height, width = image.shape[1:]
    side = min(max(w, h) * (1 + margin), height, width)
    left, top = (
        float(np.clip(at + length / 2 - side / 2, 0, whole - side))
        for at, length, whole in ((x, w, width), (y, h, height))
    )
    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    region = picture.resize((size, size), Image.Resampling.NEAREST, box=(left, top, left + side, top + side))
    pixels = np.asarray(region)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
