"""What an analysis works with: data, model, device, random generators, progress, and its run folder."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.api.result import CheckpointRecord, DatasetRecord, Environment, Metric, Result, SplitRecord, Table
from dcgan_analysis.api.run_folder import RunFolder
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset, DatasetSplit
    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.features.pipeline import Extraction

__all__ = ["RunContext"]


@dataclass
class RunContext(RunFolder):
    """Everything an analysis may use; the runner makes one for each run.

    What it leaves, stages, notes, figures and files, is in ``RunFolder``.

    Attributes:
        output_dir: The run folder; write nowhere else.
        device: Where to compute.
        seed: Origin of all randomness of the run; use ``rng`` and ``torch_generator``.
        limit: At most so many images of each split, or None.
        progress: Call ``progress(what, done, total)`` in loops that take more than a few seconds.
        cache_dir: Where feature stores are kept; None: the default cache.
        environment: What the run runs on, for the result.
    """

    device: torch.device
    seed: int
    environment: Environment
    limit: int | None = None
    progress: Progress = silent
    cache_dir: Path | None = None
    _checkpoint: Checkpoint | None = None
    _dataset: Dataset | None = None
    _splits: dict[str, DatasetSplit] = field(default_factory=dict)
    _taken: dict[str, DatasetSplit] = field(default_factory=dict)
    _started: float = field(default_factory=time.time)

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint to analyse.

        Raises:
            AnalysisError: If the analysis runs without one; declare it in ``needs``.
        """
        if self._checkpoint is None:
            msg = "This run has no checkpoint. Give one with --checkpoint, and declare it in the analysis's needs."
            raise AnalysisError(msg)
        return self._checkpoint

    @property
    def dataset(self) -> Dataset:
        """The dataset to work on.

        Raises:
            AnalysisError: If the analysis runs without one; declare it in ``needs``.
        """
        if self._dataset is None:
            msg = "This run has no dataset. Give one with --dataset, and declare it in the analysis's needs."
            raise AnalysisError(msg)
        return self._dataset

    def split(self, name: str) -> DatasetSplit:
        """Return a split of the dataset, cut to ``limit`` images evenly spread over it."""
        if name not in self._splits:
            self._splits[name] = self._taken[name] = self.dataset.some(name, self.limit)
        return self._splits[name]

    def use_split(self, name: str, split: DatasetSplit) -> None:
        """Record that the run works on a split of its own making (a held-out part, say) under a name."""
        self._splits[name] = split

    def extraction(
        self,
        spec: FeatureSpec,
        reference: DatasetSplit | None,
        *,
        checkpoint: Checkpoint | None = None,
        fit: Literal["exact", "resize"] = "exact",
    ) -> Extraction:
        """Return the extraction of features whose ``store(name, split)`` gives a feature store, cached by content.

        Args:
            spec: Which features.
            reference: Training images on which BatchNorm statistics are re-estimated.
            checkpoint: Another checkpoint than the run's, its random twin say.
            fit: What to do with images of another shape than the network takes.
        """
        from dcgan_analysis.features.pipeline import Extraction

        return Extraction(
            checkpoint or self.checkpoint,
            spec,
            reference,
            self.device,
            folder=self.cache_dir,
            fit=fit,
            progress=self.progress,
        )

    def rng(self, *names: str) -> np.random.Generator:
        """Return a random generator that depends on the seed and ``names`` only, not on what was drawn elsewhere."""
        import numpy as np

        return np.random.default_rng([self.seed, *_digits(names)])

    def torch_generator(self, *names: str) -> torch.Generator:
        """Return the same for torch, on the CPU."""
        import torch

        return torch.Generator().manual_seed(int(self.rng(*names).integers(2**62)))

    def result(
        self,
        analysis: Analysis,
        config: Any,
        *,
        title: str,
        headline: str,
        metrics: Mapping[str, Metric],
        tables: Sequence[Table] = (),
    ) -> Result:
        """Assemble the result document from what was found and what the context knows.

        Args:
            analysis: The analysis that ran.
            config: Its configuration.
            title: Heading of the report.
            headline: Name of the metric to quote.
            metrics: All metrics by name.
            tables: Tables of the report, in order.
        """
        return Result(
            analysis=analysis.name,
            title=title,
            question=analysis.question,
            reference=analysis.reference,
            headline=headline,
            metrics=dict(metrics),
            tables=list(tables),
            figures=self._figures,
            files=self._files,
            notes=self._notes,
            warnings=self._warnings,
            config=config.model_dump(mode="json"),
            seed=self.seed,
            limit=self.limit,
            smoke=self.limit is not None,
            dataset=self._dataset_record(),
            checkpoint=self._checkpoint_record(),
            environment=self.environment,
            stages=self._stages,
            started=datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            elapsed_seconds=time.time() - self._started,
        )

    def _dataset_record(self) -> DatasetRecord | None:
        if self._dataset is None:
            return None
        return DatasetRecord(
            name=self._dataset.name,
            classes=self._dataset.classes,
            image_shape=next(iter(self._splits.values()), self._dataset).image_shape,
            splits={
                name: SplitRecord(n=len(split), sha256=split.sha256, source=split.source)
                for name, split in self._splits.items()
            },
            taken={name: split.sha256 for name, split in self._taken.items()},
            note=self._dataset.note,
        )

    def _checkpoint_record(self) -> CheckpointRecord | None:
        if self._checkpoint is None:
            return None
        metadata = self._checkpoint.metadata
        return CheckpointRecord(
            name=self._checkpoint.name,
            sha256=self._checkpoint.sha256(),
            architecture=metadata.architecture,
            parameters=metadata.parameters,
            training={"data": metadata.data, "epoch": metadata.epoch, "step": metadata.step, **metadata.training},
        )


def _digits(names: tuple[str, ...]) -> list[int]:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
