"""How real a checkpoint's discriminator takes images to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import BATCH
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from torch import Tensor, nn

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

    @torch.inference_mode()
    def judge(own: nn.Module, start: int) -> np.ndarray:
        rows = slice(start, start + BATCH)
        inputs = [prepare(images[rows]).to(device)]
        if labels is not None:
            inputs.append(labels[rows].to(device))
        logits: np.ndarray = own(*inputs).float().cpu().numpy()
        return logits

    return np.concatenate(list(run_batches(judge, network, range(0, len(images), BATCH))))
