"""Several analyses in one go: all are checked before one starts, one that fails stops no other, one page links them.

They share what they have in common: each checkpoint and dataset is loaded once, and features come from the same cache
of stores, so that analyses that ask for the same features share one extraction.
"""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.host.loading import FAILURES, describe_error
from dcgan_analysis.core.files import write_text
from dcgan_analysis.errors import AnalysisError, DcganAnalysisError
from dcgan_analysis.runs.request import Job, demo_jobs, settings_by_analysis
from dcgan_analysis.host.host import PluginHost, default_host
from dcgan_analysis.runs.prepare import PreparedRun, Sources, prepare_run
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.runs.run import run_folder, run_prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["Batch", "Job", "Outcome", "demo_jobs", "run_several", "settings_by_analysis"]

INDEX_FILE = "index.json"
"""Says which runs a folder holds; ``index.html`` shows them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What one of several runs came to.

    Attributes:
        name: Name of the analysis.
        result: What it found, or None.
        error: Why it has no result, one line; empty where it has one or was not begun.
        cause: The exception behind ``error``.
    """

    name: str
    result: Result | None = None
    error: str = ""
    cause: BaseException | None = field(default=None, repr=False, compare=False)

    @property
    def state(self) -> str:
        """``done``, ``failed``, or ``not run`` after an interruption."""
        return "done" if self.result is not None else "failed" if self.error else "not run"


