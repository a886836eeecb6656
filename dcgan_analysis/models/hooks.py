"""Forward hooks, which are always removed again: activations read at named taps, feature maps set to zero."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import ArchitectureError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from dcgan_analysis.models.architecture import Layer

__all__ = ["capture", "drop_maps", "map_layers", "run_to", "second_highest"]


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


def map_layers(layers: Sequence[Layer]) -> list[str]:
    """Return the names of the layers of a generator's table whose outputs are feature maps, lowest first.

    The last layer makes the image and does not count.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan64
        >>> map_layers(dcgan64().generator_layers)
        ['project', 'deconv1', 'deconv2', 'deconv3']
    """
    return [layer.name for layer in layers[:-1] if layer.kind != "linear" or layer.reshape is not None]


def second_highest(layers: Sequence[Layer]) -> str | None:
    """Return the name of a generator's second-highest convolution, the highest being the one that makes the image.

    Returns:
        The name; None where there are not two, or no layer table.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan64
        >>> second_highest(dcgan64().generator_layers)
        'deconv3'
    """
    convolutions = [layer.name for layer in layers if layer.kind != "linear"]
    return convolutions[-2] if len(convolutions) > 1 else None


@contextmanager
def drop_maps(network: nn.Module, maps: Mapping[str, Sequence[int]], *, rows: int | None = None) -> Iterator[None]:
    """Set feature maps to zero at all positions during the forward passes of the block.

    Args:
        network: Any module; its weights do not change, its hooks are as before when the block ends, also after an
            error.
        maps: Module path -> numbers of the maps (channels) of its output, (N, C, H, W) or (N, C).
        rows: Only in so many first rows of each batch; None: in all.

    Raises:
        UnknownNameError: If a path is no module of the network.
        ArchitectureError: In the forward pass, if there is no such map.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.ReLU())
        >>> with drop_maps(network, {"0": [1]}):
        ...     network(torch.tensor([[1.0, 2.0]]))
        tensor([[1., 0.]])
    """
    modules = dict(network.named_modules())
    for path in maps:
        if path not in modules or not path:
            error = unknown_name("layer", path, [name for name in modules if name and "." not in name])
            raise error

    def dropper(path: str, dropped: Sequence[int]) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def hook(_: nn.Module, __: object, output: Tensor) -> Tensor:
            size = output.shape[1]
            if min(dropped) < 0 or max(dropped) >= size:
                msg = f"Layer '{path}' has the maps 0 to {size - 1}, got {min(dropped)} to {max(dropped)}."
                raise ArchitectureError(msg)
            mask = torch.ones(size, dtype=output.dtype, device=output.device)
            mask[list(dropped)] = 0
            mask = mask.view(1, -1, *[1] * (output.dim() - 2))
            return output * mask if rows is None else torch.cat([output[:rows] * mask, output[rows:]])

        return hook

    with ExitStack() as stack:
        for path, dropped in maps.items():
            if len(dropped):
                stack.callback(modules[path].register_forward_hook(dropper(path, dropped)).remove)
        yield
