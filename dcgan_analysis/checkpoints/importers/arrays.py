"""Arrays in foreign files: their names and shapes first, their numbers only once a network was made out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["MOST_PARAMETERS", "Array", "in_memory"]

MOST_PARAMETERS = 1 << 27
"""Of one network. A DCGAN for 128x128 images at the paper's width of 128 has 45 million."""


@dataclass(frozen=True, eq=False)
class Array:
    """An array in a file.

    Attributes:
        name: What the file calls it.
        shape: Its shape; the reader has checked that the file holds as many numbers.
        read: Reads the numbers, in any type.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def tensor(self) -> Tensor:
        """Read it as float32.

        Raises:
            CheckpointError: If it holds other than finite real numbers.
        """
        values = self.read()
        if values.is_complex() or values.is_quantized or values.layout is not torch.strided:
            msg = f"Array '{self.name}' does not hold plain numbers ({values.dtype}, {values.layout})."
            raise CheckpointError(msg)
        values = values.detach().float().contiguous()
        if not torch.isfinite(values).all():
            msg = f"Array '{self.name}' holds values that are infinite or no numbers. Export the weights again."
            raise CheckpointError(msg)
        return values

    def turned(self, shape: tuple[int, ...], convert: Callable[[Tensor], Tensor]) -> Array:
        """Return it in another layout, such as transposed, still unread."""
        return Array(self.name, shape, lambda: convert(self.tensor()))


def in_memory(name: str, values: Tensor) -> Array:
    """Return an array of numbers that are there already."""
    return Array(name, tuple(values.shape), lambda: values)