@dataclass(frozen=True)
class Batch:
    """What several runs came to.

    Attributes:
        folder: Holds ``index.html``, ``index.json`` and one run folder for each analysis that finished.
        outcomes: One for each analysis, in the order given.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]

    @property
    def results(self) -> dict[str, Result]:
        """The results there are, by analysis."""
        return {outcome.name: outcome.result for outcome in self.outcomes if outcome.result is not None}

    @property
    def failed(self) -> list[Outcome]:
        """What has no result."""
        return [outcome for outcome in self.outcomes if outcome.result is None]


def run_several(
    analyses: Sequence[str | Analysis | Job],
    *,
    settings: Mapping[str, Any] | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    dataset: str | Path | Dataset | None = None,
    data_root: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    limit: int | None = None,
    device: str = "auto",
    force: bool = False,
    cache_dir: Path | None = None,
    host: PluginHost | None = None,
    progress: Progress = silent,
    done: Callable[[Outcome], None] = lambda outcome: None,
    all_or_none: bool = True,
    title: str = "Runs",
) -> Batch:
    """Run several analyses one after the other and link their reports on one page.

    Args:
        analyses: Names, objects, or a ``Job`` where one has settings or data of its own.
        settings: For all: each setting goes to the analyses that have it; ``{"pixels": {...}}`` or ``"pixels.C"`` to
            one alone.
        checkpoint: As of ``run``, like the arguments up to ``progress``.
        dataset: Name, path or object; each analysis's own default if None.
        data_root: Where data sets lie.
        out: Folder of all runs; ``runs/several-<UTC time>`` if None. Each run stands in ``out/<analysis>``.
        seed: Origin of all randomness.
        limit: At most so many images of each split.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: Whether the runs of an earlier call in ``out`` may be replaced.
        cache_dir: Where feature stores are kept.
        host: The plugins to choose from.
        progress: Told how long work goes on.
        done: Called with each outcome as soon as it is there.
        all_or_none: Whether nothing starts where one of them lacks something; otherwise that one counts as failed.
        title: Heading of the page.

    Returns:
        All outcomes. An analysis that fails stops no other; its error is in its outcome and on the page.

    Raises:
        DcganAnalysisError: If anything asked for is unknown or unfit (with ``all_or_none``: everything is named).
        KeyboardInterrupt: After the page was written with what had finished.

    Example:
        >>> analyses, settings = ["svm-cifar", "random-features"], {"draws": 1, "ablation": False, "networks": 2}
        >>> batch = run_several(analyses, dataset="digits", checkpoint="digits-dcgan32", limit=60, settings=settings)
        >>> {name: result.headline for name, result in batch.results.items()}
        {'svm-cifar': 'accuracy', 'random-features': 'accuracy'}
    """
    from dcgan_analysis.core.precision import choose_device

    host = host or default_host()
    jobs = [one if isinstance(one, Job) else Job(one) for one in analyses]
    folder = _batch_folder(jobs, out, force)
    place = choose_device(device)
    common = {"checkpoint": checkpoint, "dataset": dataset, "limit": limit}
    sources = Sources(host, data_root, progress)
    prepared = _prepare_all(jobs, settings or {}, common, seed, host, sources, all_or_none)
    outcomes = [one if isinstance(one, Outcome) else Outcome(one.analysis.name) for one in prepared]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for position, one in enumerate(prepared):
            if isinstance(one, PreparedRun):
                outcomes[position] = _run_one(one, folder, place, host, force, cache_dir, progress)
            done(outcomes[position])
    finally:
        # Also after Ctrl-C: the page then says which analyses were not run.
        _write_index(Batch(folder, tuple(outcomes)), title)
    return Batch(folder, tuple(outcomes))


def _batch_folder(jobs: Sequence[Job], out: Path | None, force: bool) -> Path:
    names = [job.name for job in jobs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"Analysis '{twice[0]}' is named twice; run it again into another --out."
        raise AnalysisError(msg)
    if out is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        return Path("runs") / f"several-{stamp}"
    if out.exists() and not out.is_dir():
        msg = f"Output '{out}' is a file. Choose another --out."
        raise AnalysisError(msg)
    if out.is_dir() and any(out.iterdir()) and not (out / INDEX_FILE).is_file():
        # What stands there was not made by this command: nothing in it is touched, --force or not.
        msg = f"Output '{out}' is not empty and holds no {INDEX_FILE} of earlier runs. Choose another --out."
        raise AnalysisError(msg)
    for name in names:
        run_folder(name, out / name, force)
    return out


def _prepare_all(
    jobs: Sequence[Job],
    settings: Mapping[str, Any],
    common: Mapping[str, Any],
    seed: int,
    host: PluginHost,
    sources: Sources,
    all_or_none: bool,
) -> list[PreparedRun | Outcome]:
    """Check every job; one that lacks something becomes an outcome, or all of what lacks is raised together."""
    found: list[PreparedRun | Outcome] = []
    chosen = [host.analysis(job.analysis) if isinstance(job.analysis, str) else job.analysis for job in jobs]
    shared = settings_by_analysis(chosen, settings)
    for job, analysis in zip(jobs, chosen, strict=True):
        own = {key: value for key in common if (value := getattr(job, key)) is not None}
        try:
            wanted = {**common, **own, "settings": shared[job.name] | dict(job.settings)}
            found.append(prepare_run(analysis, **wanted, seed=seed, sources=sources))
        except DcganAnalysisError as error:
            found.append(Outcome(job.name, error=str(error), cause=error))
    lacking = [one for one in found if isinstance(one, Outcome)]
    if lacking and all_or_none:
        if len(found) == 1 and lacking[0].cause is not None:
            raise lacking[0].cause
        raise AnalysisError(_together(lacking, len(found)))
    return found


def _together(lacking: Sequence[Outcome], total: int) -> str:
    """Say in one message what each analysis lacks; what several lack alike is said once."""
    by_error: dict[str, list[str]] = {}
    for one in lacking:
        by_error.setdefault(one.error, []).append(one.name)
    lines = [f"  {', '.join(names)}: {error}" for error, names in by_error.items()]
    return "\n".join([f"{len(lacking)} of {total} analyses cannot run; none was started.", *lines])


def _run_one(
    prepared: PreparedRun,
    folder: Path,
    device: Any,
    host: PluginHost,
    force: bool,
    cache_dir: Path | None,
    progress: Progress,
) -> Outcome:
    name = prepared.analysis.name
    trace = folder / f"{name}-traceback.txt"
    trace.unlink(missing_ok=True)
    try:
        place = folder / name
        result = run_prepared(prepared, place, device, host, force=force, cache_dir=cache_dir, progress=progress)
    except DcganAnalysisError as error:
        return Outcome(name, error=str(error), cause=error)
    except FAILURES as error:
        # A bug of the analysis: its traceback is kept for whoever mends it.
        write_text(trace, "".join(traceback.format_exception(error)))
        _log.debug("%s failed", name, exc_info=error)
        return Outcome(name, error=f"{describe_error(error)}. Traceback: {trace}", cause=error)
    return Outcome(name, result)


def _write_index(batch: Batch, title: str) -> None:
    from dcgan_analysis.report.index import render_index

    runs = [
        {"analysis": outcome.name, "state": outcome.state, "error": outcome.error}
        | ({"folder": outcome.name} if outcome.result is not None else {})
        for outcome in batch.outcomes
    ]
    write_text(batch.folder / INDEX_FILE, json.dumps({"schema_version": 1, "title": title, "runs": runs}, indent=2))
    write_text(batch.folder / "index.html", render_index(title, batch.outcomes, batch.folder))
