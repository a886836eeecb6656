"""Runs side by side as one HTML file: their numbers with intervals, what differs between them, figure beside figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.report.compare import differences_table
from dcgan_analysis.report.format import label, metric_interval, metric_value
from dcgan_analysis.report.html import Bar, Card, bar_of, headline_card, make_environment
from dcgan_analysis.report.pictures import Picture, picture_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcgan_analysis.api.result import Metric, Result, Table


@dataclass(frozen=True)
class Number:
    """A metric of one run, ready to stand in a cell."""

    value: str
    interval: str
    bar: Bar | None


@dataclass(frozen=True)
class Row:
    """A metric of all runs; None where a run has not measured it."""

    name: str
    headline: bool
    numbers: list[Number | None]


@dataclass(frozen=True)
class FigureRow:
    """Figures of the same name, one of each run that has it; each is titled with its run."""

    title: str
    pictures: list[Picture]


def render_comparison(results: Sequence[Result], names: Sequence[str], paired: Table) -> str:
    """Render the page.

    Args:
        results: Two runs or more, with their folders.
        names: What to call them.
        paired: Whether the first beats each other one, from :func:`~dcgan_analysis.report.paired.paired_table`.

    Returns:
        The whole page: pictures, style and script inside, nothing fetched.

    Raises:
        AnalysisError: If a figure of a run is absent or not a picture.
    """
    runs = list(zip(names, results, strict=True))
    return (
        make_environment()
        .get_template("comparison.html.j2")
        .render(
            names=names,
            runs=runs,
            smoke=[name for name, result in runs if result.smoke],
            cards=[_card(name, result) for name, result in runs],
            rows=_rows(results),
            paired=paired,
            differences=differences_table(results, names),
            figures=_figures(runs),
        )
    )


def _card(name: str, result: Result) -> Card:
    return headline_card("run", f"{name}: {label(result.headline).lower()}", result.metrics[result.headline])


def _rows(results: Sequence[Result]) -> list[Row]:
    keys = dict.fromkeys(key for result in results for key in result.metrics)
    headlines = {result.headline for result in results}
    return [Row(label(key), key in headlines, [_number(result.metrics.get(key)) for result in results]) for key in keys]


def _number(metric: Metric | None) -> Number | None:
    return None if metric is None else Number(metric_value(metric), metric_interval(metric), bar_of(metric))


def _figures(runs: Sequence[tuple[str, Result]]) -> list[FigureRow]:
    titles = {figure.name: figure.title for _, result in runs for figure in result.figures}
    return [
        FigureRow(
            title,
            [
                picture_of(figure.model_copy(update={"title": name}), result.folder)
                for name, result in runs
                for figure in result.figures
                if figure.name == key and result.folder is not None
            ],
        )
        for key, title in titles.items()
    ]
