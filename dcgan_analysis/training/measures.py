"""Measurements at the end of an interval: samples, monitors, and the feature accuracy where it is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis import figures
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.tracing import trace_role
from dcgan_analysis.training.feature_probe import FeatureProbe
from dcgan_analysis.training.monitors import Monitors
from dcgan_analysis.training.networks import apply

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.inputs import Inputs
    from dcgan_analysis.training.networks import AdversarialPair

_SAMPLES, _COLUMNS = 64, 8
_OTHER_DRAWS = range(1, 5)


def samples_and_maps(
    generator: nn.Module, architecture: Architecture, z: Tensor, labels: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images (N, C, H, W) of latent vectors (N, Z), and the outputs of the hidden layers, by layer."""
    table = architecture.generator_layers
    # What a table does not name is found by watching a pass.
    hidden = [layer.name for layer in table[:-1]] or trace_role(generator, architecture, "generator").map_taps
    with torch.no_grad(), capture(generator, hidden) as activations:
        samples = apply(generator, z, labels)
    return samples, dict(activations)


class Measures:
    """Measures a pair of networks, always on the same latent vectors and images.

    Args:
        config: The settings.
        inputs: Of the training.
        probed: Labelled images whose feature accuracy is measured, where it is.
    """

    def __init__(self, config: TrainingConfig, inputs: Inputs, probed: DatasetSplit) -> None:
        self._config = config
        self._inputs = inputs
        self.monitors = Monitors(inputs.real(_SAMPLES), [inputs.real(_SAMPLES, draw) for draw in _OTHER_DRAWS])
        self._probe: FeatureProbe | None = None
        if config.probe_every and probed.labels is not None:
            self._probe = FeatureProbe(probed.images, probed.labels, config.probe_images, config.seed)

    def save_samples(self, checkpoint: Checkpoint, folder: Path) -> str:
        """Write the sample grid of a checkpoint and return its path in the folder."""
        images = checkpoint.sample(_SAMPLES, seed=self._config.seed)
        name = f"samples/epoch-{checkpoint.metadata.epoch:07.2f}.png"
        page = figures.tiled(self._inputs.preprocessing.to_bytes(images), _COLUMNS, gap=1)
        figures.save_image(page, folder / name, scale=2)
        return name

    def read_monitors(self, pair: AdversarialPair) -> dict[str, Any]:
        """Return the monitors' numbers, of the generator in training mode, not its average."""
        generator = pair.plain("generator", averaged=False).train()
        z, labels = self._inputs.fixed(_SAMPLES)
        return self.monitors.read(*samples_and_maps(generator, pair.architecture, z.to(pair.device), labels))

    def probe(self, checkpoint: Checkpoint, device: torch.device, *, last: bool) -> dict[str, Any]:
        """Return the feature accuracy and of how many images, where it is due; it always is at the end.

        Args:
            checkpoint: Whose features.
            device: Where they are computed.
            last: Whether the training is over.
        """
        every = self._config.probe_every
        due = every and checkpoint.metadata.step % (self._inputs.order.steps_per_epoch * every) == 0
        if self._probe is None or not (due or last):
            return {}
        accuracy, n = self._probe.accuracy(checkpoint, str(device))
        return {"feature_accuracy": accuracy, "feature_images": n}
