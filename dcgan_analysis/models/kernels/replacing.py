"""Layers of a network exchanged for ones that compute the same in another way, around the same parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Convolution", "is_plain", "remade", "replace_layers"]

Network = TypeVar("Network", bound=nn.Module)
Convolution = TypeVar("Convolution", bound="nn.Conv2d | nn.ConvTranspose2d")


def replace_layers(network: Network, replacement: Callable[[nn.Module], nn.Module | None]) -> Network:
    """Exchange the layers of a network, in place.

    Args:
        network: Changed in place; names stay.
        replacement: Returns what takes the place of a layer, or None to leave it.

    Returns:
        The network.
    """
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            made = replacement(module)
            if made is not None:
                setattr(parent, name, made)
    return network


def is_plain(module: nn.Module, maps: int) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    """Whether it is a convolution in float32 on a CPU, dense, zero-padded, between at least so many maps."""
    # Exactly these types: a subclass, such as a parametrised convolution, computes its kernels in its own way.
    if type(module) not in (nn.Conv2d, nn.ConvTranspose2d):
        return False
    assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    placed = module.weight.dtype == torch.float32 and module.weight.device.type == "cpu"
    dense = module.dilation == (1, 1) and module.groups == 1 and module.padding_mode == "zeros"
    return placed and dense and min(module.in_channels, module.out_channels) >= maps


def remade(module: nn.Conv2d | nn.ConvTranspose2d, kind: type[Convolution]) -> Convolution:
    """Return a convolution of another class with the settings, the mode and the very parameters of ``module``."""
    made = kind(
        module.in_channels,
        module.out_channels,
        module.kernel_size,  # type: ignore[arg-type]
        module.stride,  # type: ignore[arg-type]
        module.padding,  # type: ignore[arg-type]
        bias=module.bias is not None,
        device="meta",
    )
    made.output_padding = module.output_padding
    made.weight, made.bias = module.weight, module.bias
    made.train(module.training)
    return made
