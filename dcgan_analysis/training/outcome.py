"""The networks of a training as a checkpoint, with BatchNorm statistics of clean data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.metadata import CheckpointMetadata
from dcgan_analysis.models.batchnorm import reestimate
from dcgan_analysis.training.config import OPTIONS
from dcgan_analysis.training.networks import apply

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Role
    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.inputs import Inputs
    from dcgan_analysis.training.networks import AdversarialPair

_STATISTICS_BATCHES = 100


def make_checkpoint(
    name: str,
    pair: AdversarialPair,
    inputs: Inputs,
    split: DatasetSplit,
    config: TrainingConfig,
    progress: dict[str, Any],
) -> Checkpoint:
    """Return the networks as they are; the training is not touched.

    During training the discriminator's running statistics mix real and generated images. The checkpoint
    gets statistics re-estimated on real images alone, the generator's on fresh latent vectors. With ``ema`` its
    generator is the moving average, with ``ema_discriminator`` its discriminator; with ``spectral_norm`` its kernels
    are the normalised ones.

    Args:
        name: Its name.
        pair: The networks.
        inputs: Of the training.
        split: The images, for the metadata.
        config: The settings, for the metadata.
        progress: ``step``, ``epoch``, ``seconds``, ``processes``, ``left_out`` and ``started_from``, for the metadata.
    """
    generator, discriminator = pair.plain("generator"), pair.plain("discriminator")
    steps = range(min(_STATISTICS_BATCHES, inputs.order.steps_per_epoch))

    def batches() -> Any:
        for step in steps:
            images, z, labels = inputs.for_statistics(step)
            yield images.to(pair.device), z.to(pair.device), labels

    def forward(network: nn.Module, inputs: Tensor, labels: Tensor | None) -> Tensor:
        with pair.precision():
            return apply(network, inputs, labels)

    reestimate(discriminator, batches(), lambda network, batch: forward(network, batch[0], batch[2]))
    reestimate(generator, batches(), lambda network, batch: forward(network, batch[1], batch[2]))
    weights: dict[Role, dict[str, Tensor]] = {
        "generator": _contiguous_state(generator),
        "discriminator": _contiguous_state(discriminator),
    }
    return Checkpoint(name, pair.architecture, weights, _metadata(pair, split, config, progress))


def _contiguous_state(network: nn.Module) -> dict[str, Tensor]:
    # In the default memory layout: channels-last is a matter of speed, not of the weights.
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _metadata(
    pair: AdversarialPair, split: DatasetSplit, config: TrainingConfig, progress: dict[str, Any]
) -> CheckpointMetadata:
    from importlib.metadata import version

    architecture = pair.architecture
    return CheckpointMetadata(
        architecture=architecture.name,
        parameters=dict(architecture.parameters),
        z_prior=config.z_prior,
        image_range=architecture.image_range,
        data={
            "name": config.dataset,
            "split": config.split,
            "n": len(split),
            "sha256": split.sha256,
            "source": split.source,
            **({"left_out": progress["left_out"]} if progress["left_out"] else {}),
        },
        training=config.model_dump(mode="json"),
        step=progress["step"],
        epoch=progress["epoch"],
        provenance={
            "origin": "trained by dcgan-analysis",
            "recipe": _recipe(config),
            **({"started_from": progress["started_from"]} if progress["started_from"] else {}),
            "hours": round(progress["seconds"] / 3600, 3),
            "processes": progress["processes"],
            "dcgan_analysis": version("dcgan-analysis"),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        },
    )


def _recipe(config: TrainingConfig) -> str:
    """Return the options that go beyond the paper's recipe."""
    used = [f"{name}={getattr(config, name)}" for name in OPTIONS if getattr(config, name) not in (0, (), "none")]
    return "the paper's" if not used else f"the paper's with {', '.join(used)}"
