"""The state of a training between two steps: everything that the next step depends on, in one safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dcgan_analysis.atomic import atomic_path
from dcgan_analysis.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.networks import AdversarialPair

__all__ = ["load_state", "save_state"]

# Settings that may change between a training and its resume without making it another training.
_FREE = {"epochs", "sample_every"}


def _tensors(pair: AdversarialPair) -> dict[str, Tensor]:
    """All tensors of networks and optimisers by name; optimiser state under the parameter's own name."""
    tensors: dict[str, Tensor] = {}
    for role, network, optimizer in (
        ("generator", pair.generator, pair.generator_optimizer),
        ("discriminator", pair.discriminator, pair.discriminator_optimizer),
    ):
        for name, tensor in network.state_dict().items():
            tensors[f"{role}.{name}"] = tensor
        for name, parameter in network.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{role}_optimizer.{key}.{name}"] = value
    if pair.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in pair.average.state_dict().items()}
    return tensors


def save_state(path: Path, pair: AdversarialPair, config: TrainingConfig, progress: dict[str, Any]) -> None:
    """Write the state, whole or not at all.

    Args:
        path: The file.
        pair: Networks and optimisers.
        config: The settings, compared on resume.
        progress: JSON-serialisable: step, history, data hash.
    """
    header = {"config": config.model_dump_json(), "progress": json.dumps(progress)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(pair).items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load_state(path: Path, pair: AdversarialPair, config: TrainingConfig) -> dict[str, Any]:
    """Put a saved state into ``pair`` and return the ``progress`` saved with it.

    Raises:
        TrainingError: If the file is unreadable, or was made with other settings: each that differs is named.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            _same_settings(path, json.loads(header["config"]), config)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        progress: dict[str, Any] = json.loads(header["progress"])
        _restore(pair, tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        msg = f"Training state '{path}' cannot be read: {error}. Start anew with another --out."
        raise TrainingError(msg) from None
    return progress


def _same_settings(path: Path, saved: dict[str, Any], config: TrainingConfig) -> None:
    now = config.model_dump(mode="json")
    differing = [
        f"{key} (saved {saved.get(key)!r}, now {now.get(key)!r})"
        for key in sorted(saved.keys() | now.keys())
        if key not in _FREE and saved.get(key) != now.get(key)
    ]
    if differing:
        msg = (
            f"'{path.parent}' holds a training with other settings: {'; '.join(differing)}. "
            "Resume with the same settings, or train into another --out."
        )
        raise TrainingError(msg)


@torch.no_grad()
def _restore(pair: AdversarialPair, tensors: dict[str, Tensor]) -> None:
    if pair.average is not None:
        pair.average.load_state_dict({name: tensors[f"average.{name}"] for name in pair.average.state_dict()})
    for role, network, optimizer in (
        ("generator", pair.generator, pair.generator_optimizer),
        ("discriminator", pair.discriminator, pair.discriminator_optimizer),
    ):
        network.load_state_dict({name: tensors[f"{role}.{name}"] for name in network.state_dict()})
        for name, parameter in network.named_parameters():
            for key in ("step", "exp_avg", "exp_avg_sq"):
                value = tensors.get(f"{role}_optimizer.{key}.{name}")
                if value is None:
                    continue  # saved before this optimiser's first step
                # The moments keep the parameter's memory layout: a fused Adam walks both side by side.
                optimizer.state[parameter][key] = (
                    value.clone() if key == "step" else torch.empty_like(parameter).copy_(value)
                )
