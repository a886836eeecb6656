"""Frozen BatchNorm folded into the operation before it: the same function with fewer passes over the maps.

With fixed statistics, gamma * (W x - mean) / sqrt(var + eps) + beta is a convolution with scaled kernels and a bias.
In reduced precision this is also more accurate: the sum is rounded once, after scale and shift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_analysis.models.builder import Block

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

__all__ = ["activate_in_place", "fold_batchnorm"]


@torch.no_grad()
def fold_batchnorm(network: nn.Module, taps: Collection[str] = ()) -> nn.Module:
    """Fold every block's frozen BatchNorm into its operation.

    Args:
        network: In evaluation mode; changed in place. Networks without ``Block``s (a plugin's) are left alone.
        taps: Module paths that are read. Where one is an operation itself (``"conv2.operation"``), its block is left
            as it is: its output before BatchNorm is asked for.

    Returns:
        The network.
    """
    for name, block in network.named_modules():
        if not isinstance(block, Block) or f"{name}.operation" in taps:
            continue
        if isinstance(block.norm, nn.BatchNorm1d | nn.BatchNorm2d):
            scale, shift = _scale_and_shift(block.norm)
            _absorb(block.operation, scale, shift)
            block.norm = nn.Identity()
    return network


def activate_in_place(network: nn.Module, taps: Collection[str] = ()) -> nn.Module:
    """Let every block's ReLU or LeakyReLU write over its input, which nothing else reads: one large buffer less.

    Args:
        network: Changed in place. Networks without ``Block``s (a plugin's) are left alone.
        taps: Module paths that are read. A block that is read before its activation is left as it is.

    Returns:
        The network.
    """
    for name, block in network.named_modules():
        if not isinstance(block, Block) or {f"{name}.operation", f"{name}.norm"} & set(taps):
            continue
        if isinstance(block.activation, nn.ReLU | nn.LeakyReLU):
            block.activation.inplace = True
    return network


def _scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        msg = "BatchNorm without running statistics cannot be folded"
        raise ValueError(msg)
    scale = torch.rsqrt(variance.double() + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.double()
        return scale, norm.bias.double() - mean.double() * scale
    return scale, -mean.double() * scale


def _absorb(operation: nn.Module, scale: Tensor, shift: Tensor) -> None:
    if not isinstance(operation, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        msg = f"cannot fold into {type(operation).__name__}"
        raise TypeError(msg)
    weight = operation.weight
    # Output channels are the first axis of linear and conv weights, the second of transposed ones.
    axis = 1 if isinstance(operation, nn.ConvTranspose2d) else 0
    shape = [-1 if i == axis else 1 for i in range(weight.dim())]
    bias = 0 if operation.bias is None else operation.bias.double() * scale
    operation.weight = nn.Parameter((weight.double() * scale.view(shape)).to(weight.dtype))
    operation.bias = nn.Parameter((shift + bias).to(weight.dtype))
