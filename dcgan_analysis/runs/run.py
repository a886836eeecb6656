"""Run an analysis: the run folder appears complete or not at all."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.analysis import needs_of
from dcgan_analysis.api.context import RunContext
from dcgan_analysis.api.environment import describe_environment
from dcgan_analysis.api.result import Result
from dcgan_analysis.checkpoints.catalogue import load_checkpoint
from dcgan_analysis.core.distributed import is_leader
from dcgan_analysis.core.files import atomic_folder, make_folder, scratch_folder, writer_lock
from dcgan_analysis.core.progress import Progress, ProgressLog, silent
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.host.host import PluginHost, default_host
from dcgan_analysis.runs.guard import guarded
from dcgan_analysis.runs.needs import stale_networks
from dcgan_analysis.runs.notebook import notebook_progress
from dcgan_analysis.runs.prepare import PreparedRun, Sources, prepare_run, run_folder
from dcgan_analysis.runs.provenance import code_sha256
from dcgan_analysis.runs.request import RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcgan_analysis.api.analysis import Analysis, AnalysisConfig
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset


def run(
    analysis: str | Analysis,
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
) -> Result:
    """Run one analysis and write its run folder: result.json, report.html, figures.

    Args:
        analysis: A registered name, or any object that keeps the contract ``dcgan_analysis.api.Analysis``.
        settings: Its settings; omitted ones have their defaults. ``{"batchnorm": "reestimate"}``, whatever the
            analysis: the statistics of the checkpoint's batch normalisation are estimated anew before it runs.
        checkpoint: Name, path, hash or object; the analysis's own default if None.
        dataset: Name, path or object; the analysis's own default if None.
        data_root: Folder with data sets; ``DCGAN_ANALYSIS_DATA`` or the user's data folder if None.
        out: The run folder; ``runs/<analysis>-<UTC time>`` if None.
        seed: Seed of all randomness, at least 0.
        limit: Maximum number of images of each split; the result is then labelled a smoke run.
        device: ``auto``, ``cpu``, ``cuda``, or one GPU of several: ``cuda:1``.
        memory: GB (10^9 bytes) that the process may hold, mapped files included; None: no limit, see
            docs/performance.md.
        force: Whether an existing run folder may be replaced.
        cache_dir: Folder of the feature stores; the default cache if None.
        host: The plugins to choose from; all installed ones if None.
        progress: Called as work goes on; None: a bar in a notebook, nothing elsewhere. Lines about stages go to the
            logger ``dcgan_analysis`` in any case.

    Returns:
        The result; ``result.folder`` is the run folder.

    Raises:
        DcganAnalysisError: If anything is unknown or unsuitable, before any long work starts.

    Example:
        >>> settings = {"draws": 1, "ablation": False}
        >>> result = run("svm-cifar", dataset="digits", checkpoint="digits-dcgan32", limit=60, settings=settings)
        >>> result.smoke, 0.5 < result.metrics["accuracy"].value < 1
        (True, True)
    """
    request = RunRequest(
        analysis=analysis,
        settings=settings or {},
        checkpoint=checkpoint,
        dataset=dataset,
        data_root=data_root,
        out=out,
        seed=seed,
        limit=limit,
        device=device,
        memory=memory,
        force=force,
        cache_dir=cache_dir,
    )
    with notebook_progress(progress) as shown:
        return run_request(request, host=host, progress=shown)


def run_request(request: RunRequest, *, host: PluginHost | None = None, progress: Progress = silent) -> Result:
    """Carry out a request; returns and raises as :func:`run`.

    Args:
        request: The request.
        host: The plugins to choose from; all installed ones if None.
        progress: Called as work goes on.
    """
    host, progress = host or default_host(), ProgressLog.over(progress)
    return run_prepared(prepare_run(request, Sources(host, progress)), host, progress)


def run_prepared(prepared: PreparedRun, host: PluginHost, progress: Progress = silent) -> Result:
    """Carry out a prepared run; its folder appears complete or not at all.

    Args:
        prepared: From :func:`dcgan_analysis.runs.prepare.prepare_run`.
        host: Its observers are notified.
        progress: Called as work goes on.
    """
    from dcgan_analysis.core.memory import limited_memory
    from dcgan_analysis.report import check_section, write_report

    analysis, config, request, folder = prepared.analysis, prepared.config, prepared.request, prepared.folder
    plugin = host.plugin_of(analysis)
    progress = ProgressLog.over(progress)
    with progress.stage(prepared.subject), _new_folder(folder, request.force) as temporary:
        context = RunContext(
            output_dir=temporary,
            device=prepared.device,
            seed=request.seed,
            environment=describe_environment(prepared.device, code_sha256(analysis, plugin)),
            limit=request.limit,
            progress=progress,
            cache_dir=None if request.cache_dir is None else Path(request.cache_dir),
            _checkpoint=prepared.checkpoint,
            _dataset=prepared.dataset,
            _load=partial(load_checkpoint, architectures=host.architectures),
        )
        for role, how in prepared.statistics.items():
            context.note(f"BatchNorm statistics of the {role}: {how}.")
        if prepared.checkpoint is not None:
            batchnorm = getattr(config, "batchnorm", None)
            for text in stale_networks(needs_of(analysis, config), prepared.checkpoint, batchnorm):
                context.warn(text)
        subject = f"Analysis '{analysis.name}'" + ("" if plugin is None else f" of {plugin.owner}")
        with guarded(f"{subject}, or an observer of it,", context) as put_back:
            for warning in host.before_run(analysis, config, context):
                context.warn(warning)
            with limited_memory(request.memory):
                returned = analysis.run(context, config)
        result = completed(returned, analysis, config).model_copy(
            update={
                "plugin": "given as an object" if plugin is None else plugin.owner,
                "command": prepared.command,
                "folder": folder,
            }
        )
        result.warnings.extend(put_back)
        check = partial(check_section, folder=temporary)
        sections, warnings = host.report_sections(analysis, context, result, check)
        result.sections.extend(sections)
        result.warnings.extend(warnings)
        write_report(result, temporary)
        result.save(temporary)  # last: it holds the hashes of all other files
    context.output_dir = folder
    if is_leader():
        result.warnings.extend(host.after_run(analysis, context, result.model_copy(deep=True)))
    return result


def completed(result: object, analysis: Analysis, config: AnalysisConfig) -> Result:
    """Add the analysis and its settings to what ``context.result(...)`` built.

    Args:
        result: What the analysis returned.
        analysis: The analysis that ran.
        config: Its settings.

    Raises:
        AnalysisError: If the analysis returned something else.
    """
    if not isinstance(result, Result):
        msg = f"Analysis '{analysis.name}' returned {result!r}; its run must return what context.result(...) builds."
        raise AnalysisError(msg)
    return result.model_copy(
        update={
            "analysis": analysis.name,
            "question": analysis.question,
            "reference": analysis.reference,
            "config": config.model_dump(mode="json"),
        }
    )


@contextmanager
def _new_folder(folder: Path, force: bool) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder``; under torchrun only that of the first process does.

    Raises:
        AnalysisError: If another process is running into the same folder, or has just done so.
    """
    if not is_leader():
        with scratch_folder(folder) as temporary:
            yield temporary
        return
    make_folder(folder.parent)
    with writer_lock(folder, f"Output '{folder}'", AnalysisError):
        folder = run_folder(folder.name, folder, force)
        with atomic_folder(folder, replace=force) as temporary:
            yield temporary
