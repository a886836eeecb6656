"""How real a checkpoint's own discriminator takes images to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.checkpoints.judgement import discriminator_logits
from dcgan_analysis.checkpoints.sampling import class_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

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

    def logits(page: np.ndarray) -> np.ndarray:
        return discriminator_logits(
            checkpoint, device, page, class_labels(checkpoint.architecture, range(len(page)), label)
        )

    usual = np.sort(logits(plain))
    return {name: np.searchsorted(usual, logits(page)) / len(usual) for name, page in images.items()}
