"""A network run on several batches side by side, each by a copy that shares its weights."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import torch

from dcgan_analysis.core.parallel import in_worker, parallel_map, worker_count
from dcgan_analysis.models.hooks import has_global_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

__all__ = ["run_batches"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_batches(
    function: Callable[[nn.Module, Item], Result], network: nn.Module, items: Iterable[Item]
) -> Iterator[Result]:
    """Yield ``function(network, item)`` of each item, in the order of the items; see ``parallel_map``.

    Calls that run side by side get copies of the network, with the same parameters and buffers of their own: hooks that
    a call puts on, and what a module keeps in a pass, are its own. A network that has hooks is not copied; it makes
    every pass itself, one after the other, and its hooks see them.

    Args:
        function: Given the network or a copy of it, and an item.
        network: Its parameters must stay as they are meanwhile.
        items: One for each call.

    Example:
        >>> network = torch.nn.Linear(1, 1, bias=False).requires_grad_(False)
        >>> _ = torch.nn.init.constant_(network.weight, 2.0)
        >>> list(run_batches(lambda own, x: own(x).item(), network, torch.tensor([[1.0], [3.0]])))
        [2.0, 6.0]
    """
    if has_global_hooks() or any(module._forward_hooks or module._forward_pre_hooks for module in network.modules()):
        return (function(network, item) for item in items)
    device = next((tensor.device for tensor in chain(network.parameters(), network.buffers())), None)
    free = [_copy(network) if in_worker() else network, *(_copy(network) for _ in range(worker_count(device) - 1))]

    def call(item: Item) -> Result:
        own = free.pop()
        try:
            return function(own, item)
        finally:
            free.append(own)

    return parallel_map(call, items, device=device)


def _copy(network: nn.Module) -> nn.Module:
    shared: list[torch.Tensor] = [*network.parameters()]
    for module in network.modules():
        shared += [value for value in vars(module).values() if isinstance(value, torch.Tensor)]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in shared})
