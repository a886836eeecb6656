"""Before an analysis runs: resolve names, check settings and needs, load everything once."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.analysis import checks_of, needs_of
from dcgan_analysis.api.context import RunContext
from dcgan_analysis.api.environment import describe_environment
from dcgan_analysis.api.result import RESULT_FILE
from dcgan_analysis.checkpoints.catalogue import load_checkpoint
from dcgan_analysis.core.files import sweep
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.data.files.sources import load_dataset
from dcgan_analysis.errors import AbsentError, AnalysisError, DcganAnalysisError
from dcgan_analysis.runs.needs import missing_in_checkpoint, missing_in_dataset, missing_packages, unfit_images
from dcgan_analysis.runs.request import REESTIMATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from dcgan_analysis.api.analysis import Analysis, AnalysisConfig, Needs
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.host.host import PluginHost
    from dcgan_analysis.models.architecture import Role
    from dcgan_analysis.runs.request import RunRequest


class Sources:
    """Checkpoints and datasets by name, each loaded once for all analyses of one command.

    Args:
        host: Provides the known datasets and architectures.
        progress: Called while images are decoded.
        download: Whether datasets may be downloaded.
    """

    def __init__(self, host: PluginHost, progress: Progress = silent, *, download: bool = True) -> None:
        self.host = host
        self.progress = progress
        self._download = download
        self._checkpoints: dict[str | Path, Checkpoint] = {}
        self._reestimated: dict[tuple[str, str | None], tuple[Checkpoint, dict[Role, str]]] = {}
        self._datasets: dict[tuple[str | Path, str | Path | None], Dataset] = {}

    def checkpoint(self, checkpoint: str | Path | Checkpoint) -> Checkpoint:
        """Return a checkpoint, loaded on first use.

        Raises:
            AnalysisError: If a torch module is given.
        """
        if hasattr(checkpoint, "named_modules"):
            kind = type(checkpoint).__name__
            msg = f"checkpoint is a torch module ({kind}). Wrap it: dcgan_analysis.wrap(discriminator={kind.lower()})."
            raise AnalysisError(msg)
        if not isinstance(checkpoint, str | Path):
            return checkpoint
        if checkpoint not in self._checkpoints:
            self._checkpoints[checkpoint] = load_checkpoint(checkpoint, self.host.architectures)
        return self._checkpoints[checkpoint]

    def reestimated(self, checkpoint: Checkpoint, reference: DatasetSplit | None) -> tuple[Checkpoint, dict[Role, str]]:
        """Return a checkpoint with new batch-normalisation statistics, estimated on first use, and what was done."""
        from dcgan_analysis.checkpoints.statistics import with_new_statistics

        key = (checkpoint.sha256(), None if reference is None else reference.sha256)
        if key not in self._reestimated:
            self._reestimated[key] = with_new_statistics(checkpoint, reference)
        return self._reestimated[key]

    def dataset(self, dataset: str | Path | Dataset, data_root: str | Path | None) -> Dataset:
        """Return a dataset, loaded on first use."""
        if isinstance(dataset, Dataset):
            return dataset
        key = (dataset, data_root)
        if key not in self._datasets:
            self._datasets[key] = load_dataset(
                dataset, data_root=data_root, registry=self.host.datasets, progress=self.progress
            )
        return self._datasets[key]


@dataclass(frozen=True)
class PreparedRun:
    """A run whose settings and needs have been checked, with everything it will work on.

    Attributes:
        request: The request.
        analysis: The analysis.
        config: Its settings.
        checkpoint: The checkpoint, loaded, or None.
        dataset: The dataset, or None.
        folder: The run folder to be.
        device: Where to compute.
        command: Command line that repeats the run.
        statistics: What was done with the batch-normalisation statistics of each network, where they were re-estimated.
    """

    request: RunRequest
    analysis: Analysis
    config: AnalysisConfig
    checkpoint: Checkpoint | None
    dataset: Dataset | None
    folder: Path
    device: torch.device
    command: str = field(default="", repr=False)
    statistics: Mapping[Role, str] = field(default_factory=dict, repr=False)

    @property
    def subject(self) -> str:
        """What runs on what, in words."""
        data = "" if self.dataset is None else f" on {self.dataset.name}"
        return f"{self.analysis.name}{data}" + ("" if self.checkpoint is None else f" with {self.checkpoint.name}")


def prepare_run(request: RunRequest, sources: Sources) -> PreparedRun:
    """Check folder, settings and needs, and load what the run works on; no long work is done.

    Args:
        request: The request.
        sources: Provides analyses, checkpoints and datasets.

    Raises:
        DcganAnalysisError: If anything is unknown or unsuitable; all such problems are listed.
    """
    from dcgan_analysis.core.device import choose_device

    analysis = sources.host.analysis(request.analysis) if isinstance(request.analysis, str) else request.analysis
    folder = run_folder(analysis.name, request.out, request.force)
    device = choose_device(request.device)
    config = analysis.config_type.build(request.own_settings)
    needs = needs_of(analysis, config)
    problems: list[DcganAnalysisError] = [*map(AnalysisError, missing_packages(analysis.name, needs))]
    wanted_checkpoint = needs.checkpoint if request.checkpoint is None else request.checkpoint
    wanted_dataset = needs.dataset if request.dataset is None else request.dataset
    checkpoint = dataset = None
    refused: list[DcganAnalysisError] = []
    try:
        checkpoint = None if wanted_checkpoint is None else sources.checkpoint(wanted_checkpoint)
        refused += map(AnalysisError, missing_in_checkpoint(analysis.name, needs, checkpoint))
    except DcganAnalysisError as error:
        refused.append(error)
    unfit: list[DcganAnalysisError] = []
    try:
        dataset = None if wanted_dataset is None else sources.dataset(wanted_dataset, request.data_root)
        unfit += map(AnalysisError, missing_in_dataset(analysis.name, needs, dataset, request.limit))
        if checkpoint is not None and dataset is not None:
            choice = "fit" in type(config).model_fields
            unfit += unfit_images(needs, checkpoint, dataset, request.limit, choice=choice)
    except DcganAnalysisError as error:
        unfit.append(error)
    statistics: dict[Role, str] = {}
    if request.reestimates and not refused:
        try:
            checkpoint, statistics = _reestimated(request, sources, needs, checkpoint, None if unfit else dataset)
        except DcganAnalysisError as error:
            refused.append(error)
    context = RunContext(
        output_dir=folder,
        device=device,
        seed=request.seed,
        environment=describe_environment(device, ""),
        limit=request.limit,
        # Not the log itself: checks are quick, and their stages get no lines.
        progress=partial(sources.progress),
        cache_dir=None if request.cache_dir is None else Path(request.cache_dir),
        _checkpoint=None if refused else checkpoint,
        _dataset=None if unfit else dataset,
        _load=sources.checkpoint,
    )
    problems += [*refused, *unfit, *_failed_checks(analysis, context, config)]
    if problems:
        raise _all_of(problems)
    options = {
        # A downloaded one by its commit: a branch moves on.
        "--checkpoint": (checkpoint and checkpoint.metadata.provenance.get("downloaded")) or _word(wanted_checkpoint),
        "--dataset": _word(wanted_dataset),
        "--seed": str(request.seed),
        "--limit": None if request.limit is None else str(request.limit),
    }
    command = _command(analysis.name, config, options, request.reestimates)
    return PreparedRun(request, analysis, config, checkpoint, dataset, folder, device, command, statistics)


def _reestimated(
    request: RunRequest, sources: Sources, needs: Needs, checkpoint: Checkpoint | None, dataset: Dataset | None
) -> tuple[Checkpoint, dict[Role, str]]:
    """Estimate the checkpoint's statistics anew, the discriminator's on training images where the run has some."""
    if checkpoint is None:
        msg = f"batchnorm=reestimate: analysis '{request.name}' runs without a checkpoint. Leave the setting out."
        raise AnalysisError(msg)
    training = None if dataset is None or "train" not in needs.splits else dataset.some("train", request.limit)
    return sources.reestimated(checkpoint, training)


def _failed_checks(analysis: Analysis, context: RunContext, config: AnalysisConfig) -> Iterator[DcganAnalysisError]:
    """Yield what an analysis's own checks raise, but for what they cannot look at: that has been said."""
    try:
        for check in checks_of(analysis, context, config):
            try:
                check()
            except AbsentError:
                continue
            except DcganAnalysisError as error:
                yield error
    except AbsentError:
        return


