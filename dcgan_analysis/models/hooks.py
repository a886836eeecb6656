"""Taps: named activations read by forward hooks, which are always taken off again."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dcgan_analysis.errors import ArchitectureError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

__all__ = ["capture", "run_to"]


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
    outputs: dict[str, Tensor] = {}

    def keep(tap: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            outputs[tap] = output

        return hook

    modules = {tap: _module(network, tap) for tap in taps}
    if len(set(taps)) != len(taps):
        msg = f"Taps must differ, got {', '.join(taps)}."
        raise ArchitectureError(msg)
    with ExitStack() as stack:
        for tap in taps:
            stack.callback(modules[tap].register_forward_hook(keep(tap)).remove)
        yield outputs


class _ReachedError(Exception):
    """Carries a tap's output out of the forward pass, whose rest nobody needs."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


def run_to(network: nn.Module, tap: str, *arguments: Tensor) -> Tensor:
    """Run a network up to a tap and return the output there; what comes after is not computed.

    Args:
        network: Any module; its hooks are as before afterwards, also after an error.
        tap: Module path.
        arguments: The network's arguments.

    Raises:
        UnknownNameError: If the tap is no module of the network.
        ArchitectureError: If the forward pass does not come by it.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Softplus())
        >>> run_to(network, "0", torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def stop(_: nn.Module, __: object, output: Tensor) -> None:
        raise _ReachedError(output)

    handle = _module(network, tap).register_forward_hook(stop)
    try:
        network(*arguments)
    except _ReachedError as reached:
        return reached.output
    finally:
        handle.remove()
    msg = f"The forward pass does not come by tap '{tap}'. Choose another."
    raise ArchitectureError(msg)


def _module(network: nn.Module, tap: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if tap not in modules or not tap:
        error = unknown_name("tap", tap, [name for name in modules if name and "." not in name])
        raise error
    return modules[tap]
