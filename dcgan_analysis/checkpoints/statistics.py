"""BatchNorm statistics that a checkpoint lacks, or that were never updated: named, filled in, estimated."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import STATISTICS, with_sample_statistics
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.batchnorm import batchnorm_layers, reestimate, reference_batches, untouched_layers
from dcgan_analysis.models.builder import build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import DatasetSplit

_BATCH, _BATCHES, _SEED = 128, 20, 0
_SAMPLES = 512
_ON_SAMPLES = (
    f"re-estimated on {_SAMPLES} samples of the generator in batches of {_BATCH}, seed {_SEED}: no real images"
)


def with_missing_statistics(network: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """Fill in mean 0, variance 1 and count 0 where they are missing; also say whether no mean or variance was."""
    filled = dict(state)
    known = True
    for path, layer in batchnorm_layers(network).items():
        layer.reset_running_stats()
        for key, buffer in layer.named_buffers():
            if f"{path}.{key}" not in state:
                filled[f"{path}.{key}"] = buffer.clone()
                known = known and key == "num_batches_tracked"
    return filled, known


def with_image_statistics(checkpoint: Checkpoint, reference: DatasetSplit | None) -> tuple[Checkpoint, str]:
    """Return a checkpoint with the discriminator's statistics re-estimated, and on what.

    Args:
        checkpoint: It is left as it is.
        reference: Images to estimate them on, of any size; None: samples of the generator.

    Raises:
        CheckpointError: If the discriminator takes labels, or there are no images.
    """
    if checkpoint.architecture.takes_labels("discriminator"):
        msg = "BatchNorm statistics of a conditional discriminator are not re-estimated. Leave the setting out."
        raise CheckpointError(msg)
    network = checkpoint.discriminator()
    if reference is None:
        if not checkpoint.has("generator"):
            msg = (
                "batchnorm=reestimate: the discriminator's statistics need images, and there is no generator to make "
                "some. Name images: on import by reference=FOLDER, ZIP or dataset, in a run by its dataset"
            )
            raise CheckpointError(msg)
        reestimate(network, torch.split(checkpoint.sample(_SAMPLES, _SEED), _BATCH))
        how = _ON_SAMPLES
    else:
        shape, range_ = checkpoint.architecture.image_shape, checkpoint.architecture.image_range
        convert = Preprocessing.for_range(shape, range_, fit="resize")
        used = reference_batches(len(reference), _BATCH)[:_BATCHES]
        reestimate(network, used, lambda own, rows: own(convert(reference.images[np.sort(rows)])))
        how = f"re-estimated on {sum(map(len, used)):,} images of {reference.source} in batches of {len(used[0])}"
    state = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
    return replace(checkpoint, weights={**checkpoint.weights, "discriminator": state}), how


def with_new_statistics(
    checkpoint: Checkpoint, reference: DatasetSplit | None = None
) -> tuple[Checkpoint, dict[Role, str]]:
    """Return a checkpoint with the statistics of both networks re-estimated, missing ones as well.

    The generator's are estimated on latent vectors, the discriminator's on images; those of a discriminator that takes
    labels stay as they are.

    Args:
        checkpoint: It is left as it is.
        reference: Images for the discriminator; None: samples of the generator.

    Returns:
        The checkpoint, and what was done with each network, in words.

    Raises:
        CheckpointError: If the discriminator needs images and there are none; if a network's batch normalisation keeps
            no statistics.

    Example:
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> fresh = Checkpoint.random(dcgan32(width=2), seed=0)
        >>> with_new_statistics(fresh)[1]["generator"]
        're-estimated on 2,560 latent vectors in batches of 128, seed 0'
    """
    done: dict[Role, str] = {}
    for role in filter(checkpoint.has, ROLES):
        network = build(partial(checkpoint.architecture.network, role))
        layers = batchnorm_layers(network)
        if not layers:
            continue
        if untracked := [name for name, layer in layers.items() if layer.running_mean is None]:
            msg = (
                f"batchnorm=reestimate: layer '{untracked[0]}' of the {role} of '{checkpoint.name}' normalises by each "
                "batch and keeps no statistics. Build it with track_running_stats=True; the rest is then estimated."
            )
            raise CheckpointError(msg)
        state, _ = with_missing_statistics(network, checkpoint.weights[role])
        checkpoint = replace(checkpoint, weights={**checkpoint.weights, role: state})
        if role == "generator":
            checkpoint, done[role] = with_sample_statistics(checkpoint), STATISTICS
        elif not checkpoint.architecture.takes_labels(role):
            checkpoint, done[role] = with_image_statistics(checkpoint, reference)
    return checkpoint, done


def stale_statistics(checkpoint: Checkpoint, role: Role) -> str:
    """Say in how many layers of a network the statistics were never updated; empty where in none.

    Example:
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> stale_statistics(Checkpoint.random(dcgan32(width=2), seed=0), "generator")
        'never updated in 6 of 6 layers (mean 0, variance 1)'
    """
    network = checkpoint.network(role)
    layers, untouched = batchnorm_layers(network), untouched_layers(network)
    return f"never updated in {len(untouched)} of {len(layers)} layers (mean 0, variance 1)" if untouched else ""