def run_folder(name: str, out: str | Path | None, force: bool) -> Path:
    """Return the folder of a new run.

    Raises:
        AnalysisError: If something is there that must not be replaced.
    """
    if out is None:
        return Path("runs") / f"{name}-{utc_stamp()}"
    folder = Path(out)
    if not folder.exists() and folder.parent.is_dir():
        sweep(folder.parent)  # a replacement that was killed half-way may have set it aside
    if folder.exists() and not force:
        msg = f"Output '{folder}' exists. Choose another folder (out), or replace it (force)."
        raise AnalysisError(msg)
    if folder.exists() and not (folder / RESULT_FILE).is_file():
        # force replaces runs, never any other folder.
        msg = f"Output '{folder}' exists and is not a run folder (it holds no {RESULT_FILE}). Choose another (out)."
        raise AnalysisError(msg)
    return folder


def utc_stamp() -> str:
    """Return the present time, to the millisecond, for the name of a folder: ``20260131-093000-125``."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]


def _all_of(problems: list[DcganAnalysisError]) -> DcganAnalysisError:
    """Return one error for all problems, each said once; a single problem stays the error it is."""
    by_text = {str(problem): problem for problem in problems}
    if len(by_text) == 1:
        return problems[0]
    return AnalysisError(" ".join(f"{text.rstrip('.')}." for text in by_text))


def _word(used: str | Path | Checkpoint | Dataset | None) -> str | None:
    """Return the name of a checkpoint or a dataset for the command line, or None."""
    if used is None or isinstance(used, str):
        return used
    return str(used) if isinstance(used, Path) else used.name


def _command(name: str, config: AnalysisConfig, options: Mapping[str, str | None], reestimates: bool) -> str:
    """Return a command line that repeats the run; the data root is left to the reader."""
    arguments = ["dcgan-analyze", "run", name]
    for option, value in options.items():
        if value is not None:
            arguments += [option, value]
    for key, value in config.model_dump(mode="json", exclude_defaults=True).items():
        arguments += ["--set", f"{key}={_toml(value)}"]
    if reestimates:
        arguments += ["--set", "=".join(REESTIMATE)]
    return shlex.join(arguments)


def _toml(value: Any) -> str:
    """Return a JSON value as inline TOML, which writes tables differently and has no null."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_toml(v)}' for k, v in value.items() if v is not None)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # Strings, numbers and booleans are written alike in both.
    return json.dumps(value, ensure_ascii=False)
