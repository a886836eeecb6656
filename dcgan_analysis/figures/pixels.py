"""Images as files: one as PNG, pixel by pixel; many as a sheet, or an animated GIF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_analysis.core.files import atomic_path
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from pathlib import Path

_GAP = 2
_BLOCK = 16  # pixels of a JPEG whose colours are halved that are encoded together


def tiled(images: np.ndarray, columns: int, *, gap: int = _GAP) -> np.ndarray:
    """Lay images out in rows on white, without enlarging them.

    Args:
        images: uint8 (N, C, H, W).
        columns: Images in a row.
        gap: White pixels between them.

    Returns:
        One image, uint8 (C, H', W').

    Example:
        >>> tiled(np.zeros((5, 3, 8, 8), np.uint8), columns=3).shape
        (3, 18, 28)
    """
    n, channels, height, width = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    page = np.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 255, np.uint8)
    for position, image in enumerate(images):
        top, left = position // columns * (height + gap), position % columns * (width + gap)
        page[:, top : top + height, left : left + width] = image
    return page


def save_image(image: np.ndarray, path: Path, *, scale: int = 1) -> Path:
    """Write an image as a PNG file, whole or not at all.

    Args:
        image: uint8 (C, H, W), C of 1 or 3.
        path: Where; missing folders are made.
        scale: How many dots wide and high each pixel becomes.

    Returns:
        ``path``.

    Raises:
        AnalysisError: If it is no such image.
    """
    picture = _picture(image, scale)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
    return path


def save_sheet(images: np.ndarray, path: Path, *, largest: int) -> int:
    """Write images close together on one JPEG sheet, nearly square, whole or not at all.

    Sides of the cells are multiples of 16 pixels where the images are enlarged or made smaller by that, so that no
    block of the JPEG holds two images.

    Args:
        images: uint8 (N, C, H, W), C of 1 or 3, N >= 1.
        path: Where; missing folders are made.
        largest: Longest side of a cell, in pixels; larger images are made smaller.

    Returns:
        How many images stand in a row.
    """
    columns = math.isqrt(len(images) - 1) + 1
    side = min(largest, max(images.shape[2:]))
    ratio = side / max(images.shape[2:])
    height, width = (max(1, round(each * ratio / _BLOCK)) * _BLOCK for each in images.shape[2:])
    page = Image.new("RGB", (columns * width, -(-len(images) // columns) * height))
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        cell = _picture(image, 1).resize((width, height), Image.Resampling.BICUBIC)
        page.paste(cell, (column * width, row * height))
    with atomic_path(path) as temporary:
        page.save(temporary, format="JPEG", quality=88)
    return columns


def save_gif(frames: np.ndarray, path: Path, *, milliseconds: int = 80, scale: int = 1) -> Path:
    """Write frames as an endless GIF, whole or not at all.

    Each frame gets the 256 colours that suit it best, without dithering, which would flicker. Frames stand for whole
    hundredths of a second, as the format knows no less.

    Args:
        frames: uint8 (T, C, H, W), T >= 1, C of 1 or 3.
        path: Where; missing folders are made.
        milliseconds: How long each frame stands, at least 20: browsers slow shorter ones down.
        scale: How many dots wide and high each pixel becomes.

    Returns:
        ``path``.

    Raises:
        AnalysisError: If they are no such frames, or the time is too short.
    """
    if frames.ndim != 4 or not len(frames):
        msg = f"An animation takes uint8 frames (T, 1 or 3, H, W), T >= 1, got {frames.dtype} {frames.shape}."
        raise AnalysisError(msg)
    if milliseconds < 20:
        msg = f"A frame of an animation stands for 20 milliseconds or more, got {milliseconds}."
        raise AnalysisError(msg)
    pictures = [
        _picture(frame, scale).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        for frame in frames
    ]
    with atomic_path(path) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0
        )
    return path


def _picture(image: np.ndarray, scale: int) -> Image.Image:
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[0] not in (1, 3) or not image.size:
        msg = f"An image is uint8 (1 or 3, H, W), got {image.dtype} {image.shape}."
        raise AnalysisError(msg)
    if scale < 1:
        msg = f"An image is enlarged by a whole factor of at least 1, got {scale}."
        raise AnalysisError(msg)
    large = image.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
    # Three channels always: the palette of a GIF is made of colours.
    return Image.fromarray(large.repeat(3, axis=2) if large.shape[2] == 1 else large)
