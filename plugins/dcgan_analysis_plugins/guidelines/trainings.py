"""Trainings of the variants, through joblib and the cache, and what is read off each at its end."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import TrainingError
from dcgan_analysis.features.trials import run_trials
from dcgan_analysis.training.batches import check_split
from dcgan_analysis.training.config import TrainingConfig
from dcgan_analysis.training.failures import EARLY, failures
from dcgan_analysis.training.state import not_finite
from dcgan_analysis.training.trainer import Trainer
from dcgan_analysis_plugins.guidelines.variants import architecture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan_analysis.api import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis_plugins.guidelines.variants import Variant

__all__ = ["Outcome", "TrainingTask", "check_task", "run_trainings"]

_KIND = "guidelines"
_SHOWN = 16
_SHARED = {"z_prior": "uniform", "precision": "float32", "save_minutes": 0, "keep_states": 1}


@dataclass(frozen=True)
class TrainingTask:
    """One training: everything that its outcome depends on.

    Attributes:
        variant: What is broken.
        split: The images, and their classes where there are some.
        settings: Settings that all variants share: epochs, batch size, seed, ...
        width: Maps of the discriminator's first layer.
        z_size: Z.
        folder: Where the training works; removed afterwards.
    """

    variant: Variant
    split: DatasetSplit
    settings: dict[str, Any]
    width: int
    z_size: int
    folder: Path

    def config(self) -> TrainingConfig:
        """Return the settings of the training."""
        seed = self.settings["seed"] + self.variant.seeds
        settings = {**_SHARED, **self.settings, **self.variant.settings, "seed": seed, "architecture": "layers"}
        return TrainingConfig.build(settings)

    def key(self) -> dict[str, Any]:
        """Return the identity of its outcome, as JSON values."""
        return {
            "architecture": _networks(self).identity(),
            "settings": self.config().model_dump(mode="json"),
            "data_sha256": self.split.sha256,
            "version": 1,
        }


def check_task(task: TrainingTask) -> None:
    """Refuse images on which a variant cannot be trained.

    Raises:
        DcganAnalysisError: If their size does not fit, or they are fewer than a minibatch.
    """
    check_split(task.config(), _networks(task), task.split)


def _networks(task: TrainingTask) -> Architecture:
    return architecture(task.variant, task.split.image_shape, task.width, task.z_size)


class Outcome(NamedTuple):
    """What a training came to.

    Attributes:
        history: Its rows; empty where a loss was no longer finite.
        samples: uint8 (16, C, H, W) of the same latent vectors for all variants of a seed; empty likewise.
    """

    history: list[dict[str, Any]]
    samples: np.ndarray

    @property
    def failed(self) -> list[str]:
        """The failures at the end, by the rules of ``stability``, however short the training was."""
        if not self.history:
            return ["diverged"]
        rows = [{**row, "step": max(row["step"], EARLY)} for row in self.history]
        return sorted({failure.name for failure in failures(rows)})


def run_trainings(context: RunContext, tasks: Sequence[TrainingTask], n_jobs: int | None) -> tuple[list[Outcome], int]:
    """Run the trainings that the run's cache lacks; return all outcomes, in order, and how many were computed now."""
    keys = [task.key() for task in tasks]
    outcomes, computed = run_trials(
        _KIND, keys, _run, tasks, folder=context.cache_dir, n_jobs=n_jobs, progress=context.progress
    )
    return [_read(outcome) for outcome in outcomes], computed


def _run(task: TrainingTask) -> dict[str, np.ndarray]:
    networks = _networks(task)
    trainer = Trainer(task.config(), networks, task.split, task.folder, torch.device("cpu"))
    try:
        checkpoint = trainer.run()
    except TrainingError:
        if not not_finite(trainer.pair):
            raise
        return {"history": _text([]), "samples": np.empty((0, *task.split.image_shape), np.uint8)}
    finally:
        shutil.rmtree(task.folder, ignore_errors=True)
    prepare = Preprocessing.for_range(networks.image_shape, networks.image_range)
    samples = prepare.to_bytes(checkpoint.sample(_SHOWN, seed=task.settings["seed"]))
    kept = [
        {name: value for name, value in row.items() if name not in ("seconds", "images_per_second", "samples")}
        for row in trainer.history
    ]
    return {"history": _text(kept), "samples": samples}


def _text(history: list[dict[str, Any]]) -> np.ndarray:
    return np.frombuffer(json.dumps(history).encode(), np.uint8)


def _read(outcome: dict[str, np.ndarray]) -> Outcome:
    return Outcome(json.loads(outcome["history"].tobytes().decode()), outcome["samples"])
