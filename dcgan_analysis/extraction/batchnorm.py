"""BatchNorm statistics: re-estimated on given data, then frozen, so that an image never depends on its batch-mates.

The authors' code averages the statistics of successive minibatches, each layer normalised by its own batch while
it does so; that is what ``reestimate`` does. Running statistics kept during GAN training are no substitute: the
discriminator saw real and generated batches in turn, so they describe a mixture of both.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from dcgan_analysis.errors import DcganAnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

__all__ = ["batchnorm_layers", "keep_modes", "reestimate"]

Batch = TypeVar("Batch")

_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def batchnorm_layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch normalisation layers by module path."""
    return {name: m for name, m in network.named_modules() if isinstance(m, _BatchNorm)}


@contextmanager
def keep_modes(network: nn.Module) -> Iterator[None]:
    """Restore every module's train/eval flag at the end of the block, also after an error."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def reestimate(network: nn.Module, batches: Iterable[Batch], forward: Callable[[Batch], object] | None = None) -> int:
    """Replace the running statistics by the mean of per-batch statistics over ``batches``.

    Args:
        network: Changed in place: running mean and (biased) variance of each batch normalisation layer. Modes are
            restored.
        batches: Inputs of equal batch size, of at least two rows each.
        forward: How a batch is run, where it is more than one tensor; ``network(batch)`` by default.

    Returns:
        The number of batches used.

    Raises:
        DcganAnalysisError: If there is no batch; the statistics are then as they were.
    """
    layers = batchnorm_layers(network)
    counts: dict[str, int] = {}

    def remember(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            counts[name] = inputs[0].numel() // inputs[0].shape[1]

        return hook

    used = 0
    with keep_modes(network), ExitStack() as stack:
        network.eval()
        for name, layer in layers.items():
            stack.callback(layer.register_forward_pre_hook(remember(name)).remove)
            # momentum None: torch keeps the plain average over batches since the reset.
            stack.callback(setattr, layer, "momentum", layer.momentum)
            layer.momentum = None
            layer.train()
        for batch in batches:
            if used == 0:
                for layer in layers.values():
                    layer.reset_running_stats()
            (forward or network)(batch)
            used += 1
    if not used:
        msg = "BatchNorm statistics cannot be re-estimated: there is no batch of images. Give at least two images."
        raise DcganAnalysisError(msg)
    for name, n in counts.items():
        # torch stores the unbiased variance; the authors' code, like batch normalisation itself, uses the biased.
        variance = layers[name].running_var
        if variance is not None:
            variance.mul_((n - 1) / n)
    return used
