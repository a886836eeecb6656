"""Small classifiers: network, training loop and evaluation; minibatches, loss and optimiser are the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from torch import Tensor


def strided_network(
    image_shape: tuple[int, int, int], maps: Sequence[int], outputs: int, *, kernel: int, batchnorm: bool = False
) -> nn.Sequential:
    """Return convolutions of stride 2 with ReLU, each halving height and width (rounded up), and one linear layer.

    Args:
        image_shape: (C, H, W).
        maps: Of each convolution.
        outputs: Of the linear layer.
        kernel: Height and width of the kernels, odd.
        batchnorm: Whether maps are normalised before each ReLU.

    Example:
        >>> strided_network((1, 7, 7), [8, 16], 10, kernel=3)(torch.zeros(2, 1, 7, 7)).shape
        torch.Size([2, 10])
    """
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for out in maps:
        layers.append(nn.Conv2d(channels, out, kernel, 2, kernel // 2, bias=not batchnorm))
        layers += [nn.BatchNorm2d(out), nn.ReLU()] if batchnorm else [nn.ReLU()]
        channels, height, width = out, -(-height // 2), -(-width // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, outputs))


def train_network(
    forward: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    minibatches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    after: Callable[[], object] | None = None,
) -> float:
    """Take one step for each minibatch and return the mean loss of an image.

    Args:
        forward: Maps images (n, C, H, W) to outputs; a network in training mode, say.
        optimizer: Holds what learns.
        minibatches: Images and targets.
        loss: Maps outputs and targets to the minibatch's mean loss.
        after: Called after each step.
    """
    total, count = 0.0, 0
    for images, targets in minibatches:
        value = loss(forward(images), targets)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        optimizer.step()
        if after is not None:
            after()
        total += float(value.detach()) * len(images)
        count += len(images)
    return total / count


def outputs(network: nn.Module, images: np.ndarray, prepare: Callable[[np.ndarray], Tensor], *, batch: int) -> Tensor:
    """Return the outputs (N, K) of a network in evaluation mode; its mode is restored.

    Args:
        network: The network.
        images: uint8 (N, C, H, W), N at least 1.
        prepare: Bytes to the network's input.
        batch: Images at a time.
    """

    @torch.inference_mode()
    def compute(own: nn.Module, start: int) -> Tensor:
        result: Tensor = own(prepare(images[start : start + batch]))
        return result

    was_training = network.training
    network.eval()
    try:
        parts = list(run_batches(compute, network, range(0, len(images), batch)))
    finally:
        network.train(was_training)
    return torch.cat(parts)
