"""Samples of a conditional generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis_plugins.mnist_nn.folded import faster_copy
from dcgan_analysis_plugins.mnist_nn.source import BLOCK, block_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint


class GeneratedSamples:
    """Images of a conditional generator, sample k of class k mod K, as bytes.

    Batch normalisation uses the statistics in the checkpoint. Bytes are those of a saved picture: the network's range
    is scaled to 0..255 and rounded.

    Args:
        checkpoint: Its generator must take labels.
        seed: Of the latent vectors, drawn from the prior that the network was trained with.
        device: Where the network runs.

    Raises:
        AnalysisError: If the generator is unconditional.
        CheckpointError: If there is no generator.

    Example:
        >>> from dcgan_analysis.models.tables import mlp_conditional
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> source = GeneratedSamples(Checkpoint.random(mlp_conditional(width=8), 0), 0, torch.device("cpu"))
        >>> source.images(3).shape, source.labels(np.array([1500, 1509])).tolist()
        ((500, 1, 28, 28), [0, 9])
    """

    size: int | None = None

    def __init__(self, checkpoint: Checkpoint, seed: int, device: torch.device) -> None:
        architecture = checkpoint.architecture
        if not architecture.classes:
            msg = (
                f"Checkpoint '{checkpoint.name}' has an unconditional generator (architecture '{architecture.name}'): "
                "its samples have no labels. Choose a conditional one."
            )
            raise AnalysisError(msg)
        self.classes = architecture.classes
        self.identity: dict[str, Any] = {
            "source": "generator",
            "weights": checkpoint.sha256("generator"),
            "z_prior": checkpoint.metadata.z_prior,
            "image_range": list(checkpoint.metadata.image_range),
            "seed": seed,
            "block": BLOCK,
            "device": device.type,
        }
        self._seed = seed
        self._shape = (BLOCK, architecture.z_size)
        self._uniform = checkpoint.metadata.z_prior == "uniform"
        self._sampler = Sampler(checkpoint, device, generator=faster_copy(checkpoint.generator()), batch=BLOCK)

    def images(self, number: int) -> NDArray[np.uint8]:
        """Return a block, uint8 (BLOCK, C, H, W)."""
        rng = block_rng(self._seed, number)
        if self._uniform:
            z = rng.random(self._shape, dtype=np.float32) * 2 - 1
        else:
            z = rng.standard_normal(self._shape, dtype=np.float32)
        labels = self.labels(np.arange(number * BLOCK, (number + 1) * BLOCK))
        return self._sampler(torch.from_numpy(z), torch.from_numpy(labels))

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of samples: k mod K."""
        return indices % self.classes
