"""Settles what a file leaves open: which kernels are transposed, strides, paddings, where maps grow, activations.

A search over all ways in which the operations can be one network. Each choice that is not the usual one costs
something; the result must begin and end as its role demands, and images have a size that images have. The cheapest
network is taken, and everything that a rule settled is marked as assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dcgan_analysis.checkpoints.importers.geometry import Habit, Padded, convolved, geometries, sides, transposed
from dcgan_analysis.checkpoints.importers.operations import (
    Activate,
    Flatten,
    Gap,
    Label,
    Normalise,
    Operation,
    Pad,
    Pool,
    Reshape,
    Resize,
    Shuffle,
    Sides,
    Weighted,
)
from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dcgan_analysis.checkpoints.importers.settings import NetworkSettings
    from dcgan_analysis.models.architecture import Activation, Role

__all__ = ["Structure", "is_exact", "shape_after", "structures"]

USUAL_SIZES = (28, 32, 48, 64, 96, 128, 256)
_SIZES = (*USUAL_SIZES, 16, 24, 40, 56, 80, 112, 160, 192, 224, 512)
_UNUSUAL_SIZE = 2.5
_LARGEST = 2048
# Costs up to which ways are looked for, as long as none is found, and how many ways to reach one state are followed.
_CAPS = ((1.0, 6), (3.0, 2), (6.5, 1))
_CHANNELS = {3: 0.0, 1: 0.0, 4: 0.5, 2: 2.0}

_Shape = tuple[int, ...]
# The last operation and what came before it: ways share their beginnings.
_Path = tuple[Operation, Any] | None


@dataclass(frozen=True)
class Structure:
    """One way in which the operations are a network.

    Attributes:
        role: Which network it is.
        operations: All settled, without gaps.
        image_shape: (C, H, W) of the images made or taken.
        z_size: Length of the latent vector; 0 for a discriminator.
        cost: How unusual it is.
        padded: How its kernels are padded, where the file does not say.
    """

    role: Role
    operations: tuple[Operation, ...]
    image_shape: tuple[int, int, int]
    z_size: int
    cost: float
    padded: Padded = "usual"

    @property
    def classes(self) -> int:
        """How many classes it is conditioned on; 0: none."""
        return max((each.classes for each in self.operations if isinstance(each, Label)), default=0)


class _State(NamedTuple):
    """How far a way has come.

    Attributes:
        shape: Of what has been computed.
        path: The operations so far.
        cost: How unusual it is so far.
        acted: Whether there was an activation since the last weights.
        resized: Whether maps grew or shrank without weights since then.
        spare: Modules without weights before here whose purpose is open.
        kernels: Convolutions so far.
        weights: Operations with weights so far.
        kind: Of the last one.
    """

    shape: _Shape
    path: _Path = None
    cost: float = 0.0
    acted: bool = True
    resized: bool = False
    spare: int = 0
    kernels: int = 0
    weights: int = 0
    kind: str = ""

    def then(self, operation: Operation | None, shape: _Shape, cost: float = 0.0, **changes: Any) -> _State:
        path = self.path if operation is None else (operation, self.path)
        return self._replace(path=path, shape=shape, cost=self.cost + cost, **changes)


def is_exact(operations: Sequence[Operation]) -> bool:
    """Say whether the file said everything: no gaps, no kernels whose use is open."""
    return not any(
        isinstance(each, Gap) or (isinstance(each, Weighted) and each.kind != "linear" and each.stride is None)
        for each in operations
    )


def structures(
    operations: Sequence[Operation],
    role: Role,
    settings: NetworkSettings,
    *,
    size: int | None = None,
    input_shape: tuple[int, ...] | None = None,
    channels_last: bool = False,
) -> list[Structure]:
    """Return the ways in which operations are a generator or a discriminator, the cheapest first.

    Args:
        operations: In the order of the computation.
        role: Which network it is to be.
        settings: What is said of it.
        size: Height and width of the images; None: one that images have.
        input_shape: Shape of what goes in, without the batch axis, where the file says so.
        channels_last: Whether kernels that say no padding are TensorFlow's.

    Raises:
        ConfigError: If a list in the settings has another length than the network has layers.

    Example:
        >>> from dcgan_analysis.checkpoints.importers.settings import NetworkSettings
        >>> structures((), "generator", NetworkSettings())
        []
    """
    if not _chain(operations, role):
        return []
    paddings: tuple[Padded, ...] = ("same",) if channels_last else ("usual", "none")
    searches = [
        _Search(operations, role, settings, size, input_shape, padded)
        for padded in (paddings[:1] if is_exact(operations) else paddings)
    ]
    result: list[Structure] = []
    for cap, kept in _CAPS:
        result = [each for search in searches for each in search.run(cap, kept)]
        if result:
            break
    best: dict[tuple[Operation, ...], Structure] = {}
    for each in sorted(result, key=lambda each: each.cost):
        best.setdefault(each.operations, each)
    return list(best.values())


def _chain(operations: Sequence[Operation], role: Role) -> bool:
    """Say whether channels and units can follow one another at all, the sizes of maps apart."""
    reached: set[tuple[bool, int]] | None = None  # on maps, and how many; before the first weights anything may go in
    added = 0
    for each in operations:
        if isinstance(each, Label):
            added = each.added
        elif isinstance(each, Weighted):
            shape = each.weight.shape
            maps = each.kind != "linear"
            uses = (
                [(shape[0], shape[1]), (shape[1], shape[0])] if each.kind == "kernel" else [(each.inputs, each.outputs)]
            )
            uses = [(taken - added, out) for taken, out in uses]
            added = 0
            if role == "discriminator" and reached is None and maps:
                uses = [use for use in uses if use[0] in _CHANNELS]
            reached = {
                (maps, out)
                for taken, out in uses
                if reached is None or any(_flows(*has, taken, maps) for has in reached)
            }
        elif isinstance(each, Normalise) and each.size is not None and reached is not None and each.kind != "layer":
            size = each.size
            reached = {
                *(has for has in reached if has[1] == size),
                *((True, size) for has in reached if _flows(*has, size, True)),
            }
        if reached is not None and not reached:
            return False
    if reached is None:
        return False
    if role == "discriminator":
        return any(made == 1 for _, made in reached)
    return any(
        made == channels if on else _flows(on, made, channels, True) for on, made in reached for channels in _CHANNELS
    )


def _flows(on_maps: bool, made: int, taken: int, to_maps: bool) -> bool:
    """Say whether what is made can be what is taken: as many, or units as squares of maps, or shuffled maps."""
    if made == taken:
        return True
    more, less = (made, taken) if to_maps or not on_maps else (taken, made)
    return on_maps + to_maps > 0 and more % less == 0 and math.isqrt(more // less) ** 2 == more // less


class _Search:
    """The search for one role and one habit of padding."""

    def __init__(
        self,
        operations: Sequence[Operation],
        role: Role,
        settings: NetworkSettings,
        size: int | None,
        input_shape: tuple[int, ...] | None,
        padded: Padded,
    ) -> None:
        self._operations = operations
        self._role = role
        self._settings = settings
        self._size = size
        self._input_shape = input_shape
        self._exact = is_exact(operations)
        # Where a class has activations as modules, its code seldom has more of them.
        self._active = any(isinstance(each, Activate) and each.kind != "prelu" for each in operations)
        kernels = [each for each in operations if isinstance(each, Weighted) and each.kind != "linear"]
        self._even = any(each.kernel[0] % 2 == 0 for each in kernels)
        small = [each.weight.shape for each in kernels if each.kernel == (3, 3)]
        outer = kernels[-1 if role == "generator" else 0] if kernels else None
        self._habit = Habit(
            role,
            padded,
            self._even and bool(small),
            any(shape[0] == shape[1] for shape in small),
            outer is not None and 1 in outer.weight.shape[:2],
            outer is not None
            and [each.kernel[0] for each in kernels].count(5) == 1
            and outer.kernel == (5, 5)
            and {each.kernel[0] for each in kernels} == {4, 5},
        )
        self._unpadded_cost = 1.0 if padded == "none" else 0.0
        self._sized = all(each.stride is not None for each in kernels)
        self._count = len(kernels)
        self._last = max((i for i, each in enumerate(operations) if isinstance(each, Weighted)), default=-1)
        self._first = next((i for i, each in enumerate(operations) if isinstance(each, Weighted)), 0)
        self._added = sum(each.added for each in operations[: self._first] if isinstance(each, Label))
        self._weights = sum(isinstance(each, Weighted) for each in operations)

    def run(self, cap: float, kept: int) -> list[Structure]:
        result: list[Structure] = []
        for start in self._starts():
            states = [_State(start, cost=self._unpadded_cost)]
            for position, operation in enumerate(self._operations):
                reached = (each for state in states for each in self._step(state, position, operation))
                states = _cheapest([each for each in reached if each.cost <= cap], kept)
                if not states:
                    break
            for state in states:
                result += (each for each in self._end(state, start) if each.cost <= cap)
        return result

    # What goes in.

    def _starts(self) -> Iterator[_Shape]:
        first = self._operations[self._first]
        assert isinstance(first, Weighted)  # there is one
        if self._role == "generator":
            opened = next((each for each in self._operations[: self._first] if isinstance(each, Reshape)), None)
            if opened is not None and opened.shape is not None:
                yield (math.prod(opened.shape),)
            else:
                yield from dict.fromkeys((kind.inputs - self._added,) for kind in self._kinds(first, 0))
            return
        if self._input_shape is not None:
            yield self._input_shape
            return
        if first.kind == "linear":
            for channels in _CHANNELS:
                pixels = first.inputs - self._added
                side = math.isqrt(pixels // channels)
                if side * side * channels == pixels and self._size in (None, side):
                    yield (channels, side, side)
            return
        sizes = (self._size,) if self._size is not None else range(4, 513) if self._exact else _SIZES
        for kind in self._kinds(first, 0):
            for side in sizes:
                yield (kind.inputs - self._added, side, side)

    # One operation.

    def _step(self, state: _State, position: int, operation: Operation) -> Iterator[_State]:
        match operation:
            case Weighted():
                yield from self._weighted(state, position, operation)
            case Normalise():
                yield from self._normalise(state, operation)
            case Gap():
                if position < self._last:
                    yield from self._fill(state, operation)
                else:
                    yield state
            case Activate():
                again = state.acted and bool(state.path)
                yield state.then(operation, state.shape, 3.0 if again else 0.0, acted=True)
            case Label(size=(_, _, _)) if len(state.shape) == 1:
                yield from self._labelled_maps(state, position, operation)
            case _:
                shape = shape_after(operation, state.shape)
                if shape is not None:
                    yield state.then(operation, shape)

    def _labelled_maps(self, state: _State, position: int, label: Label) -> Iterator[_State]:
        """Make maps of units, as many as the next operation takes beside the label's."""
        following = self._operations[position + 1]
        assert isinstance(following, Weighted)
        for kind in self._kinds(following, state.kernels):
            for each in self._unflattened(state, kind.inputs - label.added):
                shape = shape_after(label, each.shape)
                if shape is not None:
                    yield each.then(label, shape)

    def _kinds(self, operation: Weighted, number: int) -> Iterator[Weighted]:
        if operation.kind != "kernel":
            yield operation
            return
        wanted = _each(self._settings.operation, number, self._count, "operation", self._role)
        for kind in ("deconv", "conv"):
            if wanted in (None, kind):
                yield replace(operation, kind=kind, assumed=wanted is None, undecided=wanted is None)

    def _weighted(self, state: _State, position: int, operation: Weighted) -> Iterator[_State]:
        # A projection often becomes maps as it is.
        cost = 0.0 if state.acted else 0.2 if self._active else 0.8 if state.kind == "linear" else 1.0
        if operation.kind == "linear":
            for each in self._settle_spare(state, self._entered_flat(state, operation)):
                changes = {"acted": False, "resized": False, "kind": "linear", "weights": state.weights + 1}
                yield each.then(operation, (operation.outputs,), cost, **changes)
            return
        for kind in self._kinds(operation, state.kernels):
            extra = cost
            if operation.kind == "kernel" and state.kind in ("conv", "deconv") and state.kind != kind.kind:
                # Kernels of a network are of one kind, but for a last plain one.
                extra += 0.5 if position == self._last else 1.5
            if kind.kind == "deconv" and self._role == "discriminator":
                extra += 6.0
            if state.resized and kind.kind == "deconv":
                extra += 3.0
            for entered in self._settle_spare(state, self._entered_maps(state, kind.inputs)):
                yield from self._used(entered, position, kind, extra)

    def _settle_spare(self, state: _State, entered: Iterator[_State]) -> Iterator[_State]:
        """Put a price on modules that did nothing: one may have made units of maps, or maps of units."""
        for each in entered:
            left = max(0, state.spare - (each.path is not state.path))
            idle = 1.7 if left and not state.acted and state.path else 0.0
            yield each._replace(cost=each.cost + 0.3 * left + idle, spare=0)

    def _entered_flat(self, state: _State, operation: Weighted) -> Iterator[_State]:
        shape = state.shape
        if len(shape) == 1 and shape[0] == operation.inputs:
            yield state
        elif len(shape) == 3 and math.prod(shape) == operation.inputs:
            yield state.then(Flatten(), (operation.inputs,))
        elif len(shape) == 3 and shape[0] == operation.inputs and not self._exact:
            yield state.then(Pool("global", assumed=True), (shape[0],), 1.5)

    def _entered_maps(self, state: _State, channels: int) -> Iterator[_State]:
        shape = state.shape
        if len(shape) == 3:
            if shape[0] == channels:
                yield state
            else:
                factor = math.isqrt(shape[0] // channels)
                if factor > 1 and factor * factor * channels == shape[0] and not self._exact:
                    larger = (channels, shape[1] * factor, shape[2] * factor)
                    yield state.then(Shuffle(factor, assumed=True), larger, 1.0, resized=True)
        elif shape[0] == channels and (state.path is None or isinstance(state.path[0], Label)) and not state.weights:
            yield state.then(None, (channels, 1, 1))
        else:
            yield from self._unflattened(state, channels)

    def _unflattened(self, state: _State, channels: int) -> Iterator[_State]:
        units = state.shape[0]
        wanted = self._settings.reshape
        if wanted is not None and math.prod(wanted) == units and wanted[0] == channels:
            yield state.then(Reshape(wanted), wanted)
        elif wanted is None and units % channels == 0:
            side = math.isqrt(units // channels)
            if side * side * channels == units:
                shape = (channels, side, side)
                yield state.then(Reshape(shape, assumed=True), shape)

    def _used(self, state: _State, position: int, operation: Weighted, cost: float) -> Iterator[_State]:
        changes = {
            "acted": False,
            "resized": False,
            "kernels": state.kernels + 1,
            "weights": state.weights + 1,
            "kind": operation.kind,
        }
        if operation.stride is not None:
            shape = shape_after(operation, state.shape)
            if shape is not None:
                yield state.then(operation, shape, cost, **changes)
            return
        if operation.kernel[0] != operation.kernel[1] or state.shape[1] != state.shape[2]:
            return
        for settled, extra in self._settled(state, position, operation):
            shape = shape_after(settled, state.shape)
            if shape is not None:
                yield state.then(settled, shape, cost + extra, **changes)

    def _settled(self, state: _State, position: int, operation: Weighted) -> Iterator[tuple[Weighted, float]]:
        kernel, transpose = operation.kernel[0], operation.kind == "deconv"
        stride, padding, rest = (
            _each(getattr(self._settings, name), state.kernels, self._count, name, self._role)
            for name in ("stride", "padding", "output_padding")
        )
        fits = False
        for way in geometries(
            transpose,
            kernel,
            state.shape[1],
            self._habit,
            same_maps=operation.inputs == operation.outputs,
            last=position == self._last,
            one_map=operation.outputs == 1,
        ):
            asked = ((stride, way.stride), (padding, way.padding), (rest, way.output_padding))
            if all(wanted in (None, value) for wanted, value in asked):
                fits = True
                assumed = stride is None or padding is None
                yield (
                    replace(
                        operation,
                        stride=way.stride,
                        padding="same" if way.padding == "same" else sides(way.padding),
                        output_padding=way.output_padding,
                        assumed=assumed,
                    ),
                    way.cost,
                )
        if not fits and (stride, padding, rest) != (None, None, None):
            stride = stride or 1
            padding = (kernel - 1) // 2 if padding is None else padding
            if rest is None:
                rest = max(0, min(stride - 1, stride - kernel + 2 * padding)) if transpose else 0
            yield replace(operation, stride=stride, padding=sides(padding), output_padding=rest, assumed=False), 0.0

    def _normalise(self, state: _State, operation: Normalise) -> Iterator[_State]:
        settled = self._settled_norm(operation)
        # The paper has none after a discriminator's first layer and a generator's last.
        bare = state.weights == (1 if self._role == "discriminator" else self._weights)
        cost = (0.3 if state.acted and state.path and not self._exact else 0.0) + (0.2 if bare else 0.0)
        for each in self._settle_spare(state, self._entered_norm(state, settled)):
            yield each.then(settled, each.shape, cost)

    def _entered_norm(self, state: _State, operation: Normalise) -> Iterator[_State]:
        shape = state.shape
        if operation.size in (None, shape[0]) or (operation.kind == "layer" and operation.size == math.prod(shape)):
            yield state
        elif operation.size is not None and len(shape) == 1:
            yield from self._unflattened(state, operation.size)
        elif operation.size is not None:
            yield from self._entered_maps(state, operation.size)

    def _settled_norm(self, operation: Normalise) -> Normalise:
        kind = self._settings.norm
        if kind is None or operation.mean is not None:
            return operation
        return replace(operation, kind=kind, groups=self._settings.norm_groups or operation.groups)

    # Modules without weights.

    def _fill(self, state: _State, gap: Gap) -> Iterator[_State]:
        """Put an activation, a resize, both or nothing into a gap; what a known number leaves over is told later."""
        slots = 3 if gap.count is None else gap.count
        acted = None if state.acted or state.path is None else self._activated(state)
        for used, before in ((0, state), (1, acted)):
            if before is None:
                continue
            yield before._replace(spare=0 if gap.count is None else min(slots - used, 2))
            if used < slots and len(before.shape) == 3:
                for resized in self._resized(before):
                    yield resized._replace(spare=0 if gap.count is None else min(slots - used - 1, 2))

    def _activated(self, state: _State) -> _State:
        layer = state.weights - 1
        default: Activation = "relu" if self._role == "generator" else "leaky_relu"
        wanted = _each(self._settings.activation, layer, self._weights - 1, "activation", self._role)
        kind = wanted or default
        slope = self._settings.slope
        if kind == "leaky_relu" and slope is None:
            slope = 0.2
        cost = 0.8 if self._active else 0.0
        return state.then(Activate(kind, slope, assumed=wanted is None), state.shape, cost, acted=True)

    def _resized(self, state: _State) -> Iterator[_State]:
        channels, height, width = state.shape
        if self._role == "generator":
            mode = self._settings.upsample
            resize = Resize(mode=mode or "nearest", assumed=mode is None)
            # Of equals, the way that grows first.
            late = 0.2 + 0.01 * state.weights
            yield state.then(resize, (channels, 2 * height, 2 * width), late, resized=True)
        elif height > 1:
            # Pooling goes with odd kernels that keep the size; even ones halve it themselves.
            cost = 2.5 if self._even else 1.2
            yield state.then(Pool("max", assumed=True), (channels, height // 2, width // 2), cost, resized=True)

    # What comes out.

    def _end(self, state: _State, start: _Shape) -> Iterator[Structure]:
        if self._role == "discriminator":
            yield from self._judged(state, start)
            return
        shape = state.shape
        if len(shape) == 1:
            for channels in (1, 3):
                for each in self._unflattened(state, channels):
                    yield from self._imaged(each, start)
        else:
            yield from self._imaged(state, start)

    def _imaged(self, state: _State, start: _Shape) -> Iterator[Structure]:
        channels, height, width = state.shape
        open_end = bool(self._operations) and isinstance(self._operations[-1], Gap)
        if not state.acted and open_end:
            kind = self._settings.output or "tanh"
            state = state.then(Activate(kind, assumed=self._settings.output is None), state.shape)
        cost = _CHANNELS.get(channels, math.inf) + self._size_cost(height, width)
        if cost < math.inf:
            yield self._structure(state, (channels, height, width), start[0], cost)

    def _size_cost(self, height: int, width: int) -> float:
        if self._size is not None:
            return 0.0 if height == width == self._size else math.inf
        if height == width and height in USUAL_SIZES:
            return 0.0
        known = height == width and height in _SIZES
        if self._exact:
            return 0.5 if known else 1.0
        return _UNUSUAL_SIZE if known or self._sized else math.inf

    def _judged(self, state: _State, start: _Shape) -> Iterator[Structure]:
        if math.prod(state.shape) != 1:
            if len(state.shape) != 3 or state.shape[0] != 1:
                return
            state = state.then(Pool("global", assumed=True), (1,), 3.0)
        channels, height, width = start
        cost = _CHANNELS.get(channels, math.inf) + self._size_cost(height, width)
        path = state.path
        # A probability is of no use to analyses; its logit is.
        while path is not None and isinstance(path[0], Activate) and path[0].kind == "sigmoid":
            path = path[1]
        if cost < math.inf:
            yield self._structure(state._replace(path=path), (channels, height, width), 0, cost)

    def _structure(self, state: _State, image: tuple[int, int, int], z_size: int, cost: float) -> Structure:
        operations = []
        path = state.path
        while path is not None:
            operations.append(path[0])
            path = path[1]
        return Structure(
            self._role, tuple(operations[::-1]), image, z_size, round(state.cost + cost, 6), self._habit.padded
        )


def _cheapest(states: list[_State], kept: int) -> list[_State]:
    """Keep the cheapest ways to each state."""
    counts: dict[tuple[Any, ...], int] = {}
    result = []
    for state in sorted(states, key=lambda each: each.cost):
        key = (state.shape, state.acted, state.resized, state.spare, state.kind)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= kept:
            result.append(state)
    return result


def _each(value: Any, number: int, count: int, name: str, role: Role) -> Any:
    if not isinstance(value, tuple):
        return value
    if len(value) != count:
        msg = f"{role}.{name} lists {len(value)} values, the {role} has {count} layers that it is for."
        raise ConfigError(msg)
    return value[number]


def shape_after(operation: Operation, shape: _Shape) -> _Shape | None:
    """Return the shape of what an operation makes of ``shape``, both without the batch axis; None where it cannot."""
    result = _shape_after(operation, shape)
    if result is None or any(not extent >= 1 for extent in result):
        return None
    return result if len(result) == 1 or max(result[1:]) <= _LARGEST else None


def _shape_after(operation: Operation, shape: _Shape) -> _Shape | None:  # noqa: C901 - cases
    match operation:
        case Reshape(shape=wanted):
            return wanted if wanted is not None and math.prod(wanted) == math.prod(shape) else None
        case Flatten():
            return (math.prod(shape),)
        case Label(size=joined):
            fits = isinstance(joined, int) or shape[1:] == joined[1:]
            return (shape[0] + operation.added, *shape[1:]) if fits else None
        case Activate() | Normalise():
            return shape
        case Weighted(kind="linear"):
            return (operation.outputs,) if shape == (operation.inputs,) else None
    if len(shape) != 3:
        return None
    channels, *extents = shape
    match operation:
        case Weighted(kind="conv"):
            return _spread(
                operation.outputs, extents, operation.kernel, operation.stride or 1, operation.padding, False
            )
        case Weighted(kind="deconv"):
            made = _spread(operation.outputs, extents, operation.kernel, operation.stride or 1, operation.padding, True)
            rest = operation.output_padding
            return (made[0], made[1] + rest, made[2] + rest)
        case Pool(kind="global"):
            return (channels,)
        case Pool(kernel=kernel, stride=stride, padding=padding):
            low = [
                _extent(n, k, s, padding, False, at)
                for n, k, s, at in zip(extents, kernel, stride, (1, 0), strict=True)
            ]
            return (channels, *low)
        case Resize(factor=factor, size=size):
            return (channels, *(size or (extents[0] * factor[0], extents[1] * factor[1])))
        case Shuffle(factor=times):
            fits = channels % (times * times) == 0
            return (channels // times**2, extents[0] * times, extents[1] * times) if fits else None
        case Pad(sides=(left, right, top, bottom)):
            return (channels, extents[0] + top + bottom, extents[1] + left + right)
    return None


def _spread(
    outputs: int,
    extents: Sequence[int],
    kernel: tuple[int, int],
    stride: int,
    padding: Sides | Literal["same"] | None,
    transpose: bool,
) -> tuple[int, int, int]:
    height, width = (
        _extent(size, extent, stride, padding or (0, 0, 0, 0), transpose, at)
        for size, extent, at in zip(extents, kernel, (1, 0), strict=True)
    )
    return outputs, height, width


def _extent(size: int, kernel: int, stride: int, padding: Sides | Literal["same"], transpose: bool, axis: int) -> int:
    if padding == "same":
        return size * stride if transpose else -(-size // stride)
    before, after = padding[2 * axis : 2 * axis + 2]
    return (transposed if transpose else convolved)(size, kernel, stride, before, after)
