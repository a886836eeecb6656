"""How real a checkpoint's own discriminator takes images to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import BATCH, class_labels
from dcgan_analysis.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["realism"]


def realism(
    checkpoint: Checkpoint,
    device: torch.device,
    images: Mapping[str, np.ndarray],
    plain: np.ndarray,
    label: int | None = None,
) -> dict[str, np.ndarray]:
    """Return how real a checkpoint's own discriminator takes images to be, beside plain samples.

    Args:
        checkpoint: Whose discriminator; without one nothing is returned.
        device: Where to compute.
        images: Name -> uint8 (N, C, H, W).
        plain: Plain samples, uint8 (M, C, H, W).
        label: Class of all images, for a conditional discriminator.

    Returns:
        Name -> share of plain samples that it takes for less real than each image, (N,); 0.5: as real as a sample.
    """
    if not checkpoint.has("discriminator"):
        return {}
    network = checkpoint.discriminator().to(device)
    prepare = Preprocessing.for_range(checkpoint.architecture.image_shape, checkpoint.metadata.image_range)

    def logits(page: np.ndarray) -> np.ndarray:
        labels = class_labels(checkpoint.architecture, range(len(page)), label)
        batches = []
        with torch.inference_mode():
            for start in range(0, len(page), BATCH):
                chosen = slice(start, start + BATCH)
                inputs = [prepare(page[chosen]).to(device)]
                if labels is not None:
                    inputs.append(labels[chosen].to(device))
                batches.append(network(*inputs).float().cpu())
        values: np.ndarray = torch.cat(batches).numpy()
        return values

    usual = np.sort(logits(plain))
    return {name: np.searchsorted(usual, logits(page)) / len(usual) for name, page in images.items()}
