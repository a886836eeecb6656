"""Images side by side, every pixel a crisp square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures.style import INK, page_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

_GAP, _BORDER, _LINE = 8, 4, 26  # dots at DPI: between images, border width, one line of title
_FULL_WIDTH = 1400  # dots
_LARGEST_SCALE = 4
_LETTER = 10  # dots, mean width of a letter of the titles


def image_grid(
    images: np.ndarray,
    columns: int,
    *,
    titles: Sequence[str] | None = None,
    borders: Sequence[str | None] | None = None,
    scale: int | None = None,
) -> Figure:
    """Lay images out in rows, enlarged by a whole factor without smoothing.

    Args:
        images: uint8 (N, C, H, W), C of 1 or 3, row after row.
        columns: Images in a row.
        titles: One line above each image (N,), cut to the width of the image, or None.
        borders: A colour (``"#d55e00"``) or None for each image (N,), or None.
        scale: Dots per pixel; None: as large as the report's width allows, 4 at most.

    Returns:
        The figure; saved with the default resolution, each pixel is ``scale`` dots wide and high.

    Raises:
        AnalysisError: If the images are not uint8 (N, 1 or 3, H, W) or the parts differ in length.

    Example:
        >>> figure = image_grid(np.zeros((6, 3, 32, 32), np.uint8), columns=3)
    """
    _check(images, columns, titles, borders)
    height, width = images.shape[2:]
    columns = min(columns, len(images))
    scale = scale or int(np.clip(_FULL_WIDTH // (columns * width), 1, _LARGEST_SCALE))
    line = _LINE if titles is not None else 0
    step_y, step_x = height * scale + _GAP + line, width * scale + _GAP
    rows = -(-len(images) // columns)
    page = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, np.uint8)
    corners = []
    for position, image in enumerate(images):
        top = _GAP + line + position // columns * step_y
        left = _GAP + position % columns * step_x
        corners.append((top, left))
        colour = borders[position] if borders is not None else None
        if colour is not None:
            bottom, right = top + height * scale + _BORDER, left + width * scale + _BORDER
            ink = np.round(255 * np.asarray(to_rgb(colour)))
            page[top - _BORDER : bottom, left - _BORDER : right] = ink
        large = image.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
        page[top : top + height * scale, left : left + width * scale] = large
    return _draw(page, titles, corners, width * scale)


def _check(
    images: np.ndarray,
    columns: int,
    titles: Sequence[str] | None,
    borders: Sequence[str | None] | None,
) -> None:
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] not in (1, 3) or not images.size:
        given_as = f"{images.dtype} {images.shape}"
        msg = f"An image grid takes uint8 images (N, 1 or 3, H, W), N >= 1, got {given_as}."
        raise AnalysisError(msg)
    if columns < 1:
        msg = f"An image grid has at least one column, got {columns}."
        raise AnalysisError(msg)
    for part, values in (("titles", titles), ("borders", borders)):
        if values is not None and len(values) != len(images):
            msg = f"An image grid of {len(images)} images got {len(values)} {part}."
            raise AnalysisError(msg)


def _draw(page: np.ndarray, titles: Sequence[str] | None, corners: list[tuple[int, int]], width: int) -> Figure:
    with styled():
        figure, axes = page_figure(page)
        for title, (top, left) in zip(titles or (), corners, strict=False):
            axes.text(
                left + width / 2,
                top - _GAP,
                _shortened(title, width // _LETTER),
                ha="center",
                va="baseline",
                size=7.5,
                color=INK,
                clip_on=True,
            )
    return figure


def _shortened(title: str, letters: int) -> str:
    if len(title) <= letters:
        return title
    return f"{title[: max(letters - 1, 1)]}\N{HORIZONTAL ELLIPSIS}"
