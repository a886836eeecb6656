"""A small convolutional network that reads attributes off images; it judges samples and knows no GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

__all__ = ["SIDE", "make_predictor", "train_predictor"]

SIDE = 32
"""Height and width of its input."""

_CHANNELS = (24, 48, 96)
_BATCH = 64
_SHIFT = 2
_LEARNING_RATE, _WEIGHT_DECAY = 2e-3, 1e-2


def make_predictor(channels: int, outputs: int) -> nn.Module:
    """Return three strided convolutions and one linear layer: (N, C, 32, 32) in [-1, 1] -> (N, outputs)."""
    layers: list[nn.Module] = []
    for out in _CHANNELS:
        layers += [nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    side = SIDE // 2 ** len(_CHANNELS)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, outputs))


def train_predictor(
    images: np.ndarray,
    targets: Tensor,
    binary: Tensor,
    prepare: Callable[[np.ndarray], Tensor],
    steps: int,
    seed: int,
    watch: Callable[[int, int], None],
) -> nn.Module:
    """Train one predictor of all attributes.

    Args:
        images: uint8 (N, C, H, W).
        targets: (N, A): 0 or 1 of binary attributes, standardised values of the others, NaN where unknown.
        binary: (A,) mask of the binary ones: cross entropy; the others: squared error.
        prepare: Bytes (N, C, H, W) to (N, C', 32, 32) in [-1, 1].
        steps: Minibatches of 64, each shifted by up to two pixels.
        seed: Initial weights, order and shifts; torch's global random state is left alone.
        watch: Told of steps done and steps in all.

    Returns:
        The network in evaluation mode.
    """
    source = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = make_predictor(prepare(images[:1]).shape[1], targets.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
    network.train()
    for step in range(steps):
        chosen = torch.randint(len(images), (_BATCH,), generator=source)
        top, left = torch.randint(2 * _SHIFT + 1, (2,), generator=source).tolist()
        batch = F.pad(prepare(images[chosen.numpy()]), (_SHIFT,) * 4, mode="replicate")
        loss = _loss(network(batch[:, :, top : top + SIDE, left : left + SIDE]), targets[chosen], binary)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if (step + 1) % 20 == 0 or step + 1 == steps:
            watch(step + 1, steps)
    return network.eval()


def _loss(found: Tensor, targets: Tensor, binary: Tensor) -> Tensor:
    known = ~targets.isnan()
    wanted = targets.nan_to_num()
    entropy = F.binary_cross_entropy_with_logits(found, wanted, reduction="none")
    losses = torch.where(binary, entropy, (found - wanted).square())
    return (losses * known).sum() / known.sum().clamp_min(1)
