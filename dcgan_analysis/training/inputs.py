"""Inputs of a training step: images, labels and latent vectors, as functions of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.training.batches import DataOrder, draw_latents, draw_mirrored
from dcgan_analysis.training.distributed import SINGLE, Processes

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig

# Streams of randomness, kept apart so that adding one never shifts another.
_FOR_GENERATOR, _FOR_DISCRIMINATOR, _FOR_STATISTICS, _FOR_MONITORS, _MIRRORED, _REAL = range(6)


class Minibatch(NamedTuple):
    """Everything that one step needs, on the CPU.

    Attributes:
        images: Real images (N, C, H, W), channels-last.
        labels: Class numbers (N,), or None.
        generator_z: Latent vectors (N, Z) of the generator's update.
        discriminator_z: Latent vectors (N, Z) of the discriminator's.
    """

    images: Tensor
    labels: Tensor | None
    generator_z: Tensor
    discriminator_z: Tensor


class Inputs:
    """Makes the minibatches of a training.

    Args:
        config: The settings.
        architecture: Gives image shape and range, Z, and whether labels are needed.
        split: The images; ``split.images`` need only support indexing by an array of integers.
        processes: This process among several: it makes its own rows of each minibatch.
    """

    def __init__(
        self, config: TrainingConfig, architecture: Architecture, split: DatasetSplit, processes: Processes = SINGLE
    ) -> None:
        self._config = config
        self._architecture = architecture
        self._split = split
        self._rows = processes.rows(config.batch_size)
        self.order = DataOrder(len(split), config.batch_size, config.seed)
        self.preprocessing = Preprocessing.for_range(architecture.image_shape, architecture.image_range)
        self._labels = torch.from_numpy(split.labels) if architecture.classes and split.labels is not None else None

    def __call__(self, step: int) -> Minibatch:
        """Return this process's rows of the minibatch of a step."""
        chosen = self.order.indices(step)[self._rows]
        pixels = self._split.images[chosen]
        if self._config.mirror:
            key = (self._config.seed, _MIRRORED, step)
            mirrored = draw_mirrored(self._config.batch_size, key)[self._rows]
            pixels = np.where(mirrored[:, None, None, None], pixels[..., ::-1], pixels)
        return Minibatch(
            self._prepared(pixels),
            None if self._labels is None else self._labels[torch.from_numpy(chosen)],
            self._latents(_FOR_GENERATOR, step)[self._rows],
            self._latents(_FOR_DISCRIMINATOR, step)[self._rows],
        )

    def _prepared(self, pixels: np.ndarray) -> Tensor:
        return self.preprocessing(pixels).contiguous(memory_format=torch.channels_last)

    def _latents(self, stream: int, step: int) -> Tensor:
        shape = (self._config.batch_size, self._architecture.z_size)
        return draw_latents(shape, self._config.z_prior, (self._config.seed, stream, step))

    def for_statistics(self, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a whole minibatch, not mirrored, to re-estimate BatchNorm on: images, latent vectors, labels."""
        chosen = self.order.indices(step)
        labels = None if self._labels is None else self._labels[torch.from_numpy(chosen)]
        return self._prepared(self._split.images[chosen]), self._latents(_FOR_STATISTICS, step), labels

    def fixed(self, n: int) -> tuple[Tensor, Tensor | None]:
        """Return n latent vectors (n, Z) that are always the same, and labels (n,) that cycle through the classes."""
        shape = (n, self._architecture.z_size)
        z = draw_latents(shape, self._config.z_prior, (self._config.seed, _FOR_MONITORS))
        classes = self._architecture.classes
        return z, torch.arange(n) % classes if classes else None

    def real(self, n: int, draw: int = 0) -> Tensor:
        """Return n real images (n, C, H, W), those of a draw always the same; fewer where there are not so many."""
        rng = np.random.default_rng([self._config.seed, _REAL, draw])
        chosen = np.sort(rng.choice(len(self._split), min(n, len(self._split)), replace=False))
        return self._prepared(self._split.images[chosen])
