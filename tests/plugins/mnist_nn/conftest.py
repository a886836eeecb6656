"""A tiny conditional network and a tiny labelled split."""

from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.models.tables import dcgan28_conditional


@pytest.fixture
def conditional():
    checkpoint = Checkpoint.random(dcgan28_conditional(width=2, hidden=4, image_size=8, z_size=3, classes=3), 5, "tiny")
    # Fresh weights make images that are all alike: gray.
    for tensor in checkpoint.weights["generator"].values():
        if tensor.dim() > 1:
            tensor.mul_(25)
    return checkpoint


@pytest.fixture
def split():
    """Eleven images of 8x8, each of one gray level of its own; classes of 5, 4 and 2 images."""
    labels = np.array([0, 1, 0, 2, 1, 0, 1, 0, 2, 1, 0])
    images = np.broadcast_to(np.arange(10, 120, 10, dtype=np.uint8)[:, None, None, None], (11, 1, 8, 8)).copy()
    return DatasetSplit(images, labels, [f"{i}" for i in range(11)], classes=["a", "b", "c"], source="grays")
