"""One encoded image to pixels of 8 bits, the right way up, without transparency.

Several threads may decode at a time: Pillow lets go of the interpreter while it does.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_analysis.data.files.pictures import PictureError, most_pixels, open_picture, orientation_of, upright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_MOST_THREADS = 16
_GRAY = frozenset({"1", "L", "LA", "La"})
_COLOUR = frozenset({"RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV"})
_DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

WHITE = (255, 255, 255)
"""What transparent pixels are composed on, unless asked otherwise."""


@dataclass(frozen=True)
class Decoding:
    """How images are decoded.

    Attributes:
        size: None: as large as they are. Otherwise the shorter side becomes ``size`` pixels (bilinear, antialiased) and
            the centre square is cut out, as the paper did with ImageNet (arXiv 1511.06434, section 4.3).
        background: Red, green and blue, 0 to 255, of what transparent pixels are composed on.
        value_range: Which values become 0 and 255 in images of more than 8 bits per channel; None: those are refused.
    """

    size: int | None = None
    background: tuple[int, int, int] = WHITE
    value_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class DecodedImage:
    """The pixels of one image.

    Attributes:
        pixels: uint8 (3, H, W).
        gray: Whether the image was gray.
        remarks: What was left out or changed: ``"cut to their first frame"``.
    """

    pixels: NDArray[np.uint8]
    gray: bool
    remarks: tuple[str, ...] = ()


def worker_threads() -> int:
    """Return how many threads decode at a time."""
    # The cores this process may use: under taskset or in a container fewer than the machine has.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 1, _MOST_THREADS)


class Room:
    """Bounds what all threads hold at a time; one thing of any size always has room.

    Args:
        capacity: Returns how much may be held.
    """

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self._in_use = 0
        self._changed = threading.Condition()

    @contextmanager
    def of(self, amount: int) -> Iterator[None]:
        """Wait until there is room for so much, and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_use or self._in_use + amount <= self._capacity())
            self._in_use += amount
        try:
            yield
        finally:
            with self._changed:
                self._in_use -= amount
                self._changed.notify_all()


_PIXELS = Room(most_pixels)


def decode_image(data: bytes, what: str, decoding: Decoding | None = None) -> DecodedImage:
    """Decode one file.

    It is turned as its EXIF orientation says. Of several frames or pages the first is taken. Transparent pixels are
    composed on ``decoding.background``. Colours are converted by Pillow's formulas; colour profiles are not applied.

    Args:
        data: Its bytes, in one of ``pictures.FORMATS``.
        what: What to call it in messages: ``"'1.png' in photos.zip"``.
        decoding: How; by default as large as it is, on white.

    Raises:
        PictureError: If it is damaged, no picture, too large, or has more than 8 bits per channel and
            ``decoding.value_range`` is None.
    """
    decoding = decoding or Decoding()
    with open_picture(data, what) as image, _PIXELS.of(image.width * image.height):
        remarks = []
        # A photo of two lenses or a preview beside it (MPO) is not an animation. Frames are not counted: to count those
        # of a TIFF takes time in their square.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            remarks.append("cut to their first frame")
        image.load()
        orientation = orientation_of(image)
        plain: Image.Image = image
        if image.mode in _DEEP:
            plain = _eight_bits(image, what, decoding.value_range)
        elif image.mode not in _GRAY | _COLOUR:
            raise PictureError(what, f"colours of mode {image.mode}", remedy="Convert it to PNG in RGB or gray.")
        gray = plain.mode in _GRAY
        if plain.has_transparency_data:
            plain, transparent = _composed(plain, decoding.background)
            if transparent:
                remarks.append("with transparency, composed on RGB {:d} {:d} {:d}".format(*decoding.background))
                gray = gray and len(set(decoding.background)) == 1
        plain = upright(plain if plain.mode == "RGB" else plain.convert("RGB"), orientation)
        if decoding.size is not None:
            plain = _centre_square(plain, decoding.size)
        return DecodedImage(np.asarray(plain).transpose(2, 0, 1), gray, tuple(remarks))


def _eight_bits(image: Image.Image, what: str, value_range: tuple[float, float] | None) -> Image.Image:
    values = np.asarray(image)
    depth = "floating-point values" if values.dtype.kind == "f" else f"{8 * values.dtype.itemsize} bits per channel"
    if not np.isfinite(values).all():
        raise PictureError(what, "values that are not finite")
    if value_range is None:
        raise PictureError(
            what,
            depth,
            detail=f"values {values.min():g} to {values.max():g}",
            remedy="Say which are black and white: the range of dcgan-analyze prepare",
        )
    black, white = value_range
    scaled = (values.astype(np.float64) - black) * (255 / (white - black))
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


def _composed(image: Image.Image, background: tuple[int, int, int]) -> tuple[Image.Image, bool]:
    """Return the picture on a background, and whether any pixel let it through."""
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert("RGB"), False
    canvas = Image.new("RGB", rgba.size, background)
    canvas.paste(rgba, mask=alpha)
    return canvas, True


def _centre_square(image: Image.Image, size: int) -> Image.Image:
    scale = size / min(image.size)
    # At least `size`: rounding must not leave an edge uncovered.
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    if width * height > most_pixels():
        # A line of a million pixels would become a picture of gigabytes: what the crop leaves over is not computed.
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size, top + size))
