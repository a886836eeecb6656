"""Modules in memory as a checkpoint: everything that can be done with a file can be done with them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.metadata import CheckpointMetadata
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.batchnorm import batchnorm_layers
from dcgan_analysis.models.modules import module_architecture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

# The same for all: what a checkpoint is called is no part of what it is.
_ARCHITECTURE = "modules"


def wrap(
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    *,
    latent: int | Sequence[int] | None = None,
    image: Sequence[int] | None = None,
    image_range: tuple[float, float] = (-1.0, 1.0),
    z_prior: Literal["normal", "uniform"] = "normal",
    classes: int = 0,
    name: str = "wrapped",
    taps: Sequence[str] | None = None,
) -> Checkpoint:
    """Make a checkpoint of modules in memory; the modules are copied and never changed.

    Args:
        generator: Any module that makes images (N, C, H, W) from latent vectors (N, Z) or (N, Z, 1, 1); None: none.
        discriminator: Any module that judges images: by logits or probabilities (N,), (N, 1), (N, 1, 1, 1), by a map of
            them, or by a tuple that holds one of these; None: none.
        latent: Z, or the shape of a latent vector: ``100`` or ``(100, 1, 1)``. None: found by trying.
        image: (C, H, W). None: what the generator makes; of a discriminator alone, found by trying.
        image_range: Lowest and highest pixel value: (-1, 1) for tanh, (0, 1) for sigmoid.
        z_prior: Distribution of latent vectors: ``normal``, or ``uniform`` between -1 and 1.
        classes: K, where the networks take labels as a second argument, class numbers or one-hot; 0: they take none.
        name: What messages and reports call it; no part of its identity.
        taps: Taps of the discriminator that give the features, module paths such as ``"main.2"``, ``"act:1"`` (a
            module's second call) or ``"conv1:after"`` (an activation called as a function). None: after the activation
            of each convolution.

    Returns:
        A checkpoint for ``da.run``, ``features``, ``sample`` and ``twin``. It cannot be saved: a file holds no code.
        What was adapted stands in ``metadata.provenance["adapted"]``.

    Warns:
        UserWarning: If a network has batch normalisation without running statistics: what it makes of an image depends
            on the other images of the batch. Also in ``metadata.provenance["warnings"]``.

    Raises:
        ArchitectureError: If a module cannot be run as a generator or a discriminator, or the two do not fit.

    Example:
        >>> from torch import nn
        >>> G = nn.Sequential(nn.Linear(8, 3 * 16 * 16), nn.Tanh(), nn.Unflatten(1, (3, 16, 16)))
        >>> wrap(generator=G, name="mine").sample(2, seed=0).shape
        torch.Size([2, 3, 16, 16])
    """
    architecture, notes = module_architecture(
        _ARCHITECTURE,
        generator=generator,
        discriminator=discriminator,
        latent=latent,
        image=image,
        image_range=image_range,
        classes=classes,
        taps=taps,
    )
    architecture = replace(architecture, in_memory=True)
    weights: dict[Role, Mapping[str, Tensor]] = {
        role: {key: value.detach() for key, value in architecture.network(role).state_dict().items()}
        for role in ROLES
        if architecture.has(role)
    }
    provenance: dict[str, Any] = {"origin": "modules in memory"} | ({"adapted": list(notes)} if notes else {})
    warned = [text for role in weights for text in _depends_on_batch(architecture.network(role), role)]
    for text in warned:
        warnings.warn(text, UserWarning, stacklevel=2)
    if warned:
        provenance["warnings"] = warned
    metadata = CheckpointMetadata(
        architecture=architecture.name,
        parameters=dict(architecture.parameters),
        z_prior=z_prior,
        image_range=architecture.image_range,
        provenance=provenance,
    )
    return Checkpoint(name, architecture, weights, metadata)


def _depends_on_batch(network: nn.Module, role: Role) -> Iterator[str]:
    names = [name for name, layer in batchnorm_layers(network).items() if layer.running_mean is None]
    if names:
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        what = "an image's features and judgement depend" if role == "discriminator" else "an image depends"
        yield (
            f"The {role} has BatchNorm without running statistics ({shown}): {what} on the rest of the batch, and "
            "results on batch sizes. Train with track_running_stats=True, or freeze the statistics."
        )
