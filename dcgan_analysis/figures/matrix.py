"""Confusion matrices, from two classes to a hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures.style import ACCENT, INK, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUES = ["#ffffff", "#cfe3f1", "#5da4d0", ACCENT, "#00466f"]
_NO_IMAGES = "#eef0f2"
_SHADES = LinearSegmentedColormap.from_list("shades", _BLUES).with_extremes(bad=_NO_IMAGES)
_LARGEST_WITH_NUMBERS = 20
_LARGEST_WITH_ROOM = 30
# Shares below this are left blank: a number in every cell would hide the ones that matter.
_FAINT = 0.005


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw which classes are taken for which.

    Args:
        counts: How often true class i (row) was called class j (column), integers >= 0, (K, K).
        classes: Names of the K classes.

    Returns:
        The figure. Each row is divided by its sum, so a cell is a share of the true class; up to 20
        classes carry the share in percent, blank below half a percent. Shades follow the square
        root, so that rare confusions stay visible. A class without images is grey.

    Raises:
        AnalysisError: If the shape is not (K, K) for K names.

    Example:
        >>> figure = confusion_matrix(np.array([[8, 2], [1, 9]]), ["cat", "dog"])
    """
    counts = np.asarray(counts)
    size = len(classes)
    if counts.shape != (size, size):
        expected = (size, size)
        msg = f"A confusion matrix of {size} classes has the shape {expected}, got {counts.shape}."
        raise AnalysisError(msg)
    totals = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    side = _side(size)
    with styled():
        figure = new_figure(side, side)
        axes = figure.add_subplot()
        picture = axes.imshow(shares, cmap=_SHADES, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
        _name_axes(axes, classes)
        if size <= _LARGEST_WITH_NUMBERS:
            _write_shares(axes, shares)
        else:
            ticks = [0, 0.05, 0.2, 0.5, 1]
            bar = figure.colorbar(picture, ax=axes, shrink=0.4, aspect=30, pad=0.02, ticks=ticks)
            bar.ax.set_yticklabels([f"{100 * tick:g} %" for tick in ticks])
            bar.outline.set_edgecolor("none")
    return figure


def _side(size: int) -> float:
    """Return the figure's side in inches: room for numbers, or for names in small letters."""
    if size <= _LARGEST_WITH_NUMBERS:
        return max(3.6, 0.34 * size + 2.2)
    return float(np.clip(0.09 * size + 4.6, 6.5, 11.0))


def _name_axes(axes: Axes, classes: Sequence[str]) -> None:
    size = len(classes)
    letters = 8.5 if size <= _LARGEST_WITH_NUMBERS else max(4.5, 8.5 * _LARGEST_WITH_ROOM / (size + 12))
    axes.set_xticks(range(size), classes, rotation=90 if size > 12 else 45, fontsize=letters)
    if size <= 12:
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), classes, fontsize=letters)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.tick_params(colors=INK, pad=3)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(1, size) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, size) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2 if size <= _LARGEST_WITH_ROOM else 0.3)


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    letters = 8.5 if len(shares) <= 12 else 6.5
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share) and share >= _FAINT:
            ink = "white" if share > 0.25 else INK
            weight = "bold" if row == column else "normal"
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, ha="center", va="center", size=letters, color=ink, weight=weight)
