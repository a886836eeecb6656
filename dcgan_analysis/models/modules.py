"""Networks that somebody else wrote, as ``torch.nn.Module``s: copied, never changed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from torch import nn

__all__ = ["copied"]


def copied(network: nn.Module) -> nn.Module:
    """Return a deep copy without gradients; the module itself is only read.

    Tensors that a module keeps beside its parameters, as the former ``weight_norm`` does with the weight it computed,
    are copied too, though torch copies none that carries a history.
    """
    memo: dict[int, object] = {}
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)
