"""Minibatches and latent vectors as functions of seed and step: nothing to save, so a resume is exact."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

import numpy as np
import torch

from dcgan_analysis.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig

T = TypeVar("T")


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
        # Epoch and permutation, replaced as one object: two threads may call at once.
        self._kept = (-1, np.empty(0, dtype=np.int64))

    def indices(self, step: int) -> np.ndarray:
        """Return the image numbers, shape (batch_size,), of the minibatch of ``step`` (from 0)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        kept_epoch, order = self._kept
        if epoch != kept_epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            self._kept = (epoch, order)
        start = position * self.batch_size
        return order[start : start + self.batch_size]


def draw_latents(shape: tuple[int, int], prior: Literal["uniform", "normal"], key: tuple[int, ...]) -> Tensor:
    """Draw latent vectors of shape (N, Z): the same for the same key."""
    rng = np.random.default_rng(key)
    if prior == "uniform":
        return torch.from_numpy(rng.random(shape, dtype=np.float32)) * 2 - 1
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def draw_mirrored(n: int, key: tuple[int, ...]) -> np.ndarray:
    """Draw which of n images are mirrored, (n,) booleans, each with probability one half: the same for the same key."""
    return np.random.default_rng(key).random(n) < 0.5


class Prefetcher(AbstractContextManager["Prefetcher[T]"], Generic[T]):
    """Makes the minibatch of the next step in a thread while the current step is computed.

    Args:
        make: Makes the minibatch of a step.
        stop: No minibatch is made ahead from this step on.

    Example:
        >>> with Prefetcher(lambda step: step * step, stop=3) as prefetch:
        ...     [prefetch(step) for step in range(3)]
        [0, 1, 4]
    """

    def __init__(self, make: Callable[[int], T], stop: int) -> None:
        self._make = make
        self._stop = stop
        self._worker = ThreadPoolExecutor(1, "minibatches")
        self._next: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        """Return the minibatch of a step; exceptions of ``make`` are raised here."""
        ready = self._next is not None and self._next[0] == step
        minibatch = self._next[1].result() if self._next is not None and ready else self._make(step)
        self._next = (step + 1, self._worker.submit(self._make, step + 1)) if step + 1 < self._stop else None
        return minibatch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)


def check_split(config: TrainingConfig, architecture: Architecture, split: DatasetSplit) -> None:
    """Refuse images on which an architecture cannot be trained with these settings.

    Raises:
        TrainingError: If they have another shape or are fewer than a minibatch; a conditional architecture's labels are
            absent or of more classes than it knows; images or discriminator do not allow ``self_supervised``; or the
            feature accuracy cannot be measured on them.
    """
    if tuple(split.image_shape) != tuple(architecture.image_shape):
        shapes = (split.image_shape, architecture.image_shape)
        images_shape, network_shape = ("x".join(map(str, shape)) for shape in shapes)
        channels, size, _ = architecture.image_shape
        msg = (
            f"Dataset '{config.dataset}' has images of {images_shape}, architecture '{architecture.name}' takes "
            f"{network_shape}. Give another architecture, or convert the images to size {size} and {channels} channel"
            f"{'s' * (channels > 1)}: dcgan-analyze prepare."
        )
        raise TrainingError(msg)
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
    if config.self_supervised == "rotation":
        _check_rotation(architecture)
    if config.probe_every:
        _check_probe(config, architecture, split)


def _check_rotation(architecture: Architecture) -> None:
    _, height, width = architecture.image_shape
    if height != width:
        reason = f"images of {height}x{width} pixels cannot be turned by 90 degrees"
    elif len(architecture.discriminator_layers) < 2:
        reason = f"the discriminator of architecture '{architecture.name}' has no layer table with a hidden layer"
    else:
        return
    msg = f"self_supervised=rotation: {reason}. Use self_supervised=none."
    raise TrainingError(msg)


def _check_probe(config: TrainingConfig, architecture: Architecture, split: DatasetSplit) -> None:
    if architecture.classes:
        reason = f"architecture '{architecture.name}' is conditional: its features would depend on the label"
    elif split.labels is None:
        reason = f"dataset '{config.dataset}', split '{config.split}' has no labels"
    elif len(np.unique(split.labels)) < 2:
        reason = f"dataset '{config.dataset}', split '{config.split}' has images of one class only"
    else:
        return
    msg = f"probe_every={config.probe_every} measures the feature accuracy, but {reason}. Use probe_every=0."
    raise TrainingError(msg)
