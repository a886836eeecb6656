"""Lines over a grid of settings: accuracy against C, and the value that was chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dcgan_analysis.core.text import number, percent
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures.style import GRID, MUTED, PALETTE, PUBLISHED, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# Width of a letter of a tick's label, and the least distance of two labels, as shares of the axis.
_LETTER, _GAP = 0.0097, 0.015


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        x: Settings, numbers (M,), in any order.
        y: One value per setting (M,); fractions where the axis is in percent.
        low: Lower ends of the intervals (M,), or None.
        high: Upper ends of the intervals (M,), or None.
        chosen: The setting that was chosen, one of ``x``; it gets a ring and its value.
        line: Whether the points are joined.
    """

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    chosen: float | None = None
    line: bool = True


def curve(
    series: Mapping[str, Series],
    *,
    x_label: str = "C",
    y_label: str = "validation accuracy",
    log_x: bool = True,
    fractions: bool = True,
    published: Mapping[str, float] | None = None,
) -> Figure:
    """Draw named lines over a setting.

    Args:
        series: Name -> line; the first has the accent colour, the second is grey, as its control.
        x_label: What the settings are, with their unit.
        y_label: What was measured.
        log_x: Whether the settings are spaced by factors (they must then be positive).
        fractions: Whether the values are fractions, shown as percent.
        published: Name -> value of dashed horizontal lines to compare with.

    Raises:
        AnalysisError: If a line's parts differ in length, or its chosen setting is none of its own.

    Example:
        >>> figure = curve({"learned": Series([0.01, 0.1, 1], [0.6, 0.7, 0.65], chosen=0.1)})
    """
    with styled():
        figure = new_figure(6.6, 3.8)
        axes = figure.add_subplot()
        if log_x:
            axes.set_xscale("log")
        labels = []
        for position, (name, line) in enumerate(series.items()):
            _check(name, line)
            label = _draw_line(axes, name, line, PALETTE[position % len(PALETTE)], x_label, fractions=fractions)
            labels += [] if label is None else [label]
        for name, value in (published or {}).items():
            axes.axhline(value, color=PUBLISHED, linewidth=1.2, linestyle=(0, (4, 3)), label=name)
        _dress(axes, series, log_x=log_x, fractions=fractions)
        axes.set(xlabel=x_label, ylabel=y_label)
        entries = len(series) + len(published or {})
        if entries > 1:
            figure.legend(loc="outside upper left", ncols=min(entries, 4), handlelength=1.6)
        if len(labels) > 1:
            _part_labels(figure, labels)
    return figure


def cumulative(values: Mapping[str, np.ndarray], *, x_label: str, y_label: str = "share of images") -> Figure:
    """Draw which share of named values lies below each value: cumulative distributions, one line each.

    Args:
        values: Name -> values of any number, at least one; the second name is the first one's control.
        x_label: What the values are, with their unit.
        y_label: What shares are counted of.

    Example:
        >>> figure = cumulative({"samples": np.arange(5), "real": np.arange(9)}, x_label="distance")
    """
    shares = np.linspace(0, 1, 51)
    series = {name: Series(np.quantile(sample, shares).tolist(), shares.tolist()) for name, sample in values.items()}
    return curve(series, x_label=x_label, y_label=y_label, log_x=False)


def _check(name: str, line: Series) -> None:
    lengths = {len(part) for part in (line.x, line.y, line.low, line.high) if part is not None}
    if len(lengths) != 1 or (line.low is None) != (line.high is None):
        msg = f"Line '{name}': x, y, low and high have one length; low and high come together."
        raise AnalysisError(msg)
    if line.chosen is not None and line.chosen not in line.x:
        msg = f"Line '{name}': the chosen setting {line.chosen} is not among {list(line.x)}."
        raise AnalysisError(msg)


def _draw_line(axes: Axes, name: str, line: Series, colour: str, x_label: str, *, fractions: bool) -> Annotation | None:
    """Draw a line; return the label of its chosen setting, if it has one."""
    order = np.argsort(line.x)
    x, y = np.asarray(line.x)[order], np.asarray(line.y)[order]
    if line.low is not None and line.high is not None:
        low, high = np.asarray(line.low)[order], np.asarray(line.high)[order]
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.plot(x, y, color=colour, linestyle="-" if line.line else "none", marker="o", markersize=3.6, label=name)
    if line.chosen is None:
        return None
    at = int(np.flatnonzero(x == line.chosen)[0])
    axes.plot(
        x[at],
        y[at],
        "o",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor=colour,
        markeredgewidth=1.6,
    )
    value = percent(float(y[at]), 1) if fractions else number(float(y[at]))
    text = f"{x_label} = {number(line.chosen)}: {value}"
    # The label sits above its ring, below it where the line comes down to it; towards the middle of the axis, so that
    # it is never cut off; on white, as other lines may pass behind it.
    below = y[at] == y.min() and y[at] < y.max()
    side = "left" if at == 0 else "right" if at == len(x) - 1 else "center"
    shift = {"left": -6, "right": 6, "center": 0}[side]
    return axes.annotate(
        text,
        (x[at], y[at]),
        (shift, -9 if below else 9),
        textcoords="offset points",
        ha=side,
        va="top" if below else "baseline",
        size=8.5,
        color=colour,
        weight="bold",
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )


def _part_labels(figure: Figure, labels: Sequence[Annotation]) -> None:
    """Put a label that would cover an earlier one below its ring."""
    figure.draw_without_rendering()
    placed: list[Bbox] = []
    for text in labels:
        if any(text.get_window_extent().overlaps(other) for other in placed):
            text.xyann = (text.xyann[0], -9)
            text.set_verticalalignment("top")
        placed.append(text.get_window_extent())


def _tick_labels(settings: Sequence[float]) -> list[str]:
    """Name settings, ascending, on a logarithmic axis; one that would run into the name before it gets none.

    Example:
        >>> _tick_labels([1000, 50_000, 100_000, 10_000_000])
        ['1,000', '50,000', '', '10,000,000']
    """
    span = math.log10(settings[-1] / settings[0]) or 1.0
    labels: list[str] = []
    last_place, last_text = -math.inf, ""
    for value in settings:
        text = f"{value:,.0f}" if value >= 1000 and float(value).is_integer() else f"{value:g}"
        place = math.log10(value) / span
        fits = place - last_place >= (len(last_text) + len(text)) / 2 * _LETTER + _GAP
        labels.append(text if fits else "")
        if fits:
            last_place, last_text = place, text
    return labels


def _dress(axes: Axes, series: Mapping[str, Series], *, log_x: bool, fractions: bool) -> None:
    settings = sorted({value for line in series.values() for value in line.x})
    if log_x and not all(line.line for line in series.values()):
        # Points lie anywhere: round numbers between them, not each one's own.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    elif log_x and 1 <= len(settings) <= 12:
        axes.set_xticks(settings, _tick_labels(settings))
        axes.xaxis.set_minor_locator(NullLocator())
    elif log_x:
        axes.xaxis.set_major_locator(LogLocator())
    elif all(float(value).is_integer() for value in settings):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if fractions:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.margins(x=0.05, y=0.16)
    bottom, top = axes.get_ylim()
    if (
        fractions
        and bottom < 0
        and all(value >= 0 for line in series.values() for value in (*line.y, *(line.low or ())))
    ):
        # There are no shares below none; markers at zero stay whole.
        axes.set_ylim(-0.04 * top, top)
    axes.grid(axis="y", color=GRID)
    axes.spines["left"].set_visible(False)
    axes.tick_params(colors=MUTED)
