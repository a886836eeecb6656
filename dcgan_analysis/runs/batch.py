"""Several analyses in one call: all are checked first, one that fails does not stop the others, one page links them.

They share what they have in common: each checkpoint and dataset is loaded once, and analyses that read the same
features share one extraction.
"""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.files import write_text
from dcgan_analysis.errors import AnalysisError, DcganAnalysisError, describe_error
from dcgan_analysis.host.host import PluginHost, default_host
from dcgan_analysis.host.loading import FAILURES
from dcgan_analysis.runs.notebook import notebook_progress
from dcgan_analysis.runs.prepare import PreparedRun, Sources, prepare_run, run_folder, utc_stamp
from dcgan_analysis.runs.request import RunRequest, settings_by_analysis
from dcgan_analysis.runs.run import run_prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.core.progress import Progress
    from dcgan_analysis.data.dataset import Dataset

INDEX_FILE = "index.json"
"""Lists the runs in a folder; ``index.html`` shows them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Outcome of one run.

    Attributes:
        name: Name of the analysis.
        result: Its result, or None.
        error: Why it has no result, in one line; empty if it has one, or was not started.
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
    """Outcome of several runs.

    Attributes:
        folder: Holds ``index.html``, ``index.json`` and one run folder for each analysis that finished.
        outcomes: One for each analysis, in the order given.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]

    @property
    def results(self) -> dict[str, Result]:
        """Results of the finished runs, by analysis."""
        return {outcome.name: outcome.result for outcome in self.outcomes if outcome.result is not None}

    @property
    def failed(self) -> list[Outcome]:
        """Outcomes without a result."""
        return [outcome for outcome in self.outcomes if outcome.result is None]


def run_several(
    analyses: Sequence[str | Analysis | RunRequest],
    *,
    settings: Mapping[str, Any] | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    dataset: str | Path | Dataset | None = None,
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    limit: int | None = None,
    device: str = "auto",
    memory: float | None = None,
    force: bool = False,
    cache_dir: str | Path | None = None,
    host: PluginHost | None = None,
    progress: Progress | None = None,
    done: Callable[[Outcome], None] = lambda outcome: None,
    all_or_none: bool = True,
    title: str = "Runs",
) -> Batch:
    """Run several analyses one after the other and link their reports on one page.

    Args:
        analyses: Names, objects, or a ``RunRequest`` for one that has settings or data of its own; fields that have
            their default values are those of this call.
        settings: Each setting applies to all analyses that have it; ``{"pixels": {...}}`` or ``"pixels.C"`` to one of
            them.
        checkpoint: Name, path, hash or object; each analysis's own default if None.
        dataset: Name, path or object; each analysis's own default if None.
        data_root: Folder with data sets; ``DCGAN_ANALYSIS_DATA`` or the user's data folder if None.
        out: Folder of all runs; ``runs/several-<UTC time>`` if None. Each run stands in ``out/<analysis>``.
        seed: Seed of all randomness, at least 0.
        limit: Maximum number of images of each split; the results are then labelled smoke runs.
        device: ``auto``, ``cpu``, ``cuda``, or one GPU of several: ``cuda:1``.
        memory: GB (10^9 bytes) that the process may hold, mapped files included; None: no limit.
        force: Whether the runs of an earlier call in ``out`` may be replaced.
        cache_dir: Folder of the feature stores; the default cache if None.
        host: The plugins to choose from; all installed ones if None.
        progress: Called as work goes on; None: a bar in a notebook, nothing elsewhere.
        done: Called with each outcome as soon as it is known.
        all_or_none: Whether nothing starts if one of them cannot run; otherwise that one counts as failed.
        title: Heading of the page.

    Returns:
        All outcomes. An analysis that fails does not stop the others; its error is in its outcome and on the page.

    Raises:
        DcganAnalysisError: If anything is unknown or unsuitable (with ``all_or_none`` all such problems are listed).
        KeyboardInterrupt: After the page was written with the finished runs.

    Example:
        >>> analyses, settings = ["svm-cifar", "random-features"], {"draws": 1, "ablation": False, "networks": 2}
        >>> batch = run_several(analyses, dataset="digits", checkpoint="digits-dcgan32", limit=60, settings=settings)
        >>> {name: result.headline for name, result in batch.results.items()}
        {'svm-cifar': 'accuracy', 'random-features': 'accuracy'}
    """
    from dcgan_analysis.core.device import choose_device

    host = host or default_host()
    template = RunRequest(
        checkpoint=checkpoint,
        dataset=dataset,
        data_root=data_root,
        seed=seed,
        limit=limit,
        device=device,
        memory=memory,
        force=force,
        cache_dir=cache_dir,
    )
    requests = [(one if isinstance(one, RunRequest) else RunRequest(one)).over(template) for one in analyses]
    folder = _batch_folder(requests, None if out is None else Path(out))
    choose_device(device)  # an unavailable device is reported once, not for each analysis
    with notebook_progress(progress) as shown:
        prepared = _prepare_all(requests, settings or {}, folder, Sources(host, shown), all_or_none)
        outcomes = [one if isinstance(one, Outcome) else Outcome(one.analysis.name) for one in prepared]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for position, one in enumerate(prepared):
                if isinstance(one, PreparedRun):
                    outcomes[position] = _run_one(one, host, shown)
                done(outcomes[position])
        finally:
            # After Ctrl-C, too, the page says which analyses were not run.
            _write_index(Batch(folder, tuple(outcomes)), title)
    return Batch(folder, tuple(outcomes))


