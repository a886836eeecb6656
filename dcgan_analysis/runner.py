"""Running an analysis: resolve names, check needs, run, and let the run folder appear whole or not at all."""

from __future__ import annotations

import inspect
import json
import shlex
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.analysis import needs_of
from dcgan_analysis.api.context import RunContext
from dcgan_analysis.api.environment import describe_environment
from dcgan_analysis.api.result import RESULT_FILE, Result
from dcgan_analysis.atomic import atomic_folder
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.data.registry import load_dataset
from dcgan_analysis.distributed import is_leader
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.plugins import PluginHost, default_host
from dcgan_analysis.progress import Progress, silent
from dcgan_analysis.stores.library import load_checkpoint
from dcgan_analysis.stores.metadata import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcgan_analysis.api.analysis import Analysis, Needs
    from dcgan_analysis.api.config import AnalysisConfig
    from dcgan_analysis.stores.checkpoint import Checkpoint

__all__ = ["run_analysis"]


def run_analysis(
    analysis: str | Analysis,
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
) -> Result:
    """Run one analysis and write its run folder: result.json, report.html, figures.

    Args:
        analysis: A registered name, or any object that keeps the contract ``dcgan_analysis.api.Analysis``.
        settings: Its settings; what is not given has its default.
        checkpoint: Name, path, hash or object; the analysis's own default if None.
        dataset: Name, path or object; the analysis's own default if None.
        data_root: Where data sets lie; ``DCGAN_ANALYSIS_DATA`` or the user's data folder if None.
        out: The run folder; ``runs/<analysis>-<UTC time>`` if None.
        seed: Origin of all randomness, at least 0.
        limit: Use at most so many images of each split; the result is then labelled a smoke run.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: Whether an existing run folder may be replaced.
        cache_dir: Where feature stores are kept; the default cache if None.
        host: The plugins to choose from; all installed ones if None.
        progress: Told how long work goes on.

    Returns:
        The result; ``result.folder`` is the run folder.

    Raises:
        DcganAnalysisError: If anything asked for is unknown or unfit, before anything long starts.

    Example:
        >>> result = run_analysis("svm-cifar", dataset="digits")  # doctest: +SKIP
        >>> result.metrics["accuracy"].value  # doctest: +SKIP
        0.97
    """
    from dcgan_analysis.extraction.precision import choose_device
    from dcgan_analysis.report import write_report

    host = host or default_host()
    chosen = host.analysis(analysis) if isinstance(analysis, str) else analysis
    config = chosen.config_type.build(settings or {})
    if seed < 0 or (limit is not None and limit < 1):
        msg = f"seed must be >= 0 and limit >= 1, got seed {seed} and limit {limit}."
        raise ConfigError(msg)
    folder = _run_folder(chosen.name, out, force)
    needs = needs_of(chosen, config)
    used_checkpoint = _checkpoint(chosen.name, needs, checkpoint, host)
    used_dataset = _dataset(chosen.name, needs, dataset, data_root, host, progress)
    place = choose_device(device)
    command = _command(
        chosen.name,
        config,
        {
            "--checkpoint": _word(needs.checkpoint if checkpoint is None else checkpoint),
            "--dataset": _word(needs.dataset if dataset is None else dataset),
            "--seed": str(seed),
            "--limit": None if limit is None else str(limit),
        },
    )
    with _new_folder(folder, force) as temporary:
        context = RunContext(
            output_dir=temporary,
            device=place,
            seed=seed,
            environment=describe_environment(place, _source_file(chosen)),
            limit=limit,
            progress=progress,
            cache_dir=cache_dir,
            _checkpoint=used_checkpoint,
            _dataset=used_dataset,
        )
        for warning in host.before_run(chosen, config, context):
            context.warn(warning)
        found: object = chosen.run(context, config)
        if not isinstance(found, Result):
            msg = f"Analysis '{chosen.name}' returned {found!r}; its run must return what context.result(...) builds."
            raise AnalysisError(msg)
        result = found.model_copy(update={"plugin": _owner(host, chosen), "command": command, "folder": folder})
        result.save(temporary)
        write_report(result, temporary)
    context.output_dir = folder
    if is_leader():
        result.warnings.extend(host.after_run(chosen, context, result))
    return result


