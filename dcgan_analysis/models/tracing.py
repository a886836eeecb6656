"""What a network is, found by running it once: its layers in order, and the taps of what comes out of each.

Nothing is asked of how the network was written. Layers may be modules or functions, activations separate, shared, in
place, or arithmetic on tensors; a layer table is not needed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dcgan_analysis.models.operations import (
    ACTIVATIONS,
    CONVOLUTIONS,
    SHAPING,
    WEIGHTED,
    Following,
    operation_name,
    tensors_in,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dcgan_analysis.models.architecture import Architecture, Role

# What may stand between the activation at the end of a network and what it returns.
_GATHERING = SHAPING | {"mean", "squeeze", "sum", "unsqueeze"}


@dataclass(frozen=True)
class TracedLayer:
    """A convolution or a linear layer that the forward pass came by.

    Attributes:
        operation: Torch's name of it: ``conv2d``, ``conv_transpose2d``, ``linear``, ``matmul``, ...
        tap: Name of the tap after its activation, or after its normalisation where no activation follows; None: no
            module's name says it.
        shape: What comes out there, without the batch axis: ``(C, H, W)`` or ``(D,)``.
        activated: Whether an activation follows.
        hidden: Whether another layer works on it; False of the layers that make the network's output.
        resizes: Whether it changes height or width of the maps itself, as a strided convolution does.
        between: Torch's names of the calls between it and the next layer of the pass, in order.
    """

    operation: str
    tap: str | None
    shape: tuple[int, ...]
    activated: bool
    hidden: bool
    resizes: bool
    between: tuple[str, ...]

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution, strided or fractional-strided."""
        return self.operation in CONVOLUTIONS


@dataclass(frozen=True)
class Trace:
    """What one forward pass showed.

    Attributes:
        layers: In the order of the pass.
        activation: Name of the elementwise function that the output comes out of; empty: it comes out of a layer.
        activation_call: How many calls of this function were before.
        operations: What was called with which numbers, call by call: what the printed modules do not say of a network.
    """

    layers: tuple[TracedLayer, ...]
    activation: str
    activation_call: int
    operations: tuple[str, ...]

    @property
    def feature_taps(self) -> tuple[str, ...]:
        """Taps after the activations of hidden convolutions; of hidden linear layers where there is no convolution.

        Convolutions without activation, such as those of an attention, count where none has one.
        """
        hidden = [layer for layer in self.layers if layer.hidden]
        chosen = [layer for layer in hidden if layer.is_convolution] or hidden
        chosen = [layer for layer in chosen if layer.activated] or chosen
        return tuple(dict.fromkeys(layer.tap for layer in chosen if layer.tap is not None))

    @property
    def map_taps(self) -> tuple[str, ...]:
        """Taps of a generator whose values are feature maps, lowest first."""
        hidden = (layer for layer in self.layers if layer.hidden and len(layer.shape) == 3)
        return tuple(dict.fromkeys(layer.tap for layer in hidden if layer.tap is not None))

    @property
    def second_highest(self) -> str | None:
        """Tap of a generator's second-highest convolution, the highest being the one that makes the image."""
        convolutions = [layer for layer in self.layers if layer.is_convolution]
        hidden = [layer for layer in convolutions if layer.hidden]
        return hidden[-1].tap if len(hidden) < len(convolutions) and hidden else None


def trace(network: nn.Module, *arguments: Tensor) -> Trace:
    """Run a network once, in evaluation mode, and see what it does.

    Args:
        network: Any module; modes, hooks and weights are as before afterwards, also after an error.
        arguments: What it takes, a batch of at least two.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1), nn.Sigmoid())
        >>> traced = trace(network, torch.zeros(2, 1, 3, 3))
        >>> traced.feature_taps, traced.activation
        (('1',), 'sigmoid')
    """
    tracer = _Tracer()
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        with torch.no_grad():
            return tracer.run(network, arguments)
    finally:
        for module, mode in modes:
            module.training = mode


