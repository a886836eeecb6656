"""One encoded image to pixels.

Several threads may decode at a time: Pillow lets go of the interpreter while it does.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decode_image", "worker_threads"]

_MOST_THREADS = 16
_GRAY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr"})


def worker_threads() -> int:
    """Return how many threads decode at a time."""
    # The cores this process may use: under taskset or in a container fewer than the machine has.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 1, _MOST_THREADS)


def decode_image(data: bytes, what: str, *, size: int | None = None) -> tuple[NDArray[np.uint8], bool]:
    """Decode one file.

    Args:
        data: Its bytes, in any format that Pillow reads.
        what: What to call it in messages: ``"'1.png' in photos.zip"``.
        size: None: as it is. Otherwise the shorter side becomes ``size`` pixels (bilinear, antialiased) and the centre
            square is cut out, as the paper did with ImageNet (arXiv 1511.06434, section 4.3).

    Returns:
        uint8 (3, H, W), and whether the image was gray.

    Raises:
        DatasetError: If it is damaged, no image, or has more than 8 bits per channel.
    """
    # Pillow tries some forty formats before WebP; told which it is, it takes half the time.
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",) if webp else None) as image:
            mode = image.mode
            rgb = None
            if mode in _GRAY | _COLOUR:
                colour = image if mode == "RGB" else image.convert("RGB")
                rgb = np.asarray(colour if size is None else _centre_square(colour, size))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow reports damaged files by any of these, depending on the format.
        msg = f"Image {what} cannot be read: {_reason(error)}. Replace or remove the file."
        raise DatasetError(msg) from error
    if rgb is None:
        msg = (
            f"Image {what} has pixels of mode '{mode}', but 8 bits per channel are needed. "
            "Convert it to PNG in RGB or gray."
        )
        raise DatasetError(msg)
    return rgb.transpose(2, 0, 1), mode in _GRAY


def _centre_square(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    scale = size / min(width, height)
    # At least `size`: rounding must not leave an edge uncovered.
    width, height = max(size, round(width * scale)), max(size, round(height * scale))
    left, top = (width - size) // 2, (height - size) // 2
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size, top + size))


def _reason(error: Exception) -> str:
    # This one's text shows the address of our buffer, which tells the user nothing.
    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
