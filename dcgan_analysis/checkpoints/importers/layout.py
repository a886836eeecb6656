"""How the arrays of a foreign file map to our parameters, as a table of slots; and which sizes the arrays speak for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture

__all__ = ["Slot", "collect", "fit", "matches", "unchanged"]


def unchanged(array: Tensor) -> Tensor:
    """Convert nothing: the file's layout is ours."""
    return array


@dataclass(frozen=True)
class Slot:
    """Where one array of a foreign file goes.

    Attributes:
        source: Its name in the file.
        target: The parameter's name in our state dict.
        shape: The shape it must have in the file.
        convert: From the file's layout to ours.
        optional: Whether it may be missing.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    convert: Callable[[Tensor], Tensor] = unchanged
    optional: bool = False


def matches(slots: Sequence[Slot], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Count the slots whose array is there and has the right shape."""
    return sum(shapes.get(slot.source) == slot.shape for slot in slots)


def fit(
    build: Callable[..., Architecture],
    sizes: Sequence[str],
    slots: Callable[[Architecture], Sequence[Slot]],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, int]:
    """Find the sizes for which the most arrays have the right shape.

    A vote, so that one misshapen array is outvoted by the others and is the one to be named.

    Args:
        build: Makes the architecture from keyword sizes.
        sizes: Names of the sizes to find, those that decide the most shapes first.
        slots: The layout for an architecture.
        shapes: Shapes of the arrays by name.

    Returns:
        The sizes that no longer are the defaults: ``{"width": 32}``.
    """
    # Every size is some array's extent, or an extent is one of its first multiples: maps are width times 1, 2, 4 or 8.
    extents = {extent for shape in shapes.values() for extent in shape}
    values = sorted({extent // times for extent in extents for times in (1, 2, 4, 8) if extent >= times})
    chosen: dict[str, int] = {}
    for size in sizes:
        start, best = dict(chosen), _votes(slots(build(**chosen)), shapes)
        for value in values:
            votes = _votes(slots(build(**start, **{size: value})), shapes)
            if votes > best:
                best, chosen = votes, {**start, size: value}
    return chosen


def _votes(slots: Sequence[Slot], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """Count arrays of the right shape, then, for a size that one misshapen array alone speaks for, right axes."""
    pairs = [(shapes.get(slot.source, ()), slot.shape) for slot in slots]
    axes = sum(
        a == b for there, wanted in pairs if len(there) == len(wanted) for a, b in zip(there, wanted, strict=True)
    )
    return matches(slots, shapes), axes


def collect(slots: Sequence[Slot], arrays: Mapping[str, Tensor], network: str, where: str) -> dict[str, Tensor]:
    """Turn the arrays of one network into our state dict.

    Args:
        slots: The network's layout.
        arrays: Its arrays by name.
        network: How messages call it: ``"the generator of dcgan32"``.
        where: The file or folder, for messages.

    Raises:
        CheckpointError: If an array is missing, belongs nowhere, has another shape, or holds no finite numbers.
    """
    known = {slot.source: slot for slot in slots}
    for slot in slots:
        if slot.source not in arrays and not slot.optional:
            msg = f"{where}: array '{slot.source}' of shape {slot.shape} is missing; {network} needs it."
            raise CheckpointError(msg)
    for name, array in arrays.items():
        if name not in known:
            msg = f"{where}: array '{name}' of shape {tuple(array.shape)} belongs nowhere in {network}."
            raise CheckpointError(msg)
    for name, array in arrays.items():
        if tuple(array.shape) != known[name].shape:
            msg = (
                f"{where}: array '{name}' has shape {tuple(array.shape)}, {network} expects {known[name].shape} there."
            )
            raise CheckpointError(msg)
        _check_values(array, f"{where}: array '{name}'")
    return {known[name].target: _plain(known[name].convert(array)) for name, array in arrays.items()}


def _check_values(array: Tensor, what: str) -> None:
    if array.layout is not torch.strided or array.is_meta or array.is_complex() or array.is_quantized:
        msg = f"{what} does not hold plain numbers ({array.dtype}, {array.layout}, {array.device})."
        raise CheckpointError(msg)
    if not torch.isfinite(array).all():
        msg = f"{what} holds values that are infinite or no numbers. Export the weights again."
        raise CheckpointError(msg)


def _plain(array: Tensor) -> Tensor:
    array = array.detach().contiguous()
    return array.float() if array.is_floating_point() else array
