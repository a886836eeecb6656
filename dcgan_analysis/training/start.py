"""Starting from the networks of a checkpoint instead of random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import TrainingError
from dcgan_analysis.models.architecture import ROLES
from dcgan_analysis.models.summary import parameters_in_words
from dcgan_analysis.models.widening import widening_obstacle

if TYPE_CHECKING:
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig


def describe_start(start: Checkpoint, config: TrainingConfig, architecture: Architecture) -> dict[str, Any]:
    """Return what the metadata of the new checkpoint say of the one it starts from.

    Weights and BatchNorm statistics are taken over; Adam's moments, the moving average and the count of epochs begin
    anew.

    Args:
        start: The checkpoint.
        config: Settings of the training.
        architecture: What is trained.

    Returns:
        ``name`` and ``sha256``; ``epochs``, ``images`` and ``hours`` of it and of all that it was started from itself,
        and whether those are ``all_hours``; where it was widened, ``widened_from``, the parameters of its architecture.

    Raises:
        TrainingError: If it lacks a network, is of another architecture (and not of a narrower one that the settings
            allow to widen), or takes latent vectors of another prior.
    """
    what = f"start_from: checkpoint '{start.name}'"
    missing = [role for role in ROLES if not start.has(role)]
    if missing:
        msg = f"{what} holds no {missing[0]}; both networks go on. Start from one that has both."
        raise TrainingError(msg)
    theirs, ours = start.architecture, architecture
    other = theirs.identity() != ours.identity()
    obstacle = widening_obstacle(theirs, ours) if other else ""
    if obstacle and config.widen:
        msg = f"{what} cannot be widened to {_named(ours)}: {obstacle}. Leave out widen, architecture and parameters."
        raise TrainingError(msg)
    if other and not config.widen:
        wider = "" if obstacle else " (or widen it by the setting widen=true)"
        msg = (
            f"{what} is {_named(theirs)}, and {_named(ours)} is to be trained. "
            f"Leave out architecture and parameters to train what it is{wider}."
        )
        raise TrainingError(msg)
    if start.metadata.z_prior != config.z_prior:
        msg = (
            f"{what} takes latent vectors of the {start.metadata.z_prior} prior, and z_prior is {config.z_prior}. "
            f"Set z_prior={start.metadata.z_prior}."
        )
        raise TrainingError(msg)
    widened = {"widened_from": dict(theirs.parameters)} if other else {}
    return {"name": start.name, "sha256": start.sha256(), **start.metadata.history._asdict(), **widened}


def _named(architecture: Architecture) -> str:
    return f"'{architecture.name}' ({parameters_in_words(architecture)})"
