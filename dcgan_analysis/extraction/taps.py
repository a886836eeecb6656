"""Taps: named activations read by forward hooks, which are always taken off again."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dcgan_analysis.errors import ArchitectureError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

__all__ = ["capture"]


@contextmanager
def capture(network: nn.Module, taps: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of named modules during the forward passes of the block.

    Args:
        network: Any module; its hooks are as before when the block ends, also after an error.
        taps: Module paths, for the built-in architectures the layer names: ``"conv1"``, ...

    Yields:
        A dictionary that each forward pass fills anew: tap -> output, usually (N, C, H, W).

    Raises:
        UnknownNameError: If a tap is no module of the network.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.ReLU())
        >>> with capture(network, ["0"]) as outputs:
        ...     _ = network(torch.tensor([-1.0, 2.0]))
        >>> outputs["0"]
        tensor([0., 2.])
    """
    modules = dict(network.named_modules())
    outputs: dict[str, Tensor] = {}

    def keep(tap: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            outputs[tap] = output

        return hook

    for tap in taps:
        if tap not in modules or not tap:
            error = unknown_name("tap", tap, [name for name in modules if name and "." not in name])
            raise error
    if len(set(taps)) != len(taps):
        msg = f"Taps must differ, got {', '.join(taps)}."
        raise ArchitectureError(msg)
    with ExitStack() as stack:
        for tap in taps:
            stack.callback(modules[tap].register_forward_hook(keep(tap)).remove)
        yield outputs
