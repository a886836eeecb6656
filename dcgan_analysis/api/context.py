"""What an analysis works with: data, model, device, random generators, progress, and its run folder."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.api.result import (
    CheckpointRecord,
    DatasetRecord,
    Environment,
    Figure,
    Gallery,
    Metric,
    Result,
    SplitRecord,
    Stage,
    Table,
)
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.hashing import checksum
from dcgan_analysis.core.progress import Progress, silent, stage_of
from dcgan_analysis.core.randomness import torch_generator
from dcgan_analysis.data.files.checked import CheckedImages
from dcgan_analysis.errors import AbsentError, AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from matplotlib.figure import Figure as MatplotlibFigure

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset, DatasetSplit
    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.features.pipeline import Extraction


@dataclass
class RunContext:
    """Everything an analysis may use, and a record of what it produces; the runner makes one for each run.

    Attributes:
        output_dir: The run folder; write nowhere else.
        device: Where to compute.
        seed: Seed of all randomness in the run; use ``rng`` and ``torch_generator``.
        limit: Maximum number of images of each split, or None.
        progress: Call ``progress(what, done, total)`` in loops that take more than a few seconds.
        cache_dir: Where feature stores are kept; None: the default cache.
        environment: Versions and device, for the result.
    """

    output_dir: Path
    device: torch.device
    seed: int
    environment: Environment
    limit: int | None = None
    progress: Progress = silent
    cache_dir: Path | None = None
    _checkpoint: Checkpoint | None = None
    _dataset: Dataset | None = None
    _load: Callable[[str], Checkpoint] | None = None
    _splits: dict[str, DatasetSplit] = field(default_factory=dict)
    _used_splits: dict[str, DatasetSplit] = field(default_factory=dict)
    _sums: dict[str, int] = field(default_factory=dict)
    _started: float = field(default_factory=time.time)
    _stages: list[Stage] = field(default_factory=list)
    _figures: list[Figure] = field(default_factory=list)
    _galleries: list[Gallery] = field(default_factory=list)
    _files: dict[str, str] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has a checkpoint."""
        return self._checkpoint is not None

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint to analyse.

        Raises:
            AnalysisError: If the analysis runs without one; declare it in ``needs``.
        """
        if self._checkpoint is None:
            msg = "This run has no checkpoint. Give one, and declare it in the analysis's needs."
            raise AbsentError(msg)
        return self._checkpoint

    @property
    def has_dataset(self) -> bool:
        """Whether the run has a dataset."""
        return self._dataset is not None

    @property
    def dataset(self) -> Dataset:
        """The dataset to work on.

        Raises:
            AnalysisError: If the analysis runs without one; declare it in ``needs``.
        """
        if self._dataset is None:
            msg = "This run has no dataset. Give one, and declare it in the analysis's needs."
            raise AbsentError(msg)
        return self._dataset

    def load_checkpoint(self, name: str) -> Checkpoint:
        """Load another checkpoint than the run's, by name, path or hash, as the command line does.

        Raises:
            DcganAnalysisError: If there is none of that name, or the run has nothing to load it with.
        """
        if self._load is None:
            msg = f"Checkpoint '{name}' cannot be loaded: this context was made without a way to load others."
            raise AnalysisError(msg)
        return self._load(name)

    def split(self, name: str) -> DatasetSplit:
        """Return a split of the dataset, cut to ``limit`` evenly spaced images."""
        if name not in self._splits:
            split = self._splits[name] = self._used_splits[name] = self.dataset.some(name, self.limit)
            images: Any = split.images
            # What is mapped from a file for reading cannot be changed; of checked images the sums are known.
            if not isinstance(images, CheckedImages) and images.flags.writeable:
                self._sums[name] = checksum(images)
        return self._splits[name]

    def changed_splits(self) -> list[str]:
        """Return the names of splits whose images were changed in place since they were handed out."""
        images: dict[str, Any] = {name: split.images for name, split in self._used_splits.items()}
        changed = [name for name, before in self._sums.items() if checksum(images[name]) != before]
        return [*changed, *(name for name, own in images.items() if isinstance(own, CheckedImages) and own.altered())]

    def use_split(self, name: str, split: DatasetSplit) -> None:
        """Record under a name a split that the analysis made itself, such as a held-out part."""
        self._splits[name] = split

    def extraction(
        self,
        spec: FeatureSpec,
        reference: DatasetSplit | None,
        *,
        checkpoint: Checkpoint | None = None,
        fit: Literal["exact", "resize"] = "exact",
    ) -> Extraction:
        """Return an extraction, whose ``store(name, split)`` returns a feature store, cached by content.

        Args:
            spec: Which features.
            reference: Training images on which BatchNorm statistics are re-estimated.
            checkpoint: A checkpoint other than the run's, such as its random twin.
            fit: What to do with images whose shape is not the network's.
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
        """Return a random generator that depends only on the seed and ``names``, not on earlier draws."""
        import numpy as np

        return np.random.default_rng([self.seed, *_digits(names)])

    def torch_generator(self, *names: str) -> torch.Generator:
        """Return the same for torch: a generator on the CPU."""
        # The low 32 bits of a drawn number, which are all that torch's generator keeps.
        return torch_generator(int(self.rng(*names).integers(2**62)) % 2**32)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a part of the run for the result; the block may set the stage's ``note``."""
        started = time.perf_counter()
        stage = Stage(name=name, seconds=0)
        try:
            with stage_of(self.progress, name):
                yield stage
        finally:
            stage.seconds = time.perf_counter() - started
            self._stages.append(stage)

    def note(self, text: str) -> None:
        """Add a sentence that a reader of the numbers needs to know."""
        if text not in self._notes:
            self._notes.append(text)

    def warn(self, text: str) -> None:
        """Add a warning, shown at the top of the report."""
        if text not in self._warnings:
            self._warnings.append(text)

    def save_figure(self, figure: MatplotlibFigure, name: str, title: str, caption: str = "") -> Figure:
        """Save a matplotlib figure as ``figures/<name>.png`` and show it in the report.

        Returns:
            Its record, for a ``Section`` of the report.

        Raises:
            AnalysisError: If the run has already saved a figure of this name.
        """
        from dcgan_analysis.figures import save_png

        if any(known.name == name for known in self._figures):
            msg = f"Figure '{name}' is saved twice in one run. Give the second another name."
            raise AnalysisError(msg)
        file = f"figures/{name}.png"
        save_png(figure, self.output_dir / file)
        saved = Figure(name=name, file=file, title=title, caption=caption)
        self._figures.append(saved)
        return saved

    def save_image(self, image: np.ndarray, name: str, title: str, caption: str = "", *, scale: int = 1) -> None:
        """Save an image, pixel by pixel, as ``figures/<name>.png`` and show it in the report.

        Args:
            image: uint8 (C, H, W), C of 1 or 3.
            name: Unique within the run.
            title: Shown above it.
            caption: What a reader needs to know.
            scale: Width and height in the file of one pixel of the image.
        """
        from dcgan_analysis.figures import save_image

        file = f"figures/{name}.png"
        save_image(image, self.output_dir / file, scale=scale)
        self._figures.append(Figure(name=name, file=file, title=title, caption=caption))

    def save_animation(
        self,
        frames: np.ndarray,
        name: str,
        title: str,
        caption: str = "",
        *,
        milliseconds: int = 80,
        scale: int = 1,
    ) -> None:
        """Save frames as a looping animation, ``figures/<name>.gif``, and show it in the report.

        Args:
            frames: uint8 (T, C, H, W), C of 1 or 3.
            name: Unique within the run.
            title: Shown above it.
            caption: What a reader needs to know.
            milliseconds: Duration of each frame.
            scale: Width and height in the file of one pixel of the image.
        """
        from dcgan_analysis.figures import save_gif

        file = f"figures/{name}.gif"
        save_gif(frames, self.output_dir / file, milliseconds=milliseconds, scale=scale)
        self._figures.append(Figure(name=name, file=file, title=title, caption=caption))

    def save_gallery(
        self,
        split: DatasetSplit,
        predictions: np.ndarray,
        name: str,
        title: str,
        caption: str = "",
        *,
        largest: int = 48,
    ) -> None:
        """Save labelled images with what was predicted of them; the report shows them, to be filtered by both.

        Args:
            split: N labelled images; some hundreds keep the report small.
            predictions: (N,) class numbers.
            name: Unique within the run; the sheet of all images becomes ``figures/<name>.jpg``.
            title: Shown above them.
            caption: What a reader needs to know: how they were chosen, whose predictions these are.
            largest: Pixels; larger images are made smaller.

        Raises:
            AnalysisError: If the images have no labels.

        Example:
            >>> context.save_gallery(images.test.take([0, 1]), predicted[:2], "some", "Two images")  # doctest: +SKIP
        """
        from dcgan_analysis.figures.pixels import save_sheet

        if split.labels is None:
            msg = f"Gallery '{name}' takes labelled images; {split.source or 'the split'} has no labels."
            raise AnalysisError(msg)
        file = f"figures/{name}.jpg"
        columns = save_sheet(split.images, self.output_dir / file, largest=largest)
        gallery = Gallery(
            name=name,
            file=file,
            title=title,
            caption=caption,
            columns=columns,
            classes=split.classes,
            ids=split.ids,
            labels=split.labels.tolist(),
            predictions=predictions.tolist(),
        )
        self._galleries.append(gallery)

    def save_json(self, name: str, document: Any) -> Path:
        """Save a document as ``<name>.json`` in the run folder and list it in the result."""
        path = self.output_dir / f"{name}.json"
        write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")
        self._files[name] = path.name
        return path

    def save_arrays(self, name: str, **arrays: np.ndarray) -> Path:
        """Save arrays as ``<name>.npz`` in the run folder and list it in the result."""
        import numpy as np

        path = self.output_dir / f"{name}.npz"
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        self._files[name] = path.name
        return path

    def result(
        self,
        *_ignored: object,
        title: str,
        headline: str,
        metrics: Mapping[str, Metric],
        tables: Sequence[Table] = (),
    ) -> Result:
        """Assemble the result document from what was measured and what the context knows.

        The runner adds the analysis and its settings. (Older plugins pass both as positional arguments; they are
        ignored.)

        Args:
            title: Heading of the report.
            headline: Name of the metric to quote.
            metrics: All metrics by name.
            tables: Tables of the report, in order.
        """
        return Result(
            title=title,
            headline=headline,
            metrics=dict(metrics),
            tables=list(tables),
            figures=self._figures,
            galleries=self._galleries,
            files=self._files,
            notes=self._notes,
            warnings=self._warnings,
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
            taken={name: split.sha256 for name, split in self._used_splits.items()},
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
            training={
                **{"data": metadata.data, "trained": str(metadata.history)},
                **{"epoch": metadata.epoch, "step": metadata.step, **metadata.training},
            },
            downloaded=metadata.provenance.get("downloaded", ""),
        )


def _digits(names: tuple[str, ...]) -> list[int]:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
