"""A result in the terminal: the numbers to quote and where the report is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from dcgan_analysis.api.result import REPORT_FILE
from dcgan_analysis.core.text import count, duration
from dcgan_analysis.report.format import is_number_column, metric_interval, metric_published, metric_value, table_cells

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, JustifyMethod

    from dcgan_analysis.api.result import Result, Table


def print_result(result: Result, folder: Path, console: Console) -> None:
    """Print the metrics of a result and the path of its report.

    Args:
        result: What to show.
        folder: The run folder.
        console: Where to print; standard error for ``--json``.

    Example::

        print_result(result, Path("runs/svm-cifar"), rich.console.Console())
    """
    # Text objects, not strings: names with square brackets are not read as rich's markup.
    console.print(Text(result.title, style="bold"))
    subject = [part.name for part in (result.checkpoint, result.dataset) if part is not None]
    if subject:
        console.print(Text(" on ".join(subject), style="dim"))
    if result.smoke:
        cut = "" if result.limit is None else f" to {count(result.limit)} images a split"
        remark = f"Smoke run: the data were cut{cut}. Do not quote these numbers."
        console.print(Text(remark, style="yellow"))
    for warning in result.warnings:
        console.print(Text(f"Warning: {warning}", style="yellow"))
    console.print(_metrics(result))
    console.print(Text(f"Finished in {duration(result.elapsed_seconds)}. Report:", style="dim"))
    # Never wrapped, so that the path can be copied and clicked.
    console.print(Text(str(folder / REPORT_FILE)), soft_wrap=True)


def _metrics(result: Result) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("interval", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    published = any(metric.published is not None for metric in result.metrics.values())
    if published:
        table.add_column("published", justify="right", no_wrap=True)
    for name, metric in result.metrics.items():
        table.add_row(
            Text(name),
            metric_value(metric),
            Text(metric_interval(metric)),
            "" if metric.n is None else count(metric.n),
            *([metric_published(metric)] if published else []),
            style="bold" if name == result.headline else "",
        )
    return table


def print_table(table: Table, console: Console) -> None:
    """Print a table of the result document, such as the one of :func:`comparison_table`."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(table.title, style="bold"))
    drawn.title_justify = "left"
    for position, column in enumerate(table.columns):
        side: JustifyMethod = "right" if is_number_column(table, position) else "left"
        drawn.add_column(Text(column), overflow="fold", justify=side)
    for row in table_cells(table):
        drawn.add_row(*(Text(value) for value in row))
    console.print(drawn)
    if table.note:
        console.print(Text(table.note, style="dim"))
