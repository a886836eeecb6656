"""Callbacks for training progress: called every few steps and at the end of each interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Steps:
    """Progress of a training.

    Attributes:
        step: Steps done.
        steps: Steps of the whole training.
        epoch: Epochs done.
        means: Mean losses and probabilities since the last interval ended.
        images_per_second: Real images in all processes, since this interval began or was resumed.
        learning_rate: Adam's step size.
    """

    step: int
    steps: int
    epoch: float
    means: Mapping[str, float]
    images_per_second: float
    learning_rate: float


class Watcher:
    """Callbacks of a training; override those that you want.

    Example:
        >>> class Printer(Watcher):
        ...     def interval(self, folder, row):
        ...         print(row["epoch"], row["discriminator_loss"], row["warnings"])
    """

    def begin(self, step: int, steps: int, epoch: float) -> None:
        """Called before the first step: steps done before, where a training goes on; steps in all; epochs done."""

    def steps(self, at: Steps) -> None:
        """Called every ten steps and at the last."""

    def interval(self, folder: Path, row: Mapping[str, Any]) -> None:
        """Called when an interval has been saved.

        Args:
            folder: Of the training; the checkpoint, samples and history of the interval are in it.
            row: The last row of the history.
        """

    def close(self) -> None:
        """Called at the end, also after an error."""


class TensorBoard(Watcher):
    """Writes event files into ``tensorboard/`` of the folder.

    Args:
        folder: Of the training.
        step: First step; events of later steps, of a run that was killed, are purged.

    Raises:
        TrainingError: If the package is not installed.
    """

    _EVERY = 50  # steps

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            msg = (
                "tensorboard=true needs the package 'tensorboard'. "
                "Install it: pip install 'dcgan-analysis[tensorboard]', or train with tensorboard=false."
            )
            raise TrainingError(msg) from None
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def steps(self, at: Steps) -> None:
        """Write losses, speed and step size."""
        if at.step % self._EVERY and at.step != at.steps:
            return
        values = {**at.means, "images_per_second": at.images_per_second, "learning_rate": at.learning_rate}
        self._scalars("training", values, at.step)

    def interval(self, folder: Path, row: Mapping[str, Any]) -> None:
        """Write what is measured at the end of an interval, the sample grid and warnings."""
        import numpy as np

        from dcgan_analysis.data.files.pictures import open_picture

        step = int(row["step"])
        names = ("diversity", "nearest_sample", "sample_distance", "collapsed_filters", "feature_accuracy")
        self._scalars("interval", {name: row[name] for name in names if name in row}, step)
        with open_picture(folder / row["samples"], f"'{row['samples']}'") as grid:
            pixels = np.asarray(grid.convert("RGB"))
        self._writer.add_image("samples", pixels, step, dataformats="HWC")
        for text in row["warnings"]:
            self._writer.add_text("warnings", text, step)
        self._writer.flush()

    def _scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
