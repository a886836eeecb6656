"""Boxes without a hand: the largest patch of one colour in each sample.

A pixel belongs to a colour by its hue, saturation and value (HSV, all in [0, 1]) or, for bright and dark, by its value
alone. The patch is the largest connected set of such pixels (4 neighbours); its bounding box is taken where the patch
covers ``SMALLEST`` to ``LARGEST`` of the image and fills at least ``FILLED`` of the box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RULES", "check_rule", "find_box"]

SMALLEST, LARGEST, FILLED = 0.02, 0.35, 0.5
_SATURATION, _VALUE = 0.5, 0.35
_BRIGHT, _DARK = 0.85, 0.15
# First and last hue, in twelfths of the circle that begins at red; red passes through 0.
_HUES = {"red": (-0.8, 0.8), "yellow": (1.0, 2.5), "green": (2.7, 5.0), "blue": (6.0, 8.5)}
RULES = (*_HUES, "bright", "dark")


def find_box(image: NDArray[np.uint8], rule: str) -> tuple[float, float, float, float] | None:
    """Return the box of the largest patch of a colour, or None where there is none of fitting size.

    Args:
        image: uint8 (C, H, W), C of 1 or 3.
        rule: One of ``RULES``.

    Raises:
        AnnotationError: If there is no such rule.

    Example:
        >>> image = np.zeros((3, 8, 8), np.uint8)
        >>> image[0, 2:4, 3:6] = 255
        >>> find_box(image, "red")
        (3.0, 2.0, 3.0, 2.0)
    """
    from scipy import ndimage

    labels, count = ndimage.label(_mask(image, rule))
    if not count:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    rows, columns = ndimage.find_objects(labels)[int(sizes.argmax())]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    share = sizes.max() / labels.size
    if not SMALLEST <= share <= LARGEST or sizes.max() < FILLED * height * width:
        return None
    return float(columns.start), float(rows.start), float(width), float(height)


def check_rule(rule: str) -> None:
    """Refuse what is none of ``RULES``.

    Raises:
        AnnotationError: Names those that there are.
    """
    if rule not in RULES:
        msg = f"Unknown rule '{rule}'. Available: {', '.join(RULES)}."
        raise AnnotationError(msg)


def _mask(image: NDArray[np.uint8], rule: str) -> NDArray[np.bool_]:
    check_rule(rule)
    pixels = image.astype(np.float64) / 255
    value, low = pixels.max(axis=0), pixels.min(axis=0)
    if rule == "bright":
        return np.asarray(low >= _BRIGHT)
    if rule == "dark":
        return np.asarray(value <= _DARK)
    if len(image) == 1:
        return np.zeros(image.shape[1:], dtype=bool)
    spread = np.maximum(value - low, 1e-9)
    red, green, blue = pixels
    hue = np.select(
        [value == red, value == green], [(green - blue) / spread, 2 + (blue - red) / spread], 4 + (red - green) / spread
    )
    first, last = _HUES[rule]
    # Sixths of the circle became twelfths; a hue just below red counts as negative.
    twelfths = 2 * hue
    twelfths = np.where(twelfths > 11, twelfths - 12, twelfths)
    coloured = (spread >= _SATURATION * np.maximum(value, 1e-9)) & (value >= _VALUE)
    return np.asarray(coloured & (twelfths >= first) & (twelfths <= last))
