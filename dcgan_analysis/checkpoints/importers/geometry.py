"""Sizes of maps through convolutions, and the strides and paddings that people give to kernels of a size.

A state dict holds kernels and not their strides. Networks are built alike, though: kernels of 4 halve or double (stride
2, padding 1) and go to or come from a pixel (stride 1, padding 0), kernels of 5 halve or double (stride 2, padding 2),
kernels of 3 keep the size or halve it (padding 1). Each way has a cost here; the whole network, which must reach a size
that images have, is the cheapest (:mod:`~dcgan_analysis.checkpoints.importers.structure`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.checkpoints.importers.operations import Sides
    from dcgan_analysis.models.architecture import Role

__all__ = ["Geometry", "Habit", "Padded", "convolved", "geometries", "sides", "transposed"]


Padded = Literal["usual", "none", "same"]
"""Whether kernels are padded as usual for their size, not at all, or by TensorFlow's rule."""


@dataclass(frozen=True)
class Geometry:
    """Stride, padding on all sides, and output padding of a kernel, and how unusual that is."""

    stride: int
    padding: int | Literal["same"]
    output_padding: int
    cost: float


@dataclass(frozen=True)
class Habit:
    """How a network's kernels are used, as far as the others tell.

    Attributes:
        role: Which network.
        padded: How kernels are padded.
        small_keep: Whether kernels of 3 keep the size, as larger even ones beside them change it.
        repeats: Whether some kernels of 3 keep the number of maps; it is those that change the size, then.
        grey: Whether images have one channel: MNIST's 28 pixels, where a kernel of 3 among even ones makes 7 of 4.
        lone_5: Whether one kernel of 5 stands at the image's side of kernels of 4: it makes 96 pixels of 32.
    """

    role: Role
    padded: Padded = "usual"
    small_keep: bool = False
    repeats: bool = False
    grey: bool = False
    lone_5: bool = False


# By kernel size: (stride, padding, output padding, cost). Kernels of 3 depend on the network.
_TRANSPOSED: dict[int, tuple[tuple[int, int, int, float], ...]] = {
    1: ((1, 0, 0, 0.0),),
    2: ((2, 0, 0, 0.0),),
    3: ((2, 1, 0, 1.5), (2, 0, 0, 3.0), (1, 0, 0, 4.0)),
    4: ((2, 1, 0, 0.0), (2, 0, 0, 3.0), (1, 0, 0, 3.0), (1, 1, 0, 3.5)),
    5: ((2, 2, 1, 0.0), (1, 2, 0, 0.7), (2, 2, 0, 1.5), (1, 0, 0, 3.5)),
    6: ((2, 2, 0, 0.0),),
    7: ((1, 3, 0, 0.1), (2, 3, 1, 0.2), (1, 0, 0, 3.5)),
    8: ((2, 3, 0, 0.0), (4, 2, 0, 0.3)),
}
_STRAIGHT: dict[int, tuple[tuple[int, int, int, float], ...]] = {
    1: ((1, 0, 0, 0.0),),
    2: ((2, 0, 0, 0.0),),
    3: ((2, 0, 0, 3.0), (1, 0, 0, 3.5)),
    4: ((2, 1, 0, 0.0), (2, 0, 0, 3.0), (1, 1, 0, 3.5), (1, 0, 0, 3.5)),
    5: ((2, 2, 0, 0.0), (1, 2, 0, 0.7), (2, 1, 0, 2.0), (2, 0, 0, 3.0), (1, 0, 0, 3.5)),
    6: ((2, 2, 0, 0.0),),
    7: ((1, 3, 0, 0.2), (2, 3, 0, 0.2)),
    8: ((2, 3, 0, 0.0), (4, 2, 0, 0.3)),
}
_UNPADDED_COST = 0.3
_UNUSUAL = 5.0


def sides(padding: int) -> Sides:
    """Return the same padding on all sides."""
    return padding, padding, padding, padding


def convolved(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Return the size after a convolution or pooling; 0 or less where the kernel does not fit."""
    return (size + before + after - kernel) // stride + 1


def transposed(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Return the size after a transposed convolution that cuts off ``before`` and ``after``."""
    return (size - 1) * stride + kernel - before - after


def geometries(  # noqa: C901 - a table in words, read from top to bottom
    transpose: bool, kernel: int, size: int, habit: Habit, *, same_maps: bool, last: bool, one_map: bool
) -> Iterator[Geometry]:
    """Yield the ways in which a kernel may be used.

    Args:
        transpose: Whether it is a transposed convolution.
        kernel: Its height and width.
        size: Height and width of what goes in.
        habit: What the network's other kernels tell.
        same_maps: Whether it makes as many maps as go in.
        last: Whether it is the last kernel of the network.
        one_map: Whether it makes one map, as a discriminator's last and a generator of grey images do.

    Example:
        >>> [g.stride for g in geometries(True, 4, 1, Habit("generator"), same_maps=False, last=False, one_map=False)]
        [1, 2]
    """
    if transpose and size == 1:
        # From one pixel every stride gives the kernel itself.
        yield Geometry(1, 0, 0, 0.0)
        if habit.padded != "usual" or kernel % 2:
            return
        yield Geometry(2, (kernel - 1) // 2, kernel % 2, 3.0)
        return
    if not transpose and habit.role == "generator":
        # Sizes grow between a generator's plain convolutions, or they are the last.
        same = habit.padded == "same"
        yield Geometry(1, "same" if same else (kernel - 1) // 2, 0, 0.0 if kernel % 2 or same else _UNUSUAL)
        return
    if not transpose and kernel == size and last:
        # To one pixel.
        yield Geometry(1, 0, 0, 0.0)
        return
    if habit.padded == "none":
        for stride in (2, 1):
            yield Geometry(stride, 0, 0, _UNPADDED_COST)
        return
    if habit.padded == "same":
        yield Geometry(2, "same", 0, 0.0)
        yield Geometry(1, "same", 0, 0.2)
        return
    if transpose and kernel == 1 and last and one_map and size == 32:
        # A transposed kernel of one pixel changes no size but by cutting: it makes MNIST's 28 pixels of 32.
        yield Geometry(1, 2, 0, 0.2)
        yield Geometry(1, 0, 0, 1.0)
        return
    if kernel == 5 and habit.lone_5:
        yield Geometry(3, 1, 0, 0.0)
        yield Geometry(2, 2, int(transpose), 0.5)
        return
    if kernel == 3 and habit.small_keep and habit.grey and size in (4, 7):
        yield Geometry(2, 1, 0, 0.0)
    if kernel == 3:
        yield from _kernels_of_3(transpose, habit, same_maps=same_maps)
    table = _TRANSPOSED if transpose else _STRAIGHT
    if kernel in table:
        odd_end = 0.0 if transpose or not last else 0.5 if size < kernel else 0.8
        for stride, padding, output_padding, cost in table[kernel]:
            yield Geometry(stride, padding, output_padding, cost + odd_end)
    elif kernel % 2:
        yield Geometry(1, kernel // 2, 0, 0.2)
        yield Geometry(2, kernel // 2, int(transpose), 0.2)
    else:
        yield Geometry(2, (kernel - 2) // 2, 0, 0.2)


def _kernels_of_3(transpose: bool, habit: Habit, *, same_maps: bool) -> Iterator[Geometry]:
    if habit.small_keep:
        keep, change = 0.0, 0.5
    elif habit.repeats:
        keep, change = (0.5, 0.0) if same_maps else (0.0, 0.5)
    else:
        keep, change = 0.4, 0.0
    yield Geometry(2, 1, int(transpose), change)
    yield Geometry(1, 1, 0, keep)
