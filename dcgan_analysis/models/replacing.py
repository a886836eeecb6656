"""Layers of a network exchanged for ones that compute the same in another way, around the same parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Convolution", "remade", "replace_layers"]

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
