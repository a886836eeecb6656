"""Rows of small pictures in panels side by side: what one network shows beside its control."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures.style import INK, MUTED, PUBLISHED, page_figure, styled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

_GAP, _GROUP_GAP, _PANEL_GAP, _MARGIN, _TITLE = 4, 16, 44, 8, 34  # dots
_FULL_WIDTH = 1700  # dots
_SMALLEST, _LARGEST = 64, 128  # dots, side of a tile
_LETTER, _TITLE_LETTER = 10, 14  # dots, mean width of a letter of the labels and of the titles
_LINE = 3  # dots, thickness of an outline
_PAPER = 0xEE  # behind tiles that do not fill their place


@dataclass(frozen=True)
class Tile:
    """One picture.

    Attributes:
        image: uint8 (C, H, W), C of 1 or 3, of any size.
        box: Rows and columns (top, left, bottom, right) to outline, or None.
    """

    image: np.ndarray
    box: tuple[int, int, int, int] | None = None


def image_panels(
    panels: Mapping[str, Sequence[Sequence[Tile]]],
    *,
    labels: Sequence[str] = (),
    group: int = 1,
) -> Figure:
    """Lay pictures out in rows, one panel beside the other, each picture enlarged by a whole factor without smoothing.

    Args:
        panels: Title -> rows of tiles; each panel has R rows. The largest picture of a row fills its place. A title
            wider than its panel goes on below.
        labels: One for each group of rows, written to their left; or none.
        group: How many successive rows belong together; the last group may be smaller.

    Raises:
        AnalysisError: If panels differ in their number of rows, there is no tile, or one is no image.

    Example:
        >>> image = np.zeros((3, 32, 32), np.uint8)
        >>> rows = [[Tile(image)] * 4, [Tile(image, box=(0, 0, 8, 8))] * 4]
        >>> figure = image_panels({"learned": rows, "random": rows}, labels=["filter 0"], group=2)
    """
    rows = _check(panels, labels, group)
    widths = [max(map(len, panel)) for panel in panels.values()]
    side = _tile_side(panels, sum(widths))
    left = _MARGIN + (max(map(len, labels)) * _LETTER + _MARGIN if labels else 0)
    starts, titles = [], []
    for title, width in zip(panels, widths, strict=True):
        starts.append(left)
        left += width * (side + _GAP) + _PANEL_GAP
        titles.append(textwrap.wrap(title, (left - starts[-1]) // _TITLE_LETTER))
    head = _MARGIN + _TITLE * max(map(len, titles))
    tops = [head + row * (side + _GAP) + row // group * _GROUP_GAP for row in range(rows)]
    page = np.full((tops[-1] + side + _MARGIN, left - _PANEL_GAP + _MARGIN, 3), 255, np.uint8)
    for position, top in enumerate(tops):
        abreast = [panel[position] for panel in panels.values()]
        # One scale for a row: a part cut off by the image's edge looks smaller than its neighbours, as it is.
        scale = max(side // max((max(tile.image.shape[1:]) for row in abreast for tile in row), default=side), 1)
        for start, row in zip(starts, abreast, strict=True):
            for column, tile in enumerate(row):
                x = start + column * (side + _GAP)
                page[top : top + side, x : x + side] = _enlarged(tile, side, scale)
    last = [tops[min(first + group, rows) - 1] for first in range(0, rows, group)]
    middles = [(label, (tops[i * group] + last[i] + side) / 2) for i, label in enumerate(labels)]
    return _draw(page, list(zip(titles, starts, strict=True)), head - 12, middles)


def _check(panels: Mapping[str, Sequence[Sequence[Tile]]], labels: Sequence[str], group: int) -> int:
    counts = {len(panel) for panel in panels.values()}
    if len(counts) != 1 or not all(any(panel) for panel in panels.values()):
        msg = f"Panels must have the same number of rows, at least one, and a tile each, got {sorted(counts)} rows."
        raise AnalysisError(msg)
    rows = counts.pop()
    if labels and len(labels) != -(-rows // group):
        msg = f"{rows} rows in groups of {group} got {len(labels)} labels."
        raise AnalysisError(msg)
    for panel in panels.values():
        for tile in (tile for row in panel for tile in row):
            if tile.image.ndim != 3 or tile.image.dtype != np.uint8 or tile.image.shape[0] not in (1, 3):
                msg = f"A tile takes a uint8 image (1 or 3, H, W), got {tile.image.dtype} {tile.image.shape}."
                raise AnalysisError(msg)
    return rows


def _tile_side(panels: Mapping[str, Sequence[Sequence[Tile]]], columns: int) -> int:
    tiles = [tile for panel in panels.values() for row in panel for tile in row]
    largest = int(max(max(tile.image.shape[1:]) for tile in tiles))
    side = int(np.clip(_FULL_WIDTH // columns - _GAP, _SMALLEST, _LARGEST))
    # A whole multiple of the largest picture, so that this one fills its place.
    return max(round(side / largest), 1) * largest


def _enlarged(tile: Tile, side: int, scale: int) -> np.ndarray:
    place = np.full((side, side, 3), _PAPER, np.uint8)
    height, width = tile.image.shape[1:]
    large = tile.image.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
    if tile.box is not None:
        large = np.broadcast_to(large, (*large.shape[:2], 3)).copy()
        _outline(large, tuple(scale * edge for edge in tile.box))
    top, left = (side - height * scale) // 2, (side - width * scale) // 2
    place[top : top + height * scale, left : left + width * scale] = large
    return place


def _outline(picture: np.ndarray, box: tuple[int, ...]) -> None:
    top, left, bottom, right = box
    ink = np.round(255 * np.asarray(to_rgb(PUBLISHED)))
    # A copy of the inside is put back: boxes smaller than two lines stay visible as a filled square.
    inside = picture[top + _LINE : bottom - _LINE, left + _LINE : right - _LINE].copy()
    picture[top:bottom, left:right] = ink
    if inside.size:
        picture[top + _LINE : bottom - _LINE, left + _LINE : right - _LINE] = inside


def _draw(page: np.ndarray, titles: list[tuple[list[str], int]], base: int, labels: list[tuple[str, float]]) -> Figure:
    with styled():
        figure, axes = page_figure(page)
        for lines, x in titles:
            for up, line in enumerate(reversed(lines)):
                axes.text(x, base - up * _TITLE, line, ha="left", va="baseline", size=9.5, weight="bold", color=INK)
        for label, middle in labels:
            axes.text(_MARGIN, middle, label, ha="left", va="center", size=8, color=MUTED)
    return figure
