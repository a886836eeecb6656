"""How real a checkpoint's discriminator takes images to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import BATCH
from dcgan_analysis.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint


def discriminator_logits(
    checkpoint: Checkpoint, device: torch.device, images: np.ndarray, labels: Tensor | None = None
) -> np.ndarray:
    """Return the discriminator's logits (N,) in float32, in evaluation mode; above 0 it takes an image for real.

    Args:
        checkpoint: Whose discriminator.
        device: Where to compute.
        images: uint8 (N, C, H, W).
        labels: Class numbers (N,), for a conditional discriminator.

    Raises:
        CheckpointError: If it holds no discriminator.
    """
    network = checkpoint.discriminator().to(device)
    prepare = Preprocessing.for_range(checkpoint.architecture.image_shape, checkpoint.metadata.image_range)
    batches = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            rows = slice(start, start + BATCH)
            inputs = [prepare(images[rows]).to(device)]
            if labels is not None:
                inputs.append(labels[rows].to(device))
            batches.append(network(*inputs).float().cpu().numpy())
    return np.concatenate(batches)
