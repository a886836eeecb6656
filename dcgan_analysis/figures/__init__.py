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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
