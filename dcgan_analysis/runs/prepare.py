"""What is done before an analysis runs: names resolved, settings and needs checked, everything loaded once."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.analysis import needs_of
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.data.files.sources import load_dataset
from dcgan_analysis.errors import AnalysisError, ConfigError, DcganAnalysisError
from dcgan_analysis.runs.needs import missing_in_checkpoint, missing_in_dataset
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.checkpoints.catalogue import load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.api.analysis import AnalysisConfig
    from dcgan_analysis.host.host import PluginHost
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["PreparedRun", "Sources", "prepare_run"]


class Sources:
    """Checkpoints and datasets by name, each loaded once however many analyses of one command ask for it.

    Args:
        host: Whose datasets and architectures are known.
        data_root: Where data sets lie.
        progress: Told of decoding.
    """

    def __init__(self, host: PluginHost, data_root: Path | None = None, progress: Progress = silent) -> None:
        self._host = host
        self._data_root = data_root
        self._progress = progress
        self._checkpoints: dict[str | Path, Checkpoint] = {}
        self._datasets: dict[str | Path, Dataset] = {}

    def checkpoint(self, given: str | Path | Checkpoint) -> Checkpoint:
        """Return a checkpoint, loaded on first use."""
        if not isinstance(given, str | Path):
            return given
        if given not in self._checkpoints:
            self._checkpoints[given] = load_checkpoint(given, self._host.architectures)
        return self._checkpoints[given]

    def dataset(self, given: str | Path | Dataset) -> Dataset:
        """Return a dataset, loaded on first use."""
        if isinstance(given, Dataset):
            return given
        if given not in self._datasets:
            self._datasets[given] = load_dataset(
                given, data_root=self._data_root, registry=self._host.datasets, progress=self._progress
            )
        return self._datasets[given]


@dataclass(frozen=True)
class PreparedRun:
    """A run whose settings and needs were checked and which has everything it will work with.

    Attributes:
        analysis: The analysis.
        config: Its settings.
        checkpoint: What it runs on, or None.
        dataset: What it runs on, or None.
        seed: Origin of all randomness.
        limit: At most so many images of each split, or None.
        command: A command line that repeats the run.
    """

    analysis: Analysis
    config: AnalysisConfig
    checkpoint: Checkpoint | None
    dataset: Dataset | None
    seed: int
    limit: int | None
    command: str = field(default="", repr=False)


def prepare_run(
    analysis: Analysis,
    *,
    settings: Mapping[str, Any] | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    dataset: str | Path | Dataset | None = None,
    seed: int = 0,
    limit: int | None = None,
    sources: Sources,
) -> PreparedRun:
    """Check settings and needs and load what the run works with; nothing long is done.

    Args:
        analysis: The analysis.
        settings: As of :func:`run`, like the arguments that follow.
        checkpoint: Name, path, hash or object; the analysis's own default if None.
        dataset: Name, path or object; the analysis's own default if None.
        seed: Origin of all randomness, at least 0.
        limit: Use at most so many images of each split.
        sources: Where checkpoints and datasets come from.

    Raises:
        DcganAnalysisError: If anything is unknown or unfit; where several things are, all are named.
    """
    config = analysis.config_type.build(settings or {})
    if seed < 0 or (limit is not None and limit < 1):
        msg = f"seed must be >= 0 and limit >= 1, got seed {seed} and limit {limit}."
        raise ConfigError(msg)
    needs = needs_of(analysis, config)
    problems: list[DcganAnalysisError] = []
    checkpoint = needs.checkpoint if checkpoint is None else checkpoint
    dataset = needs.dataset if dataset is None else dataset
    used_checkpoint = used_dataset = None
    try:
        used_checkpoint = None if checkpoint is None else sources.checkpoint(checkpoint)
        problems += map(AnalysisError, missing_in_checkpoint(analysis.name, needs, used_checkpoint))
    except DcganAnalysisError as error:
        problems.append(error)
    try:
        used_dataset = None if dataset is None else sources.dataset(dataset)
        problems += map(AnalysisError, missing_in_dataset(analysis.name, needs, used_dataset, limit))
    except DcganAnalysisError as error:
        problems.append(error)
    if problems:
        raise _all_of(problems)
    options = {
        "--checkpoint": _word(checkpoint),
        "--dataset": _word(dataset),
        "--seed": str(seed),
        "--limit": None if limit is None else str(limit),
    }
    command = _command(analysis.name, config, options)
    return PreparedRun(analysis, config, used_checkpoint, used_dataset, seed, limit, command)


def _all_of(problems: list[DcganAnalysisError]) -> DcganAnalysisError:
    """Return one error that says everything that is missing; a single one stays what it is."""
    if len(problems) == 1:
        return problems[0]
    return AnalysisError(" ".join(f"{str(problem).rstrip('.')}." for problem in problems))


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
