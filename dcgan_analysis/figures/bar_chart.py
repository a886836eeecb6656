"""Horizontal bars: one value per name, with intervals and markers to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dcgan_analysis.core.text import number, percent
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures.style import ACCENT, GRID, INK, MUTED, PUBLISHED, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = (("D", PUBLISHED, True), ("o", INK, False), ("s", "#009e73", False))
_PALE = "#9cc6e0"


def bars(
    names: Sequence[str],
    values: Sequence[float],
    *,
    low: Sequence[float | None] | None = None,
    high: Sequence[float | None] | None = None,
    markers: Mapping[str, Sequence[float | None]] | None = None,
    highlight: Collection[str] = (),
    baseline: tuple[str, float] | None = None,
    x_label: str = "accuracy",
    fractions: bool = True,
) -> Figure:
    """Draw one horizontal bar per name, in the order given, its value written at the right edge.

    Args:
        names: What each bar is (B,).
        values: Lengths (B,).
        low: Lower ends of the intervals (B,), None for a bar without one; or None.
        high: Upper ends of the intervals (B,), likewise.
        markers: Name -> one value or None per bar: ``{"published": [0.828, None]}``; three at most,
            drawn as a filled orange diamond, an open circle, an open square.
        highlight: Bars in the accent colour; the others are then pale. Empty: none is pale.
        baseline: Name and value of a thin vertical line: ``("chance", 0.1)``.
        x_label: What was measured.
        fractions: Whether the values are fractions, shown as percent.

    Raises:
        AnalysisError: If the parts differ in length, there is no bar, or too many markers.

    Example:
        >>> figure = bars(["all", "conv1"], [0.74, 0.6], low=[0.73, 0.59], high=[0.75, 0.61])
    """
    marks = dict(markers or {})
    if len(marks) > len(_MARKERS):
        msg = f"A bar chart takes {len(_MARKERS)} markers at most, got {', '.join(marks)}."
        raise AnalysisError(msg)
    _check(names, {"values": values, "low": low, "high": high, **marks})
    with styled():
        figure = new_figure(6.6, 0.95 + 0.27 * len(names))
        axes = figure.add_subplot()
        rows = np.arange(len(names))
        colours = [ACCENT if not highlight or name in highlight else _PALE for name in names]
        axes.barh(rows, values, height=0.62, color=colours)
        if low is not None and high is not None:
            _draw_intervals(axes, values, low, high)
        for (mark, colour, filled), (name, places) in zip(_MARKERS, marks.items(), strict=False):
            at = [(place, row) for place, row in zip(places, rows, strict=True) if place is not None]
            face = colour if filled else "white"
            x, y = zip(*at, strict=True) if at else ((), ())
            axes.plot(
                x,
                y,
                mark,
                label=name,
                color=colour,
                markerfacecolor=face,
                markersize=6,
                markeredgewidth=1.4,
            )
        if baseline is not None:
            axes.axvline(baseline[1], color=INK, linewidth=1, linestyle=(0, (3, 3)), label=baseline[0])
        if not any((*values, *(high or ()), *(place or 0 for places in marks.values() for place in places))):
            axes.set_xlim(0, 1)  # nothing to scale by: matplotlib would go below zero
        _dress(axes, names, values, fractions=fractions)
        axes.set_xlabel(x_label)
        if marks or baseline:
            figure.legend(loc="outside upper left", ncols=4, handlelength=1.4)
    return figure


def _check(names: Sequence[str], parts: Mapping[str, Sequence[float | None] | None]) -> None:
    if not names:
        msg = "A bar chart needs at least one bar."
        raise AnalysisError(msg)
    for part, numbers in parts.items():
        if numbers is not None and len(numbers) != len(names):
            msg = f"A bar chart of {len(names)} bars got {len(numbers)} numbers for '{part}'."
            raise AnalysisError(msg)
    if (parts["low"] is None) != (parts["high"] is None):
        msg = "A bar chart takes the lower and the upper ends of intervals together."
        raise AnalysisError(msg)


def _draw_intervals(
    axes: Axes,
    values: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
) -> None:
    for row, (value, start, end) in enumerate(zip(values, low, high, strict=True)):
        if start is not None and end is not None:
            lengths = [[value - start], [end - value]]
            axes.errorbar([value], [row], xerr=lengths, ecolor=INK, elinewidth=1.1, capsize=2.2)


def _dress(axes: Axes, names: Sequence[str], values: Sequence[float], *, fractions: bool) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)  # the first bar on top
    axes.tick_params(axis="y", colors=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    if fractions:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.grid(axis="x", color=GRID)
    axes.spines["bottom"].set_visible(False)
    right = axes.get_yaxis_transform()
    for row, value in enumerate(values):
        text = percent(float(value), 1) if fractions else number(float(value))
        axes.text(1.015, row, text, transform=right, va="center", ha="left", size=8.5, color=MUTED)
