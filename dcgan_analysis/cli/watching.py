"""What is seen of a training: a bar with losses on a terminal, lines elsewhere, warnings."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from dcgan_analysis.cli.console import is_quiet, say, warn
from dcgan_analysis.cli.progress import reminded
from dcgan_analysis.core.progress import ProgressLog, silent
from dcgan_analysis.core.text import percent
from dcgan_analysis.training.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dcgan_analysis.core.progress import Progress
    from dcgan_analysis.training.watching import Steps


def interval_line(row: Mapping[str, Any]) -> str:
    """Return what a log file needs of an interval.

    Example:
        >>> interval_line({"epoch": 2.0, "step": 80, "generator_loss": 1.5, "discriminator_loss": 0.9,
        ...     "real_probability": 0.7, "fake_probability": 0.3, "images_per_second": 190.4, "feature_accuracy": 0.71})
        'epoch 2, step 80: loss G 1.500 D 0.900, D(real) 0.70, D(fake) 0.30, 190 images/s, features 71.0 %'
    """
    text = (
        f"epoch {row['epoch']:g}, step {row['step']:,}: loss G {row['generator_loss']:.3f} "
        f"D {row['discriminator_loss']:.3f}, D(real) {row['real_probability']:.2f}, "
        f"D(fake) {row['fake_probability']:.2f}, {row['images_per_second']:,.0f} images/s"
    )
    if "feature_accuracy" in row:
        text += f", features {percent(row['feature_accuracy'], 1)}"
    return text


class TrainingLines(Watcher):
    """One line an interval, and its warnings; in long intervals a line a minute with the time left."""

    def __init__(self, write: Callable[[str], None] = say, report: Progress = silent) -> None:
        self._write = write
        self._report = report

    def loading(self, label: str, done: int, total: int) -> None:
        """Show how far reading the images is; a ``Progress`` callable."""
        self._report(label, done, total)

    def steps(self, at: Steps) -> None:
        """Take note of how far the training is."""
        self._report("training (steps)", at.step, at.steps)

    def begin(self, step: int, steps: int, epoch: float) -> None:
        """Say that a training begins, or where it goes on."""
        if step:
            self._write(f"Going on after step {step:,} of {steps:,} (epoch {epoch:g}).")
        else:
            self._write(f"Beginning: {steps:,} steps.")

    def interval(self, folder: Path, row: Mapping[str, Any]) -> None:
        """Write the line of an interval and its warnings."""
        self._write(interval_line(row))
        for warning in row["warnings"]:
            self._warn(warning)

    def _warn(self, text: str) -> None:
        warn(text)


class _Bar(TrainingLines):
    """A bar with losses and speed, above it the lines."""

    def __init__(self, bars: Bars) -> None:
        super().__init__(lambda text: bars.console.print(text, markup=False, highlight=False))
        self._bars = bars
        self._task = bars.add_task("beginning", total=None)

    def loading(self, label: str, done: int, total: int) -> None:
        """Move the bar while images are read."""
        self._bars.update(self._task, description=label, completed=done, total=total or None)

    def steps(self, at: Steps) -> None:
        """Move the bar."""
        text = (
            f"epoch {at.epoch:.2f}  G {at.means['generator_loss']:.2f}  D {at.means['discriminator_loss']:.2f}  "
            f"{at.images_per_second:,.0f} images/s"
        )
        self._bars.update(self._task, description=text, completed=at.step, total=at.steps)

    def _warn(self, text: str) -> None:
        self._write(f"Warning: {text}")


@contextmanager
def training_watcher() -> Iterator[TrainingLines]:
    """Yield a watcher that writes to standard error: with a bar where that is a terminal, lines alone elsewhere."""
    terminal = Console(file=sys.stderr)
    if is_quiet() or not terminal.is_terminal:
        report = ProgressLog()
        with reminded(report):
            yield TrainingLines(say, report)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=terminal) as bars:
        yield _Bar(bars)