@contextmanager
def _new_folder(folder: Path, force: bool) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder``; under torchrun what other processes write is dropped."""
    if is_leader():
        with atomic_folder(folder, replace=force) as temporary:
            yield temporary
    else:
        with tempfile.TemporaryDirectory(prefix="dcgan-analysis-") as scratch:
            yield Path(scratch)


def _run_folder(name: str, out: Path | None, force: bool) -> Path:
    if out is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        return Path("runs") / f"{name}-{stamp}"
    if out.exists() and not force:
        msg = f"Output '{out}' exists. Choose another --out, or replace it with --force."
        raise AnalysisError(msg)
    if out.exists() and not (out / RESULT_FILE).is_file():
        # --force replaces runs, never a folder of something else.
        msg = f"Output '{out}' exists and is no run folder (no {RESULT_FILE} in it). Choose another --out."
        raise AnalysisError(msg)
    return out


def _checkpoint(name: str, needs: Needs, given: str | Path | Checkpoint | None, host: PluginHost) -> Checkpoint | None:
    given = needs.checkpoint if given is None else given
    if given is None:
        if needs.generator or needs.discriminator:
            msg = (
                f"Analysis '{name}' needs a checkpoint. Give one with --checkpoint; "
                "known ones: dcgan-analyze list checkpoints"
            )
            raise AnalysisError(msg)
        return None
    checkpoint = load_checkpoint(given, host.architectures) if isinstance(given, str | Path) else given
    for role in ROLES:
        if getattr(needs, role) and not checkpoint.has(role):
            msg = f"Analysis '{name}' needs a {role}; checkpoint '{checkpoint.name}' holds none."
            raise AnalysisError(msg)
    return checkpoint


def _dataset(
    name: str,
    needs: Needs,
    given: str | Path | Dataset | None,
    data_root: Path | None,
    host: PluginHost,
    progress: Progress,
) -> Dataset | None:
    given = needs.dataset if given is None else given
    if given is None:
        return None
    dataset = (
        given
        if isinstance(given, Dataset)
        else load_dataset(given, data_root=data_root, registry=host.datasets, progress=progress)
    )
    missing = [split for split in needs.splits if split not in dataset.split_names]
    if missing:
        msg = (
            f"Analysis '{name}' needs a split '{missing[0]}'; dataset '{dataset.name}' has: "
            f"{', '.join(dataset.split_names)}."
        )
        raise AnalysisError(msg)
    if needs.labels and len(dataset.classes) < 2:
        found = ", ".join(dataset.classes) or "none"
        msg = (
            f"Analysis '{name}' needs labels of at least two classes; dataset '{dataset.name}' has "
            f"the classes: {found}. Choose a labelled dataset."
        )
        raise AnalysisError(msg)
    bare = [split for split in needs.splits if needs.labels and dataset.split(split).labels is None]
    if bare:
        msg = (
            f"Analysis '{name}' needs labels; split '{bare[0]}' of dataset '{dataset.name}' has none. "
            "Choose a labelled dataset."
        )
        raise AnalysisError(msg)
    return dataset


def _source_file(analysis: Analysis) -> Path | None:
    try:
        return Path(inspect.getfile(type(analysis)))
    except (TypeError, OSError):
        return None


def _owner(host: PluginHost, analysis: Analysis) -> str:
    registered = analysis.name in host.analyses and host.analyses[analysis.name] is analysis
    return host.analyses.owner(analysis.name) if registered else "given as an object"


def _word(used: str | Path | Checkpoint | Dataset | None) -> str | None:
    """Return what names a checkpoint or a dataset on the command line; None: there is none."""
    if used is None or isinstance(used, str):
        return used
    return str(used) if isinstance(used, Path) else used.name


def _command(name: str, config: AnalysisConfig, options: Mapping[str, str | None]) -> str:
    """Return a command line that repeats the run; where the data root lies is left to the reader."""
    words = ["dcgan-analyze", "run", name]
    for option, value in options.items():
        if value is not None:
            words += [option, value]
    for key, value in config.model_dump(mode="json", exclude_defaults=True).items():
        words += ["--set", f"{key}={_toml(value)}"]
    return shlex.join(words)


def _toml(value: Any) -> str:
    """Write a JSON value as TOML, which has tables of another notation and no null."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_toml(v)}' for k, v in value.items() if v is not None)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # Strings, numbers and booleans are written alike in both.
    return json.dumps(value, ensure_ascii=False)
