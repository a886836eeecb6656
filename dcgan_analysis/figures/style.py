"""The one style of all figures: colours, type, sizes, and how a figure becomes a file."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from dcgan_analysis.core.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes

DPI = 160
"""Dots per inch of saved figures: sharp on screens with two dots per CSS pixel, small on disk."""

INK, MUTED, GRID = "#1f2933", "#66727f", "#e4e8ec"
ACCENT, PUBLISHED = "#0072b2", "#d55e00"
PALETTE = (ACCENT, "#8a95a1", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, told apart with common colour blindness, and a grey for controls."""

_RULES: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters everywhere
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#b8c1ca",
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,  # names of classes and plugins are no formulas
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style inside the block; the user's matplotlib settings neither enter nor change."""
    with matplotlib.style.context(["default", _RULES]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure on the Agg canvas.

    Args:
        width: Inches; 6.6 is one column of the report, 13 its full width.
        height: Inches.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def page_figure(page: np.ndarray) -> tuple[Figure, Axes]:
    """Make a figure that shows uint8 (H, W, 3) dot for dot; its axes count in dots from the top left."""
    # A hundredth of a dot more: matplotlib rounds the size in dots down.
    figure = new_figure((page.shape[1] + 0.01) / DPI, (page.shape[0] + 0.01) / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    # One dot of the page is one dot of the file: nothing is resampled.
    axes.imshow(page, interpolation="none", aspect="auto", extent=(0, page.shape[1], page.shape[0], 0))
    return figure, axes


def save_png(figure: Figure, path: Path, dpi: int = DPI) -> Path:
    """Write a figure as a PNG file, whole or not at all; the same figure gives the same bytes.

    Args:
        figure: What to write.
        path: Where; missing folders are made.
        dpi: Dots per inch; :func:`image_grid` lays its pixels out for the default.

    Returns:
        ``path``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> target = Path(tempfile.mkdtemp()) / "empty.png"
        >>> save_png(new_figure(1, 1), target).name
        'empty.png'
    """
    drawn = io.BytesIO()
    with styled():
        figure.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs={"compress_level": 0})
    drawn.seek(0)
    # Figures are opaque: without the alpha channel they are smaller. Pillow's optimize would save at most 5 % more and
    # take up to eight times as long.
    with Image.open(drawn) as image, atomic_path(path) as temporary:
        image.convert("RGB").save(temporary, format="PNG")
    return path
