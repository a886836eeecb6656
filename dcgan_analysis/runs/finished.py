"""Runs in a folder that are used again where they are the same, and made where they are missing."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.result import RESULT_FILE, Result
from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.host.host import PluginHost, default_host
from dcgan_analysis.runs.prepare import Sources
from dcgan_analysis.runs.run import run_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.runs.request import RunRequest

_log = logging.getLogger(__name__)


class FinishedRuns:
    """The runs of a folder, those that are there and those that are made.

    A finished run is used if analysis, settings, seed, limit, the checkpoint's hash and the content of the dataset are
    the same; otherwise the analysis is run, on warm feature stores where there are any, into the folder's folder
    ``runs``.

    Args:
        folder: Folder of the runs.
        request: Template of the runs that are made.
        gather_only: Use finished runs alone; nothing is downloaded either.
        host: The plugins to choose from; all installed ones if None.
        progress: Told how long work goes on.

    Attributes:
        sources: Provides their checkpoints and datasets, each loaded once.
    """

    def __init__(
        self,
        folder: str | Path,
        request: RunRequest,
        *,
        gather_only: bool = False,
        host: PluginHost | None = None,
        progress: Progress = silent,
    ) -> None:
        self._folder, self._request, self._gather_only, self._progress = Path(folder), request, gather_only, progress
        self.host = host or default_host()
        self.sources = Sources(self.host, progress, download=not gather_only)
        self._results = _results(self._folder)

    def result(
        self,
        name: str,
        settings: Mapping[str, Any],
        checkpoint: Checkpoint | None,
        dataset: str | Path | Dataset | None,
    ) -> Result:
        """Return the result of an analysis.

        Args:
            name: Of the analysis.
            settings: Those that differ from its defaults.
            checkpoint: What it runs on, or None.
            dataset: Likewise; loaded only if a run with everything else alike was found, or one is made.

        Raises:
            DcganAnalysisError: If it is not installed, cannot be run, or was not run and only finished runs are asked
                for.
        """
        if name not in self.host.analyses:
            msg = f"analysis '{name}' is not installed."
            raise AnalysisError(msg)
        analysis, request = self.host.analysis(name), self._request
        config = analysis.config_type.build(settings).model_dump(mode="json")
        for result in self._results:
            if self._same(result, analysis, config, checkpoint, dataset):
                return result
        if self._gather_only:
            msg = f"no finished run of '{name}' with these settings, checkpoint and data in '{self._folder}'."
            raise AnalysisError(msg)
        identity = [config, checkpoint.sha256() if checkpoint else None, request.seed, request.limit]
        own_request = replace(
            request,
            analysis=analysis,
            settings=settings,
            checkpoint=checkpoint,
            dataset=None if dataset is None else self.sources.dataset(dataset, request.data_root),
            out=_free(self._folder / "runs", f"{name}-{hash_json(identity)[:8]}"),
        )
        made = run_request(own_request, host=self.host, progress=self._progress)
        self._results.append(made)
        return made

    def _same(
        self,
        result: Result,
        analysis: Analysis,
        config: Mapping[str, Any],
        checkpoint: Checkpoint | None,
        dataset: str | Path | Dataset | None,
    ) -> bool:
        if result.analysis != analysis.name or result.config != config:
            return False
        if (result.seed, result.limit) != (self._request.seed, self._request.limit):
            return False
        recorded = result.checkpoint.sha256 if result.checkpoint else None
        if checkpoint is not None and recorded != checkpoint.sha256():
            return False
        if dataset is None or result.dataset is None:
            return dataset is None and result.dataset is None
        data = self.sources.dataset(dataset, self._request.data_root)
        # What was taken from the dataset, before the analysis divided it.
        taken = result.dataset.taken or {name: split.sha256 for name, split in result.dataset.splits.items()}
        return bool(taken) and all(
            name in data.split_names and data.some(name, result.limit).sha256 == sha256
            for name, sha256 in taken.items()
        )


def _results(folder: Path) -> list[Result]:
    """Return the runs in a folder and in its folder ``runs``; what cannot be read, or is damaged, is left out."""
    results = []
    for file in sorted([*folder.glob(f"*/{RESULT_FILE}"), *folder.glob(f"runs/*/{RESULT_FILE}")]):
        try:
            results.append(Result.load(file.parent))
        except AnalysisError as error:
            _log.warning("%s It is not used.", error)
    return results


def _free(folder: Path, name: str) -> Path:
    """Return a path that is not taken: a run of the same settings on other data keeps its place."""
    path, number = folder / name, 2
    while path.exists():
        path, number = folder / f"{name}-{number}", number + 1
    return path
