"""BatchNorm statistics: re-estimated on given data, then frozen, so that an image never depends on its batch-mates.

The authors' code averages the statistics of successive minibatches, each layer normalised by its own batch while
it does so; that is what ``reestimate`` does. Running statistics kept during GAN training are no substitute: the
discriminator saw real and generated batches in turn, so they describe a mixture of both.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.models.replicas import run_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

REFERENCE_SEED = 0
"""Decides the order in which images meet in re-estimation batches: fixed, not the file's, which may go by class."""

Batch = TypeVar("Batch")

_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def batchnorm_layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch normalisation layers by module path."""
    return {name: m for name, m in network.named_modules() if isinstance(m, _BatchNorm)}


def untouched_layers(network: nn.Module) -> list[str]:
    """Return the paths of layers whose running statistics are as they are made: mean 0 and variance 1."""
    return [
        name
        for name, layer in batchnorm_layers(network).items()
        if layer.running_mean is not None and not layer.running_mean.any() and bool((layer.running_var == 1).all())  # type: ignore[union-attr]
    ]


@contextmanager
def keep_modes(network: nn.Module) -> Iterator[None]:
    """Restore every module's train/eval flag at the end of the block, also after an error."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def reference_batches(n: int, size: int) -> list[NDArray[np.int64]]:
    """Return which of ``n`` images make up each re-estimation batch of ``size`` images.

    Whole batches only: the mean of statistics weighs every batch alike. With fewer images than ``size`` there is one
    batch of all of them.
    """
    size = min(size, n)
    order = np.random.default_rng(REFERENCE_SEED).permutation(n)
    return [order[start : start + size] for start in range(0, n - size + 1, max(size, 1))]


@torch.no_grad()
def reestimate(
    network: nn.Module,
    batches: Iterable[Batch],
    forward: Callable[[nn.Module, Batch], object] | None = None,
    gather: Callable[[Tensor], Tensor] | None = None,
) -> int:
    """Replace the running statistics by the mean of per-batch statistics over ``batches``.

    Args:
        network: Changed in place: running mean and (biased) variance of each batch normalisation layer. Modes are
            restored.
        batches: Inputs of equal batch size, of at least two rows each.
        forward: How a batch is run by the network that it is given, where ``network(batch)`` does not do; batches run
            side by side, see ``run_batches``.
        gather: Where several processes share the batches: given the statistics of this process's batches, one row a
            batch, returns those of all batches in order.

    Returns:
        The number of batches used, all processes together; 0 where the network has no such layer.

    Raises:
        DcganAnalysisError: If there is no batch; the statistics are then as they were.
    """
    layers = batchnorm_layers(network)
    if not layers:
        return 0

    def row(own: nn.Module, batch: Batch) -> Tensor:
        counts: dict[nn.Module, int] = {}

        def count(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            counts[layer] = inputs[0].numel() // inputs[0].shape[1]

        running = list(batchnorm_layers(own).values())
        with torch.no_grad(), ExitStack() as stack:
            for layer in running:
                layer.reset_running_stats()
                stack.callback(layer.register_forward_pre_hook(count).remove)
            (forward or _call)(own, batch)
        return _row(running, counts)

    with keep_modes(network), ExitStack() as stack:
        network.eval()
        for layer in layers.values():
            # With momentum 1 the running statistics are those of the last batch.
            stack.callback(setattr, layer, "momentum", layer.momentum)
            layer.momentum = 1.0
            layer.train()
        rows = list(run_batches(row, network, batches))
    own = torch.stack(rows) if rows else torch.empty(0, len(_row(list(layers.values()), {})))
    every = own if gather is None else gather(own)
    if not len(every):
        msg = "BatchNorm statistics cannot be re-estimated: there is no batch of images. Give at least two images."
        raise DcganAnalysisError(msg)
    # In float64: the mean of many batches must not depend on how a processor adds.
    _write_back(layers, every.double().mean(0), len(every))
    return len(every)


def _call(network: nn.Module, batch: object) -> object:
    return network(batch)


def _statistics(layer: _BatchNorm) -> list[Tensor]:
    return [statistic for statistic in (layer.running_mean, layer.running_var) if statistic is not None]


def _row(layers: Sequence[_BatchNorm], counts: Mapping[nn.Module, int]) -> Tensor:
    """Return means and biased variances of the last batch, layer after layer, on the CPU."""
    parts = []
    for layer in layers:
        *mean, variance = _statistics(layer)
        # torch keeps the unbiased variance; the authors' code, like batch normalisation itself, uses the biased.
        n = counts.get(layer, 0)
        parts += [part.cpu() for part in (*mean, variance * ((n - 1) / n) if n else variance)]
    return torch.cat(parts)


def _write_back(layers: dict[str, _BatchNorm], means: Tensor, batches: int) -> None:
    statistics = [statistic for layer in layers.values() for statistic in _statistics(layer)]
    sizes = [len(statistic) for statistic in statistics]
    for statistic, mean in zip(statistics, torch.split(means, sizes), strict=True):
        statistic.copy_(mean)
    for layer in layers.values():
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.fill_(batches)
