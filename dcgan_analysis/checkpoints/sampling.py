"""From latent vectors to images, batch by batch, and the classes of samples of a conditional generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.models.architecture import Architecture

__all__ = ["as_bytes", "class_labels", "generate"]

BATCH = 64


def class_labels(architecture: Architecture, indices: Sequence[int], label: int | None = None) -> Tensor | None:
    """Return class numbers (N,) for a conditional generator, None for an unconditional one.

    Args:
        architecture: Its number of classes decides.
        indices: Sample numbers; sample i has class i modulo K where no class is given.
        label: One class for all.

    Raises:
        AnalysisError: If there is no such class.
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


def generate(
    generator: nn.Module,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    batch: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Tensor]:
    """Run a generator batch by batch, without gradients, on the device where it lies.

    Args:
        generator: ``(N, Z)`` -> ``(N, C, H, W)``; takes labels as well where ``labels`` is given.
        z: Latent vectors (N, Z).
        labels: Class numbers (N,) or None.
        batch: Samples in one pass.
        progress: Told how many samples are done, after each batch.

    Yields:
        Images (B, C, H, W) in float32 on the generator's device; hooks have run by then.
    """
    device = next((parameter.device for parameter in generator.parameters()), z.device)
    for start in range(0, len(z), batch):
        part = z[start : start + batch].to(device)
        with torch.inference_mode():
            images = generator(part) if labels is None else generator(part, labels[start : start + batch].to(device))
        yield images.float()
        if progress is not None:
            progress(min(start + batch, len(z)))


def as_bytes(checkpoint: Checkpoint, images: Tensor) -> np.ndarray:
    """Return a checkpoint's images (N, C, H, W) as uint8."""
    shape = checkpoint.architecture.image_shape
    return Preprocessing.for_range(shape, checkpoint.metadata.image_range).to_bytes(images)
