"""Random search over supervised trainings: what is drawn, what a trial is, how it runs, and what is kept of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan_analysis.core.hashing import hash_array
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.features.trials import run_trials
from dcgan_analysis_plugins.supervised_cnn.classifier import (
    CLASSIFIER_VERSION,
    ClassifierSettings,
    Labelled,
    TrainedClassifier,
    predict,
    train_classifier,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis_plugins.supervised_cnn.classifier import Classifier

SPACE = (
    "learning rate 10^-3.5 to 10^-2 and weight decay 10^-3 to 10^0.5, log-uniform; beta1 0.5, 0.9; dropout 0, 0.25, "
    "0.5, 0.75; label smoothing 0, 0.1, 0.2; shift 0 to 3; batch 32, 64, 128"
)
"""What ``draw_settings`` draws from, in words."""

_KIND = "trials"
_WEIGHT = "network."


def draw_settings(rng: np.random.Generator, *, epochs: int, patience: int, mirror: bool = False) -> ClassifierSettings:
    """Draw the settings of one trial from ``SPACE``.

    Learning rate and weight decay are log-uniform; what cannot help everywhere (dropout, smoothing, shifts) may be 0.

    Args:
        rng: The source of chance; the same state gives the same settings.
        epochs: A trial trains for at most so many.
        patience: It stops after so many without a new least error.
        mirror: Whether half of the trials mirror images.

    Example:
        >>> draw_settings(np.random.default_rng(0), epochs=40, patience=8).batch
        32
    """
    return ClassifierSettings(
        learning_rate=float(10 ** rng.uniform(-3.5, -2)),
        weight_decay=float(10 ** rng.uniform(-3, 0.5)),
        beta1=float(rng.choice([0.5, 0.9])),
        dropout=float(rng.choice([0.0, 0.25, 0.5, 0.75])),
        label_smoothing=float(rng.choice([0.0, 0.1, 0.2])),
        shift=int(rng.choice([0, 1, 2, 3])),
        batch=int(rng.choice([32, 64, 128])),
        # Drawn either way: what follows from the same state is then the same.
        mirror=bool(rng.random() < 0.5) and mirror,
        epochs=epochs,
        patience=patience,
    )


@dataclass(frozen=True)
class ClassifierTask:
    """One trial: everything that its outcome depends on.

    Attributes:
        architecture: Whose discriminator.
        classes: K.
        train: The labelled images that it learns from.
        validation: The images that judge it.
        stopping: Indices of those of them that decide when to stop.
        settings: How to train.
        seed: Origin of the trial's randomness.
    """

    architecture: Architecture
    classes: int
    train: Labelled
    validation: Labelled
    stopping: NDArray[np.int64]
    settings: ClassifierSettings
    seed: int

    def key(self) -> dict[str, Any]:
        """Return the identity of its outcome, as JSON values."""
        return {
            "architecture": self.architecture.identity(),
            "classes": self.classes,
            "train_sha256": self.train.sha256,
            "validation_sha256": self.validation.sha256,
            "stopping_sha256": hash_array(self.stopping),
            "settings": asdict(self.settings),
            "seed": self.seed,
            "version": CLASSIFIER_VERSION,
        }


@dataclass(frozen=True)
class ClassifierTrial:
    """What a trial gave.

    Attributes:
        task: What was asked.
        trained: The network's weights, and the error on the stopping images epoch by epoch.
        wrong: How many of all validation images are taken for another class.
    """

    task: ClassifierTask
    trained: TrainedClassifier
    wrong: int

    @property
    def error(self) -> float:
        """Share of the validation images that are taken for another class."""
        return self.wrong / len(self.task.validation.labels)

    def network(self) -> Classifier:
        """Return the trained network in evaluation mode."""
        return self.trained.network(self.task.architecture, self.task.classes)


def run_classifier_trials(
    tasks: Sequence[ClassifierTask],
    *,
    folder: Path | None = None,
    n_jobs: int | None = None,
    progress: Progress = silent,
) -> tuple[list[ClassifierTrial], int]:
    """Run the trials that are not in the cache.

    Args:
        tasks: What to run.
        folder: The cache folder; None: the default cache.
        n_jobs: Trials at the same time; None: what the active joblib back end says, one by default.
        progress: Told of trials done.

    Returns:
        All trials in the order of the tasks, and how many were computed now.
    """
    keys = [task.key() for task in tasks]
    outcomes, computed = run_trials(_KIND, keys, _run, tasks, folder=folder, n_jobs=n_jobs, progress=progress)
    return [_read(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True)], computed


def _run(task: ClassifierTask) -> dict[str, NDArray[Any]]:
    judge = task.validation
    stopping = Labelled(judge.images[task.stopping], judge.labels[task.stopping])
    trained = train_classifier(task.architecture, task.classes, task.train, stopping, task.settings, task.seed)
    guesses = predict(trained.network(task.architecture, task.classes), judge.images)
    return {
        "losses": np.array(trained.losses),
        "errors": np.array(trained.errors),
        "wrong": np.array([(guesses != judge.labels).sum()]),
        **{f"{_WEIGHT}{name}": tensor.numpy() for name, tensor in trained.state.items()},
    }


def _read(task: ClassifierTask, outcome: dict[str, NDArray[Any]]) -> ClassifierTrial:
    state = {
        name.removeprefix(_WEIGHT): torch.from_numpy(array)
        for name, array in outcome.items()
        if name.startswith(_WEIGHT)
    }
    trained = TrainedClassifier(outcome["losses"].tolist(), outcome["errors"].tolist(), state)
    return ClassifierTrial(task, trained, int(outcome["wrong"][0]))
