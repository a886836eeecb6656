"""How samples are drawn: from latent vectors to images, batch by batch, conditional or not, as floats or as bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.batchnorm import reestimate
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.models.architecture import Architecture

Drawn = TypeVar("Drawn")

BATCH = 64
"""Samples in one pass of the generator."""

_STATISTICS_BATCH, _STATISTICS_BATCHES, _STATISTICS_SEED = 128, 20, 0
STATISTICS = (
    f"re-estimated on {_STATISTICS_BATCHES * _STATISTICS_BATCH:,} latent vectors in batches of {_STATISTICS_BATCH}, "
    f"seed {_STATISTICS_SEED}"
)
"""How ``with_sample_statistics`` gets them, in words."""


def class_labels(architecture: Architecture, indices: Sequence[int], label: int | None = None) -> Tensor | None:
    """Return class numbers (N,) for a conditional generator, None for an unconditional one.

    Args:
        architecture: Its number of classes K decides.
        indices: Sample numbers; sample i has class i modulo K where no class is given.
        label: One class for all.

    Raises:
        AnalysisError: If there is no such class.

    Example:
        >>> from dcgan_analysis.models.tables import mlp_conditional
        >>> class_labels(mlp_conditional(width=8), [0, 4, 13]).tolist()
        [0, 4, 3]
    """
    if not architecture.classes:
        if label is not None:
            msg = f"label={label}: architecture '{architecture.name}' is not conditional. Leave the label out."
            raise AnalysisError(msg)
        return None
    if label is not None and not 0 <= label < architecture.classes:
        msg = f"label={label}: architecture '{architecture.name}' has the classes 0 to {architecture.classes - 1}."
        raise AnalysisError(msg)
    return torch.tensor([i % architecture.classes if label is None else label for i in indices])


def check_classes(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Check that a generator makes images of a dataset's classes.

    Raises:
        AnalysisError: If it is unconditional, or knows another number of classes.
    """
    classes, network_classes = len(dataset.classes), checkpoint.architecture.classes
    if network_classes != classes:
        kind = f"is conditioned on {network_classes} classes" if network_classes else "is unconditional"
        msg = (
            f"Checkpoint '{checkpoint.name}' {kind}, dataset '{dataset.name}' has {classes} classes. Choose "
            "a conditional generator trained on this dataset."
        )
        raise AnalysisError(msg)


def as_bytes(checkpoint: Checkpoint, images: Tensor) -> np.ndarray:
    """Return a checkpoint's images (N, C, H, W) as uint8."""
    shape = checkpoint.architecture.image_shape
    return Preprocessing.for_range(shape, checkpoint.metadata.image_range).to_bytes(images)


def with_sample_statistics(checkpoint: Checkpoint, *, batches: int = _STATISTICS_BATCHES) -> Checkpoint:
    """Return a checkpoint with the generator's batch-normalisation statistics re-estimated on latent vectors.

    The authors' code samples in batch mode; statistics that were never updated (mean 0, variance 1) make samples that
    are nearly one image.

    Args:
        checkpoint: It is left as it is.
        batches: Batches of 128 latent vectors from its prior, classes in turn.

    Raises:
        CheckpointError: If there is no generator.
    """
    generator = checkpoint.generator()
    latents = torch.split(checkpoint.latents(_STATISTICS_BATCH * batches, _STATISTICS_SEED), _STATISTICS_BATCH)
    labels = class_labels(checkpoint.architecture, range(_STATISTICS_BATCH))
    reestimate(generator, latents, lambda own, z: own(z) if labels is None else own(z, labels))
    state = {name: tensor.detach().clone() for name, tensor in generator.state_dict().items()}
    return replace(checkpoint, weights={**checkpoint.weights, "generator": state})


class Sampler:
    """A checkpoint's generator, from latent vectors to images. Calling it gives bytes; ``images`` gives floats.

    Args:
        checkpoint: Whose generator; a copy of it is used.
        device: Where to compute.
        progress: Called with the images done wherever there is more than one batch.
        label: Class of all images of a conditional generator, where the caller names none; None: image i is of class
            i modulo the number of classes. Ignored for an unconditional generator.
        generator: A module to use instead of ``checkpoint.generator()``, one that computes the same faster, say.
        batch: Images in one pass.

    Attributes:
        checkpoint: The same.
        label: The same; None for an unconditional generator.
        generator: The module that draws, on the device; hooks on it see every pass.

    Raises:
        AnalysisError: If a conditional generator has no such class.
        CheckpointError: If there is no generator.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> checkpoint = Checkpoint.random(dcgan32(width=4), seed=0)
        >>> Sampler(checkpoint)(checkpoint.latents(3, seed=1)).shape
        (3, 3, 32, 32)
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device | None = None,
        progress: Progress = silent,
        *,
        label: int | None = None,
        generator: nn.Module | None = None,
        batch: int = BATCH,
    ) -> None:
        self.checkpoint = checkpoint
        self.label = label if checkpoint.architecture.classes else None
        self.labels([])
        self._device = device or torch.device("cpu")
        self._progress = progress
        self._batch = batch
        self.generator = (checkpoint.generator() if generator is None else generator).requires_grad_(False)
        self.generator.to(self._device)

    def labels(self, indices: Sequence[int]) -> Tensor | None:
        """Return the classes (N,) of samples for which none are named; None for an unconditional generator."""
        return class_labels(self.checkpoint.architecture, indices, self.label)

    def batches(self, z: Tensor, labels: Tensor | None = None, *, what: str = "samples") -> Iterator[Tensor]:
        """Draw images batch by batch.

        Args:
            z: Latent vectors (N, Z).
            labels: Class numbers (N,), for a conditional generator; None: those of ``self.labels``.
            what: What progress calls them.

        Yields:
            Images (B, C, H, W) in float32 on the device, in ``metadata.image_range``; hooks have run by then.
        """
        return self._drawn(z, labels, what, lambda images: images)

    def _drawn(self, z: Tensor, labels: Tensor | None, what: str, finish: Callable[[Tensor], Drawn]) -> Iterator[Drawn]:
        labels = self.labels(range(len(z))) if labels is None else labels

        def draw(generator: nn.Module, start: int) -> Drawn:
            rows = slice(start, start + self._batch)
            inputs = [z[rows].to(self._device)]
            # The generator of a plugin need not take labels.
            if labels is not None:
                inputs.append(labels[rows].to(self._device))
            with torch.inference_mode():
                return finish(generator(*inputs).float())

        starts = range(0, len(z), self._batch)
        for start, drawn in zip(starts, run_batches(draw, self.generator, starts), strict=True):
            yield drawn
            if len(z) > self._batch:
                self._progress(what, min(start + self._batch, len(z)), len(z))

    def images(self, z: Tensor, labels: Tensor | None = None, *, what: str = "samples") -> Tensor:
        """Draw images in float32 (N, C, H, W) on the device, in ``metadata.image_range``; arguments of ``batches``."""
        drawn = list(self.batches(z, labels, what=what))
        return torch.cat(drawn) if drawn else torch.empty(0, *self.checkpoint.architecture.image_shape)

    def __call__(self, z: Tensor, labels: Tensor | None = None, *, what: str = "samples") -> np.ndarray:
        """Draw images as bytes, uint8 (N, C, H, W); arguments of ``batches``."""
        drawn = list(self._drawn(z, labels, what, lambda images: as_bytes(self.checkpoint, images)))
        return np.concatenate(drawn) if drawn else np.empty((0, *self.checkpoint.architecture.image_shape), np.uint8)