def trace_role(network: nn.Module, architecture: Architecture, role: Role) -> Trace:
    """Trace one of the two networks of an architecture on random vectors, or images, and class 0.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan64
        >>> small = dcgan64(width=2)
        >>> trace_role(small.generator(), small, "generator").second_highest
        'deconv3'
    """
    parameter = next(network.parameters(), None)
    device = None if parameter is None else parameter.device
    source = torch.Generator().manual_seed(0)
    if role == "generator":
        inputs = torch.randn(2, architecture.z_size, generator=source)
    else:
        low, high = architecture.image_range
        inputs = torch.rand(2, *architecture.image_shape, generator=source) * (high - low) + low
    labels = [torch.zeros(2, dtype=torch.long, device=device)] if architecture.classes else []
    return trace(network, inputs.to(device), *labels)


@dataclass
class _Step:
    """A call on values that come from the network's input; values are numbers."""

    name: str
    inputs: list[int]
    outputs: list[int]
    weighted: bool
    call: int


@dataclass
class _Layer:
    """A layer while it is followed: the numbers of its output, of the last value before its activation, and after."""

    step: _Step
    position: int
    following: Following
    linear: int
    result: int | None = None


class _Tracer(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[_Step] = []
        self.operations: list[str] = []
        # A value is a tensor between two writes; tensors are kept, so that no other gets the id of one.
        self._numbers: dict[int, int] = {}
        self._values: list[Tensor] = []
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._layers: list[_Layer] = []
        # Value -> the calls of modules that returned it, innermost first; the call -> how many layers it holds.
        self._returned: dict[int, list[tuple[str, int]]] = {}
        self._held: dict[tuple[str, int], int] = {}
        self._calls: dict[str, int] = {}
        self._called: dict[str, int] = {}
        self._open: list[tuple[str, int]] = []
        # Of each of these calls, the values that it was given.
        self._inputs: list[set[int]] = []
        # Value -> the call of a module whose output an activation made it of.
        self._after: dict[int, tuple[str, int]] = {}
        self._following: dict[tuple[str, int], Following] = {}

    def run(self, network: nn.Module, arguments: tuple[Tensor, ...]) -> Trace:
        for argument in arguments:
            self._number(argument)
        with ExitStack() as stack:
            for path, module in network.named_modules():
                if path:
                    stack.callback(module.register_forward_pre_hook(partial(self._enter, path)).remove)
                    stack.callback(module.register_forward_hook(self._leave).remove)
            with self:
                output = network(*arguments)
        next_layers = [*(layer.position for layer in self._layers), None][1:]
        layers = [self._described(*each) for each in zip(self._layers, next_layers, strict=True)]
        ends = [self._numbers[id(tensor)] for tensor in tensors_in(output) if id(tensor) in self._numbers]
        last = self._activation(ends)
        name, call = ("", 0) if last is None else (last.name, last.call)
        return Trace(tuple(layers), name, call, tuple(self.operations))

    def _enter(self, path: str, _: nn.Module, inputs: tuple[object, ...]) -> None:
        call = self._calls[path] = self._calls.get(path, -1) + 1
        self._open.append((path, call))
        self._inputs.append({self._numbers[id(each)] for each in tensors_in(inputs) if id(each) in self._numbers})

    def _leave(self, _: nn.Module, __: object, output: object) -> None:
        at, taken = self._open.pop(), self._inputs.pop()
        # What hands back what it was given, as dropout does in evaluation mode, names nothing.
        if isinstance(output, Tensor) and self._numbers.get(id(output), -1) not in {-1, *taken}:
            self._returned.setdefault(self._numbers[id(output)], []).append(at)
            self._following[at] = Following(output)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        tensors = [*tensors_in((args, keywords))]
        inputs = [self._numbers[id(tensor)] for tensor in tensors if id(tensor) in self._numbers]
        result = func(*args, **keywords)
        outputs = [*tensors_in(result)]
        name = operation_name(func)
        self._called[name] = call = self._called.get(name, -1) + 1
        written = writes(func, args, keywords)
        # A call that writes and returns nothing: x[0] = 1.
        outputs = outputs or tensors[: int(written)]
        if not inputs or not outputs:
            return result
        for tensor in outputs:
            # The same tensor again, unwritten: dropout in evaluation mode.
            if written or not any(tensor is each for each in tensors):
                self._number(tensor)
        numbers = [self._numbers[id(tensor)] for tensor in outputs]
        step = _Step(name, inputs, numbers, name in WEIGHTED and len(inputs) < len(tensors), call)
        self.steps.append(step)
        self.operations.append(f"{name} {', '.join(_plain(args, keywords))} -> {[*map(self._shapes.get, numbers)]}")
        self._follow(step, tensors, result)
        return result

    def _number(self, tensor: Tensor) -> None:
        self._numbers[id(tensor)] = number = len(self._values)
        self._values.append(tensor)
        self._shapes[number] = tuple(tensor.shape[1:])

    def _follow(self, step: _Step, tensors: list[Tensor], result: object) -> None:
        for layer in self._layers:
            if layer.following.see(step.name, tensors, result):
                layer.result = step.outputs[0]
            elif layer.following.linear is result:
                layer.linear = step.outputs[0]
        for at, following in self._following.items():
            if following.see(step.name, tensors, result):
                self._after[step.outputs[0]] = at
        if step.weighted and isinstance(result, Tensor):
            self._layers.append(_Layer(step, len(self.steps) - 1, Following(result, SHAPING), step.outputs[0]))
            for at in self._open:
                self._held[at] = self._held.get(at, 0) + 1

    def _described(self, layer: _Layer, next_layer: int | None) -> TracedLayer:
        value = layer.linear if layer.result is None else layer.result
        before, after = self._shapes[layer.step.inputs[0]], self._shapes[layer.step.outputs[0]]
        return TracedLayer(
            operation=layer.step.name,
            tap=self._tap(value),
            shape=self._shapes[value],
            activated=layer.result is not None,
            hidden=self._is_hidden(layer),
            resizes=len(before) == len(after) == 3 and before[1:] != after[1:],
            between=tuple(step.name for step in self.steps[layer.position + 1 : next_layer]),
        )

    def _tap(self, value: int) -> str | None:
        """Name a value: by the largest module that returned it and holds no other layer, else by what came before."""
        at = self._returned.get(value, [])
        small = [layer for layer in at if self._held.get(layer, 0) < 2]
        if at:
            return self._name(*(small or at)[-1 if small else 0])
        return f"{self._name(*self._after[value])}:after" if value in self._after else None

    def _name(self, path: str, call: int) -> str:
        return f"{path}:{call}" if self._calls[path] else path

    def _is_hidden(self, layer: _Layer) -> bool:
        reached = set(layer.step.outputs)
        for step in self.steps[layer.position + 1 :]:
            if reached & set(step.inputs):
                if step.weighted:
                    return True
                reached |= set(step.outputs)
        return False

    def _activation(self, ends: list[int]) -> _Step | None:
        """Go back from what the network returned to the elementwise function or the layer that it comes out of."""
        # Calls that hand back what they were given make nothing.
        makers = {number: step for step in self.steps for number in step.outputs if number not in step.inputs}
        for end in ends:
            step = makers.get(end)
            while step is not None and step.name in _GATHERING and step.inputs:
                step = makers.get(step.inputs[0])
            return step if step is not None and step.name in ACTIVATIONS else None
        return None


def _plain(args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Iterator[str]:
    """Yield the numbers and words among a call's arguments."""
    for value in [*args, *keywords.values()]:
        if isinstance(value, bool | int | float | str | tuple | list) and not any(True for _ in tensors_in(value)):
            yield repr(value)
