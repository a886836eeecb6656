"""Whether networks are left as they were: weights, statistics, modes and hooks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from dcgan_analysis.models.architecture import Role


class Snapshot:
    """A module as it was when this was made.

    Args:
        network: The module, which is watched and not copied.
        name: What messages call it.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self.network = network
        self.name = name
        self._state = _copies(network.state_dict())
        self._modes = {path: module.training for path, module in network.named_modules()}
        self._hooks = _hooks(network)

    def change(self) -> str | None:
        """Return the first thing that is no longer as it was, in words; None: nothing."""
        differing = _first_difference(self._state, self.network.state_dict())
        if differing is not None:
            return f"the parameter or buffer '{differing}' of the {self.name}"
        for path, module in self.network.named_modules():
            if module.training != self._modes.get(path):
                return f"the train/eval mode of '{path or 'network'}' in the {self.name}"
        hooks = _hooks(self.network)
        for path in hooks:
            if hooks[path] != self._hooks.get(path):
                return f"the hooks of '{path or 'network'}' in the {self.name}"
        return None


@dataclass(frozen=True, repr=False)
class WatchedCheckpoint(Checkpoint):
    """A checkpoint that remembers which networks it handed out, and its weights as they were."""

    _handed_out: list[Snapshot] = field(default_factory=list, repr=False, compare=False)
    _before: dict[Role, dict[str, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def watch(cls, checkpoint: Checkpoint) -> WatchedCheckpoint:
        """Return the same checkpoint, watched from now on."""
        values = {item.name: getattr(checkpoint, item.name) for item in fields(Checkpoint) if item.init}
        return cls(**values, _before={role: _copies(state) for role, state in checkpoint.weights.items()})

    def change(self) -> str | None:
        """Return the first thing that is no longer as it was, in words; None: nothing."""
        for role, state in self._before.items():
            differing = _first_difference(state, self.weights[role])
            if differing is not None:
                return f"the weights '{role}.{differing}' of the checkpoint"
        return next((change for snapshot in self._handed_out if (change := snapshot.change())), None)

    def network(self, role: Role) -> nn.Module:
        """Return one of the two networks, and watch it."""
        network = super().network(role)
        self._handed_out.append(Snapshot(network, role))
        return network


def _copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _first_difference(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> str | None:
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            return name
        same_type = before[name].dtype == after[name].dtype
        if not same_type or not torch.equal(before[name], after[name].detach().to(before[name].device)):
            return name
    return None


def _hooks(network: nn.Module) -> dict[str, int]:
    # torch keeps each kind of hook in a dictionary of the module: _forward_hooks, _backward_pre_hooks, ...
    return {
        path: sum(len(value) for name, value in vars(module).items() if name.endswith("_hooks"))
        for path, module in network.named_modules()
    }
