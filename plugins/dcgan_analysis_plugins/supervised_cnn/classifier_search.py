"""What a random search over supervised trainings found: a table of its trials, the best so far, epochs of the best."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis_plugins.supervised_cnn.search import ClassifierTrial

_SETTINGS = ("learning_rate", "weight_decay", "beta1", "dropout", "label_smoothing", "shift", "mirror", "batch")


def trials_table(trials: Sequence[ClassifierTrial]) -> Table:
    """Return one row for each trial, the one with the least validation error first.

    Args:
        trials: In the order in which they were drawn; the table counts them from 1.
    """
    from dcgan_analysis_plugins.supervised_cnn.search import SPACE

    rows: list[list[Cell]] = []
    for number in sorted(range(len(trials)), key=lambda number: trials[number].error):
        trial = trials[number]
        settings, run = asdict(trial.task.settings), trial.trained
        epochs = f"{run.best_epoch + 1} of {len(run.errors)}"
        rows.append([number + 1, trial.error, epochs, *(settings[name] for name in _SETTINGS)])
    return Table(
        name="trials",
        title="All trials, the best first",
        columns=["trial", "validation error", "epoch kept", *(name.replace("_", " ") for name in _SETTINGS)],
        rows=rows,
        percent=["validation error"],
        note=f"Drawn from: {SPACE}.",
    )


def save_search(context: RunContext, trials: Sequence[ClassifierTrial]) -> None:
    """Draw the validation error trial by trial with the least so far, and against the learning rate."""
    import numpy as np

    from dcgan_analysis import figures

    errors, numbers = [trial.error for trial in trials], list(range(1, len(trials) + 1))
    series = {
        "best so far": figures.Series(numbers, np.minimum.accumulate(errors).tolist()),
        "each trial": figures.Series(numbers, errors, line=False),
    }
    figure = figures.curve(series, x_label="trials", y_label="validation error", log_x=False)
    context.save_figure(figure, "search", "The search: best so far", "Error on all held-out images.")
    rates = [trial.task.settings.learning_rate for trial in trials]
    points = {"each trial": figures.Series(rates, errors, line=False)}
    figure = figures.curve(points, x_label="learning rate", y_label="validation error")
    context.save_figure(figure, "rates", "Error against the learning rate", "The other settings vary as well.")


def save_epochs(context: RunContext, shown: Mapping[str, ClassifierTrial], *, chosen: str) -> None:
    """Draw the error on the stopping images, epoch by epoch.

    Args:
        context: The run.
        shown: Name -> trial.
        chosen: Of which of them the epoch that was kept is marked.
    """
    from dcgan_analysis import figures

    series = {}
    for name, trial in shown.items():
        run = trial.trained
        epochs = list(range(1, len(run.errors) + 1))
        series[name] = figures.Series(epochs, run.errors, chosen=run.best_epoch + 1 if name == chosen else None)
    figure = figures.curve(series, x_label="epoch", y_label="error", log_x=False)
    caption = (
        "Error on the stopping images. The weights of the marked epoch were kept; of the control, those of its best."
    )
    context.save_figure(figure, "epochs", "The best trial and its control, epoch by epoch", caption)
