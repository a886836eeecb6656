"""The one way in which picture files are opened: formats of a fixed list, as large as a limit allows, the right way up.

Pillow knows some forty formats; one of them, EPS, starts a program that interprets the file. The first
bytes of a file decide its format, and only the reader of that format sees it.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from dcgan_analysis.core.content import HEAD_BYTES, describe_content
from dcgan_analysis.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of the formats that are read; PPM stands for PBM, PGM, PNM and PFM as well."""

LIMIT_VARIABLE = "DCGAN_ANALYSIS_MAX_MEGAPIXELS"
"""The environment variable that raises or lowers the limit of a picture's size."""

_MOST_MEGAPIXELS = 80.0
# The longest side that a JPEG can have.
_LONGEST_SIDE = 65_535

# Scans that a JPEG of the largest size may have, smaller ones more: each takes a few bytes of the file, and goes
# through the whole picture.
_MOST_SCANS = 50

_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(DatasetError):
    """A picture cannot be read.

    Args:
        what: The picture: ``"'1.png' in photos.zip"``.
        reason: Why, in a few words that are the same for all pictures of this fault: ``"truncated"``.
        detail: What is special about this picture.
        remedy: What can be done.
    """

    def __init__(
        self, what: str, reason: str, *, detail: str = "", remedy: str = "Replace or remove the file."
    ) -> None:
        more = f", {detail}" if detail else ""
        super().__init__(f"Image {what} cannot be read: {reason}{more}. {remedy}")
        self.reason, self.detail = reason, detail


def most_pixels() -> int:
    """Return how many pixels a picture may have: 80 million, or what DCGAN_ANALYSIS_MAX_MEGAPIXELS says.

    Raises:
        ConfigError: If the variable holds something else than a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(_MOST_MEGAPIXELS)
    with suppress(ValueError):
        megapixels = float(text)
        if 0 < megapixels <= 1e6:
            return round(megapixels * 1e6)
    msg = f"{LIMIT_VARIABLE} must be a number of million pixels above 0, got '{text}'."
    raise ConfigError(msg)


def picture_format(head: bytes) -> str | None:
    """Return which of ``FORMATS`` a file is by its first bytes, or None.

    Example:
        >>> picture_format(b"P5 2 2 255 "), picture_format(b"%!PS-Adobe-3.0 EPSF-3.0")
        ('PPM', None)
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if re.match(rb"P[1-6fF]\s", head):
        return "PPM"
    return None


@contextmanager
def open_picture(source: bytes | Path, what: str) -> Iterator[ImageFile]:
    """Open a picture; its pixels are read when they are first asked for.

    Args:
        source: A file's bytes, or its path.
        what: What to call it in messages.

    Yields:
        Pillow's image. Whatever Pillow raises while it is used becomes a ``PictureError``.

    Raises:
        PictureError: If the file is damaged, of no format of ``FORMATS``, or too large.

    Example:
        >>> with open_picture(b"P5 2 1 255 ab", "'1.pgm'") as image:
        ...     image.size, image.getpixel((0, 0))
        ((2, 1), 97)
    """
    head = source[:HEAD_BYTES] if isinstance(source, bytes) else _head(source, what)
    kind = picture_format(head)
    if kind is None:
        content = describe_content(head)
        formats = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        remedy = f"Convert it to {formats}." if "picture" in content else f"It must be {formats}: replace or remove it."
        raise PictureError(what, content, remedy=remedy)
    _allow(most_pixels())
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=(kind,)) as image:
            check_size(image.size, what)
            if kind == "JPEG" and isinstance(source, bytes):
                _check_scans(source, image.size, what)
            yield image
    except PictureError:
        raise
    except Exception as error:
        # A damaged file makes Pillow raise nearly anything: OSError, SyntaxError, struct.error, KeyError, ...
        text = " ".join(str(error).split())
        if isinstance(error, UnidentifiedImageError):
            text = f"it begins like {kind}, but Pillow cannot read it"
        raise PictureError(what, "truncated" if "truncated" in text else "damaged", detail=text) from error


def check_size(size: tuple[int, int], what: str) -> None:
    """Refuse a picture of more pixels than are allowed.

    Raises:
        PictureError: If ``size`` (width, height) has more.
    """
    width, height = size
    most = most_pixels()
    if width * height > most or max(size) > _LONGEST_SIDE:
        raise PictureError(
            what,
            f"more than {most / 1e6:,g} million pixels, or {_LONGEST_SIDE:,} on a side",
            detail=f"namely {width:,} x {height:,}",
            remedy=f"Make it smaller, or raise the first limit by the environment variable {LIMIT_VARIABLE}.",
        )


def _check_scans(data: bytes, size: tuple[int, int], what: str) -> None:
    scans = data.count(b"\xff\xda")  # within a scan these two bytes never follow each other
    if scans * size[0] * size[1] > _MOST_SCANS * most_pixels():
        reason = "more passes over the picture than cameras and tools write"
        raise PictureError(what, reason, detail=f"{scans:,}", remedy="Save it again, or remove it.")


def _allow(pixels: int) -> None:
    """Lift Pillow's own limit where the user asked for more."""
    if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = pixels


def _head(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise PictureError(what, str(error.strerror)) from error


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture as its camera says (EXIF tag 0x0112, 1 to 8; anything else means upright already)."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 where there is none or it cannot be read."""
    # EXIF data are damaged more often than pixels are; Pillow raises anything then.
    with suppress(Exception):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1
