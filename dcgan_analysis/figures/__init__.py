"""Figures in one style, as :class:`matplotlib.figure.Figure` objects; no pyplot, no global state.

    confusion_matrix   counts (K, K)                    -> shares of each true class
    cumulative         named values                     -> which share lies below each value
    curve, Series      named series over C              -> lines with intervals and the chosen value
    bars               one value per name               -> bars with intervals and published markers
    image_grid         images uint8 (N, C, H, W)        -> rows of images, crisp pixels
    image_panels, Tile rows of tiles by panel           -> pictures of any size beside their control
    save_png           figure                           -> one file, the same bytes every time
    tiled              images uint8 (N, C, H, W)        -> one image (C, H', W') of rows
    save_image         image uint8 (C, H, W)            -> a PNG file, pixel by pixel
    save_gif           frames uint8 (T, C, H, W)        -> an endless animation

Names are resolved on first use: in an analysis write ``from dcgan_analysis import figures`` and
``figures.bars(...)``; matplotlib is then loaded with the first figure and not with the plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.figures.bar_chart import bars
    from dcgan_analysis.figures.grid import image_grid
    from dcgan_analysis.figures.line_chart import Series, cumulative, curve
    from dcgan_analysis.figures.matrix import confusion_matrix
    from dcgan_analysis.figures.panels import Tile, image_panels
    from dcgan_analysis.figures.pixels import save_gif, save_image, tiled
    from dcgan_analysis.figures.style import save_png

__all__ = [
    "Series",
    "Tile",
    "bars",
    "confusion_matrix",
    "cumulative",
    "curve",
    "image_grid",
    "image_panels",
    "save_gif",
    "save_image",
    "save_png",
    "tiled",
]

_HOME = {
    "Series": "line_chart",
    "Tile": "panels",
    "bars": "bar_chart",
    "confusion_matrix": "matrix",
    "cumulative": "line_chart",
    "curve": "line_chart",
    "image_grid": "grid",
    "image_panels": "panels",
    "save_gif": "pixels",
    "save_image": "pixels",
    "save_png": "style",
    "tiled": "pixels",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module '{__name__}' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
