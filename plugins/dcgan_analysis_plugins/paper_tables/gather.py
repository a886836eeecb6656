"""Rows of a table from finished runs, and runs for those that are missing: a number or a reason, never a guess."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.result import RESULT_FILE, Metric, Result
from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.data.files.sources import load_dataset
from dcgan_analysis.errors import AnalysisError, ConfigError, DcganAnalysisError, unknown_name
from dcgan_analysis.host.host import PluginHost, default_host
from dcgan_analysis.report.format import metric_text
from dcgan_analysis.runs.prepare import Sources
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis.runs.run import run_request
from dcgan_analysis_plugins.paper_tables.published import TABLES, OwnRow, PublishedTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

NOT_RUN = "not run: "


_log = logging.getLogger(__name__)


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

    A finished run in the folder is reused if analysis, settings, seed, limit, the checkpoint's hash and the content of
    the dataset are the same; otherwise the analysis is run, on warm feature stores where there are any.

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
    bench = _Bench(table, Path(folder), request, gather_only, host or default_host(), progress)
    data = _name(request.dataset) or table.dataset
    own = [replace(bench.row(row), data=data) for row in table.own]
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


class _Bench:
    """Runs of one table: found, or made; rows that share a run share it here."""

    def __init__(
        self,
        table: PublishedTable,
        folder: Path,
        request: RunRequest,
        gather_only: bool,
        host: PluginHost,
        progress: Progress,
    ) -> None:
        self.table, self.folder, self.request, self.gather_only = table, folder, request, gather_only
        self.host, self.progress, self.sources = host, progress, Sources(host, progress)
        self.finished = _finished(folder)
        self._dataset: Dataset | None = None

    def row(self, own: OwnRow) -> Row:
        """Fill one row; errors that the user can act on become its remark, and the others go on."""
        given = self.request.checkpoint if own.main else None
        name = own.checkpoint if given is None else _name(given)
        method = own.method.format(checkpoint=name)
        nothing = (None,) * len(self.table.columns)
        try:
            checkpoint = self._checkpoint(own, given)
            if checkpoint is not None:
                method = own.method.format(checkpoint=checkpoint.name)
            result = self._result(own, checkpoint)
        except DcganAnalysisError as error:
            return Row(method, nothing, f"{NOT_RUN}{error}", own=True)
        found = [None if name is None else result.metrics.get(name) for name in own.metrics]
        return Row(method, *_fitting(self.table, result, found), own=True)

    def _checkpoint(self, own: OwnRow, given: str | Path | Checkpoint | None) -> Checkpoint | None:
        if own.checkpoint is None:
            return None
        return self.sources.checkpoint(own.checkpoint if given is None else given)

    def dataset(self) -> Dataset:
        """Return the table's dataset, loaded once."""
        if self._dataset is None:
            given = self.table.dataset if self.request.dataset is None else self.request.dataset
            if isinstance(given, Dataset):
                self._dataset = given
                return given
            self._dataset = load_dataset(
                given,
                data_root=self.request.data_root,
                registry=self.host.datasets,
                # A table that only gathers fetches nothing.
                download=not self.gather_only,
                progress=self.progress,
            )
        return self._dataset

    def _result(self, own: OwnRow, checkpoint: Checkpoint | None) -> Result:
        request = self.request
        if own.analysis not in self.host.analyses:
            msg = f"analysis '{own.analysis}' is not installed."
            raise AnalysisError(msg)
        analysis = self.host.analysis(own.analysis)
        settings = {**own.settings, **request.settings.get(own.analysis, {})}
        config = analysis.config_type.build(settings).model_dump(mode="json")
        for result in self.finished:
            if self._same(result, analysis, config, checkpoint):
                return result
        if self.gather_only:
            msg = f"no finished run of '{own.analysis}' with these settings, checkpoint and data in '{self.folder}'."
            raise AnalysisError(msg)
        identity = [config, checkpoint.sha256() if checkpoint else None, request.seed, request.limit]
        own_request = replace(
            request,
            analysis=analysis,
            settings=settings,
            checkpoint=checkpoint,
            dataset=self.dataset(),
            out=_free(self.folder / "runs", f"{own.analysis}-{hash_json(identity)[:8]}"),
        )
        made = run_request(own_request, host=self.host, progress=self.progress)
        self.finished.append(made)
        return made

    def _same(
        self, result: Result, analysis: Analysis, config: Mapping[str, Any], checkpoint: Checkpoint | None
    ) -> bool:
        if result.analysis != analysis.name or result.config != config:
            return False
        if (result.seed, result.limit) != (self.request.seed, self.request.limit):
            return False
        found = result.checkpoint.sha256 if result.checkpoint else None
        if checkpoint is not None and found != checkpoint.sha256():
            return False
        if result.dataset is None:
            return False
        data = self.dataset()
        # What was taken from the dataset, before the analysis divided it.
        taken = result.dataset.taken or {name: split.sha256 for name, split in result.dataset.splits.items()}
        return bool(taken) and all(
            name in data.split_names and data.some(name, result.limit).sha256 == sha256
            for name, sha256 in taken.items()
        )


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


def _finished(out: Path) -> list[Result]:
    """Return the runs in a folder and in its folder ``runs``; what cannot be read, or is damaged, is left out."""
    found = []
    for file in sorted([*out.glob(f"*/{RESULT_FILE}"), *out.glob(f"runs/*/{RESULT_FILE}")]):
        try:
            found.append(Result.load(file.parent))
        except AnalysisError as error:
            _log.warning("%s It is left out of the table.", error)
    return found


def _free(folder: Path, name: str) -> Path:
    """Return a path that is not taken: a run of the same settings on other data keeps its place."""
    path, number = folder / name, 2
    while path.exists():
        path, number = folder / f"{name}-{number}", number + 1
    return path
