"""Rows of a table from finished runs, and runs for those that are missing: a number or a reason, never a guess."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import ConfigError, DcganAnalysisError, unknown_name
from dcgan_analysis.report.format import metric_text
from dcgan_analysis.runs.finished import FinishedRuns
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis_plugins.paper_tables.published import TABLES, OwnRow, PublishedTable

if TYPE_CHECKING:
    from dcgan_analysis.api.result import Metric, Result
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.host.host import PluginHost

NOT_RUN = "not run: "


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        method: What was tried.
        metrics: One for each column, or None.
        remark: What must be known: where the numbers are from, or why there are none.
        own: Whether it is this program's.
        data: What the numbers were measured on.
    """

    method: str
    metrics: tuple[Metric | None, ...]
    remark: str
    own: bool
    data: str = ""


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper with this program's rows below.

    Attributes:
        number: Its number in the paper.
        title: Its subject.
        columns: Names of the columns of numbers.
        rows: Published rows, then own ones.
        note: What sets them apart.
        apart: Why the own rows are no repetition of the paper's experiment: other images, or part of them; empty where
            they are one.
    """

    number: int
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str
    apart: str = ""


def make_table(
    number: int,
    folder: str | Path,
    request: RunRequest | None = None,
    *,
    gather_only: bool = False,
    host: PluginHost | None = None,
    progress: Progress = silent,
) -> PaperTable:
    """Make one of the paper's tables.

    Finished runs in the folder are used again where they are the same (``dcgan_analysis.runs.finished``).

    Args:
        number: 1, 2 or 3.
        folder: Folder of the runs.
        request: Template of the runs: what it gives holds in place of the table's own network or dataset and of the
            defaults; ``settings`` by analysis: ``{"svm-cifar": {"draws": 3}}``.
        gather_only: Use finished runs alone.
        host: The plugins to choose from; all installed ones if None.
        progress: Told how long work goes on.

    Raises:
        ConfigError: If there is no such table, or settings are for an analysis that is not in it.

    Example:
        >>> make_table(1, "runs/tables", gather_only=True).title
        'CIFAR-10 classification on features'
    """
    if number not in TABLES:
        msg = f"The paper has tables {', '.join(map(str, TABLES))}, got {number}."
        raise ConfigError(msg)
    table = TABLES[number]
    request = request or RunRequest()
    analyses = {row.analysis for row in table.own}
    for name in request.settings:
        if name not in analyses:
            error = unknown_name(f"analysis in table {number}", name, analyses)
            raise error
    published = [
        Row(
            row.method,
            tuple(row.metric(column) for column in range(len(table.columns))),
            "; ".join(["published", *([row.remark] if row.remark else [])]),
            own=False,
            data=table.dataset,
        )
        for row in table.published
    ]
    runs = FinishedRuns(folder, request, gather_only=gather_only, host=host, progress=progress)
    data = _name(request.dataset) or table.dataset
    own = [replace(_own_row(row, table, runs, request), data=data) for row in table.own]
    return PaperTable(
        number, table.title, table.columns, (*published, *own), table.note, _apart(table, data, request.limit)
    )


def _name(given: str | Path | Checkpoint | Dataset | None) -> str | None:
    """Return what a table calls a checkpoint or dataset that was given by name, path or as an object."""
    if given is None:
        return None
    return Path(given).stem if isinstance(given, str | Path) else given.name


def _apart(table: PublishedTable, data: str, limit: int | None) -> str:
    if data != table.dataset:
        return f"Not the paper's experiment: measured on {data}, not on {table.dataset}"
    return "" if limit is None else f"Not the paper's experiment: {limit:,} images a split"


def _own_row(own: OwnRow, table: PublishedTable, runs: FinishedRuns, request: RunRequest) -> Row:
    """Fill one row; errors that the user can act on become its remark, and the others go on."""
    given = request.checkpoint if own.main else None
    name = own.checkpoint if given is None else _name(given)
    method = own.method.format(checkpoint=name)
    nothing = (None,) * len(table.columns)
    try:
        checkpoint = None
        if own.checkpoint is not None:
            checkpoint = runs.sources.checkpoint(own.checkpoint if given is None else given)
            method = own.method.format(checkpoint=checkpoint.name)
        settings = {**own.settings, **request.settings.get(own.analysis, {})}
        dataset = table.dataset if request.dataset is None else request.dataset
        result = runs.result(own.analysis, settings, checkpoint, dataset)
    except DcganAnalysisError as error:
        return Row(method, nothing, f"{NOT_RUN}{error}", own=True)
    metrics = [None if name is None else result.metrics.get(name) for name in own.metrics]
    return Row(method, *_fitting(table, result, metrics), own=True)


def _fitting(
    table: PublishedTable, result: Result, found: list[Metric | None]
) -> tuple[tuple[Metric | None, ...], str]:
    """Return the metrics that may stand in their columns, and the remark, which names the others."""
    parts = [f"smoke run, {result.limit:,} images a split"] if result.limit is not None else []
    tested = result.dataset.splits.get("test") if result.dataset else None
    if tested is not None:
        parts.append(f"{tested.n:,} test images")
    metrics = [
        metric if metric is None or table.says.get(column, "") in metric.description else None
        for column, metric in zip(table.columns, found, strict=True)
    ]
    parts += [
        f"instead: {metric_text(metric)}, {metric.description}"
        for metric, kept in zip(found, metrics, strict=True)
        if metric is not None and kept is None
    ]
    if not any(found):
        headline = result.metrics[result.headline]
        parts.append(f"instead: {result.headline} {metric_text(headline)}, {headline.description}")
    return tuple(metrics), "; ".join(parts)
