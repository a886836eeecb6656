"""Minibatches and latent vectors as functions of seed and step: nothing to save, so a resume is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from dcgan_analysis.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig

__all__ = ["DataOrder", "check_split", "draw_latents"]


class DataOrder:
    """Which images form the minibatch of a step: a fresh permutation an epoch, incomplete batches dropped.

    Args:
        n: Number of images, at least ``batch_size``.
        batch_size: Images per minibatch.
        seed: The order's seed.
    """

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n = n
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = n // batch_size
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def indices(self, step: int) -> np.ndarray:
        """Return the image numbers, shape (batch_size,), of the minibatch of ``step`` (from 0)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            self._epoch = epoch
        start = position * self.batch_size
        return self._order[start : start + self.batch_size]


def draw_latents(shape: tuple[int, int], prior: Literal["uniform", "normal"], key: tuple[int, ...]) -> Tensor:
    """Draw latent vectors of shape (N, Z): the same for the same key."""
    rng = np.random.default_rng(key)
    if prior == "uniform":
        return torch.from_numpy(rng.random(shape, dtype=np.float32)) * 2 - 1
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def check_split(config: TrainingConfig, architecture: Architecture, split: DatasetSplit) -> None:
    """Refuse images that an architecture cannot be trained on with these settings.

    Raises:
        TrainingError: If they are fewer than a minibatch, or a conditional architecture's labels are absent or of
            more classes than it knows.
    """
    if len(split) < config.batch_size:
        msg = (
            f"Dataset '{config.dataset}', split '{config.split}' has {len(split)} images, fewer than one "
            f"minibatch of {config.batch_size}. Give more images or a smaller batch_size."
        )
        raise TrainingError(msg)
    if architecture.classes and split.labels is None:
        msg = (
            f"Architecture '{architecture.name}' is conditional and dataset '{config.dataset}' has no labels. "
            "Give a labelled dataset or an unconditional architecture."
        )
        raise TrainingError(msg)
    if architecture.classes and len(split.classes) > architecture.classes:
        msg = (
            f"Dataset '{config.dataset}' has {len(split.classes)} classes, architecture '{architecture.name}' "
            f"{architecture.classes}. Give parameters={{classes={len(split.classes)}}}."
        )
        raise TrainingError(msg)