def _batch_folder(requests: Sequence[RunRequest], out: Path | None) -> Path:
    names = [request.name for request in requests]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"Analysis '{twice[0]}' is named twice. Run it again into another folder (out)."
        raise AnalysisError(msg)
    if elsewhere := [request for request in requests if request.out is not None]:
        msg = f"Analysis '{elsewhere[0].name}' is one of several and has an output folder of its own. Run it by itself."
        raise AnalysisError(msg)
    if out is None:
        return Path("runs") / f"several-{utc_stamp()}"
    if out.exists() and not out.is_dir():
        msg = f"Output '{out}' is a file. Choose another folder (out)."
        raise AnalysisError(msg)
    if out.is_dir() and any(out.iterdir()) and not (out / INDEX_FILE).is_file():
        # The folder was not made by this command: nothing in it is touched, even where force is given.
        msg = f"Output '{out}' is not empty and holds no {INDEX_FILE} of earlier runs. Choose another folder (out)."
        raise AnalysisError(msg)
    for request in requests:
        run_folder(request.name, out / request.name, request.force)
    return out


def _prepare_all(
    requests: Sequence[RunRequest],
    settings: Mapping[str, Any],
    folder: Path,
    sources: Sources,
    all_or_none: bool,
) -> list[PreparedRun | Outcome]:
    """Prepare every request; those that cannot run become outcomes or, with ``all_or_none``, one error."""
    prepared: list[PreparedRun | Outcome] = []
    analyses = [
        sources.host.analysis(request.analysis) if isinstance(request.analysis, str) else request.analysis
        for request in requests
    ]
    shared = settings_by_analysis(analyses, settings)
    for request, analysis in zip(requests, analyses, strict=True):
        name = analysis.name
        own = replace(request, settings=shared[name] | dict(request.settings), out=folder / name)
        try:
            prepared.append(prepare_run(own, sources))
        except DcganAnalysisError as error:
            prepared.append(Outcome(name, error=str(error), cause=error))
    refused = [one for one in prepared if isinstance(one, Outcome)]
    if refused and all_or_none:
        if len(prepared) == 1 and refused[0].cause is not None:
            raise refused[0].cause
        raise AnalysisError(_together(refused, len(prepared)))
    return prepared


def _together(refused: Sequence[Outcome], total: int) -> str:
    """Return one message that says why each analysis cannot run; a reason shared by several is given once."""
    by_error: dict[str, list[str]] = {}
    for outcome in refused:
        by_error.setdefault(outcome.error, []).append(outcome.name)
    lines = [f"  {', '.join(names)}: {error}" for error, names in by_error.items()]
    return "\n".join([f"{len(refused)} of {total} analyses cannot run; none was started.", *lines])


def _run_one(prepared: PreparedRun, host: PluginHost, progress: Progress) -> Outcome:
    name = prepared.analysis.name
    trace = prepared.folder.with_name(f"{name}-traceback.txt")
    trace.unlink(missing_ok=True)
    try:
        result = run_prepared(prepared, host, progress)
    except DcganAnalysisError as error:
        return Outcome(name, error=str(error), cause=error)
    except FAILURES as error:
        # A bug in the analysis: its traceback is kept.
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
