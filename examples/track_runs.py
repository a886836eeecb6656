"""Sends the numbers of every finished run to a tracker: TensorBoard, or trackio or W&B, whose calls are the same.

    DCGAN_TRACKER=tensorboard dcgan-analyze --plugin examples/track_runs.py run svm-cifar
    DCGAN_TRACKER=trackio     dcgan-analyze --plugin examples/track_runs.py run svm-cifar

TensorBoard's event files lie in ``$DCGAN_TRACKER_FOLDER``, or ``runs/tensorboard``; trackio and W&B take the project
``dcgan-analysis``. A metric comes with the ends of its interval, a run with its settings, figures and the command that
repeats it. Where the tracker fails, the run does not: the reason becomes a warning.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis import hookimpl

if TYPE_CHECKING:
    from dcgan_analysis.api import Result


@hookimpl
def dcgan_after_run(result: Result) -> None:
    """Log a finished run."""
    tracker = os.environ.get("DCGAN_TRACKER", "tensorboard")
    if tracker == "tensorboard":
        _to_tensorboard(result)
    elif tracker in ("trackio", "wandb"):
        _to_project(importlib.import_module(tracker), result)
    else:
        msg = f"DCGAN_TRACKER is '{tracker}'; it must be tensorboard, trackio or wandb."
        raise ValueError(msg)


def numbers(result: Result) -> dict[str, float]:
    """Return all metrics and the ends of their intervals, by name."""
    ends = {
        f"{name}/{end}": value
        for name, metric in result.metrics.items()
        for end, value in (("low", metric.low), ("high", metric.high))
        if value is not None
    }
    return {name: metric.value for name, metric in result.metrics.items()} | ends


def circumstances(result: Result) -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        **result.config,
        "seed": result.seed,
        "checkpoint": None if result.checkpoint is None else result.checkpoint.name,
        "dataset": None if result.dataset is None else result.dataset.name,
        "command": result.command,
    }


def _to_tensorboard(result: Result) -> None:
    import numpy as np
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    folder = Path(os.environ.get("DCGAN_TRACKER_FOLDER", "runs/tensorboard"))
    with SummaryWriter(str(folder / result.analysis / result.folder.name)) as writer:
        for name, value in numbers(result).items():
            writer.add_scalar(name, value)
        for figure in result.figures:
            with Image.open(result.folder / figure.file) as picture:
                writer.add_image(figure.title, np.asarray(picture.convert("RGB")), dataformats="HWC")
        writer.add_text("run", "\n".join(f"- {key}: {value}" for key, value in circumstances(result).items()))


def _to_project(tracker: Any, result: Result) -> None:
    tracker.init(project="dcgan-analysis", name=result.folder.name, group=result.analysis, config=circumstances(result))
    tracker.log(numbers(result))
    tracker.log({figure.title: tracker.Image(str(result.folder / figure.file)) for figure in result.figures})
    tracker.finish()
