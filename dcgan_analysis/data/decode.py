"""Encoded image files to one uint8 array, by several threads.

Threads help because Pillow lets go of the interpreter while it decodes.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from dcgan_analysis.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dcgan_analysis.data.dataset import Progress

__all__ = ["decode_image", "decode_images", "worker_threads"]

# Images per task: long enough to hide the cost of a task, short enough for a smooth progress bar.
_CHUNK = 256
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
        msg = (
            f"Image {what} cannot be read: {_reason(error)}. Replace or remove the file, or let "
            "'dcgan-analyze prepare' leave it out."
        )
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


def decode_images(
    names: Sequence[str],
    read: Callable[[str], bytes],
    *,
    where: str,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Decode images of one size in the order of ``names``, whatever the number of threads.

    Args:
        names: N names, at least one.
        read: Gives the encoded bytes of a name; called from several threads.
        where: What holds the images, for messages.
        progress: Called as ``progress(what, done, total)`` while it runs.

    Returns:
        uint8 array (N, C, H, W): one channel where every image is gray, otherwise three (gray
        ones repeated).

    Raises:
        DatasetError: If an image cannot be read or differs in size from the first; the message
            names it.
    """
    first, _ = decode_image(read(names[0]), f"'{names[0]}' in {where}")
    _, height, width = first.shape
    images = np.empty((len(names), 3, height, width), np.uint8)
    gray = np.empty(len(names), bool)

    def decode_chunk(start: int) -> int:
        chunk = names[start : start + _CHUNK]
        for i, name in enumerate(chunk, start):
            pixels, gray[i] = decode_image(read(name), f"'{name}' in {where}")
            if pixels.shape != first.shape:
                msg = (
                    f"Image '{name}' in {where} is {pixels.shape[1]}x{pixels.shape[2]} (height x "
                    f"width), but the first one, '{names[0]}', is {height}x{width}. "
                    "Bring all images to one size first."
                )
                raise DatasetError(msg)
            images[i] = pixels
        return start + len(chunk)

    with ThreadPoolExecutor(worker_threads()) as pool:
        try:
            for done in pool.map(decode_chunk, range(0, len(names), _CHUNK)):
                if progress is not None:
                    progress(f"decode {where}", done, len(names))
        except BaseException:  # Ctrl-C too: what has not begun must not be waited for
            pool.shutdown(cancel_futures=True)
            raise
    return images[:, :1].copy() if gray.all() else images
