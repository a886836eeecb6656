"""Distributed training: each process that torchrun starts computes its rows of every minibatch.

A minibatch is the same whatever the number of processes, and process r takes the r-th part of its rows. So a training
can be resumed with another number of processes; with batch normalisation over all of them (``sync_batchnorm``) it
computes what one process would, up to rounding.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn

from dcgan_analysis.core import distributed as core
from dcgan_analysis.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

# The first process measures and writes at the end of an interval, while the others wait for it.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Number of this process, from 0.
        count: Number of processes.

    Example:
        >>> Processes(rank=1, count=4).rows(128)
        slice(32, 64, None)
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Return which rows of a minibatch are this process's.

        Raises:
            TrainingError: If the processes' shares are unequal, or hold fewer than two images.
        """
        share, rest = divmod(batch_size, self.count)
        if rest or share < 2:  # batch normalisation needs two
            msg = (
                f"batch_size {batch_size} cannot be shared by {self.count} processes: it must be a multiple of "
                f"{self.count}, and at least {2 * self.count}. Choose another batch_size, or start fewer processes."
            )
            raise TrainingError(msg)
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes; a collective call."""
        if self.count == 1:
            return values
        values = values.clone()
        distributed.all_reduce(values)
        return values / self.count

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether any process has its flag set; a collective call."""
        if self.count == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=device)) > 0)

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
        if self.count > 1:
            core.wait_for_all()


SINGLE = Processes()


@contextmanager
def process_group(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started, for the block; without torchrun this process is alone.

    Args:
        device: Where to compute; of several GPUs each process takes the one with its local number.

    Yields:
        This process among them, and its device.
    """
    on_gpu = device.type == "cuda"
    with core.process_group(gpus=on_gpu, timeout=_PATIENCE):
        processes = Processes(core.rank(), core.world_size())
        if on_gpu and processes.count > 1:
            device = torch.device("cuda", torch.cuda.current_device())
        yield processes, device


class _SumOverAll(torch.autograd.Function):
    """Sum over all processes. Each of them uses the sum, so gradients are summed likewise.

    Torch's own, torch.distributed.nn.functional.all_reduce, is deprecated without a public successor.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        summed = gradients[0].clone()
        distributed.all_reduce(summed)
        return summed


def _sum_over_all(values: Tensor) -> Tensor:
    summed: Tensor = _SumOverAll.apply(values)
    return summed


class _SynchronisedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with the statistics of all processes' batches; torch's own works on GPUs only."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept maps and vectors alike."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C) or (N, C, H, W) by mean and variance over all processes; gradients flow through both."""
        if not self.training:
            frozen: Tensor = super().forward(input)
            return frozen
        axes = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        x = input.float()
        n = x.numel() // x.shape[1] * distributed.get_world_size()
        mean = _sum_over_all(x.sum(axes)) / n
        centred = x - mean.view(shape)
        variance = _sum_over_all(centred.square().sum(axes)) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1))
        x = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            x = x * self.weight.view(shape) + self.bias.view(shape)
        normalised: Tensor = x.to(input.dtype)
        return normalised

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)


def synchronise_batchnorm(network: nn.Module, device: torch.device) -> nn.Module:
    """Let every batch normalisation layer see all processes' images; parameters keep their names."""
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for name, module in list(network.named_modules()):
        if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        new = _SynchronisedNorm(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
        )
        new.load_state_dict(module.state_dict())
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, new)
    return network
