"""Frozen BatchNorm folded into the operation before it: the same function with fewer passes over the maps.

With fixed statistics, gamma * (W x - mean) / sqrt(var + eps) + beta is a convolution with scaled kernels and a bias.
In reduced precision this is also more accurate: the sum is rounded once, after scale and shift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dcgan_analysis.models.builder import Block
from dcgan_analysis.models.hooks import Tap

if TYPE_CHECKING:
    from collections.abc import Collection


@torch.no_grad()
def fold_batchnorm(network: nn.Module, taps: Collection[str] = ()) -> nn.Module:
    """Fold every block's frozen BatchNorm into its operation, where it directly follows one.

    Args:
        network: In evaluation mode; changed in place. Networks without ``Block``s (a plugin's) are left alone.
        taps: Taps that are read. Where one is an operation itself (``"conv2.operation"``), its block is left
            as it is: its output before BatchNorm is asked for.

    Returns:
        The network.
    """
    paths = {Tap.parse(tap).path for tap in taps}
    for name, block in network.named_modules():
        if not isinstance(block, Block) or not block.layer.weighted or f"{name}.operation" in paths:
            continue
        if isinstance(block.norm, nn.BatchNorm1d | nn.BatchNorm2d):
            # One factor for each output: not where units have become maps.
            if block.layer.norm_after_activation or block.norm.num_features != block.layer.out:
                continue
            _absorb(block.operation, block.norm)
            block.norm = nn.Identity()
    return network


def _absorb(operation: nn.Module, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        msg = "BatchNorm without running statistics cannot be folded"
        raise ValueError(msg)
    if not isinstance(operation, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        msg = f"cannot fold into {type(operation).__name__}"
        raise TypeError(msg)
    # In float64, so that the only rounding is that of the result.
    bias, scale, shift = (None if part is None else part.double() for part in (operation.bias, norm.weight, norm.bias))
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    transposed = isinstance(operation, nn.ConvTranspose2d)
    fused = fuse_conv_bn_weights(operation.weight.double(), bias, mean, variance, norm.eps, scale, shift, transposed)
    operation.weight, operation.bias = (nn.Parameter(part.to(operation.weight.dtype)) for part in fused)
