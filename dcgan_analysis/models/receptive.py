"""Which pixels a unit sees: receptive fields from a layer table, by kernel, stride and padding. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.errors import ArchitectureError

if TYPE_CHECKING:
    from dcgan_analysis.models.architecture import Architecture, Layer

__all__ = ["Box", "ReceptiveField", "receptive_field"]


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def rows(self) -> slice:
        """The rows as a slice."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """The columns as a slice."""
        return slice(self.left, self.right)


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of a layer see of an image of ``height`` x ``width`` pixels.

    Attributes:
        size: Pixels per side, padding counted; 0: every unit sees the whole image.
        step: Pixels between neighbouring units.
        start: First row (and column) that the unit in the corner sees; negative where it sees padding.
        height: Rows of the image.
        width: Columns of the image.

    Example:
        >>> field = ReceptiveField(size=5, step=2, start=-2, height=8, width=8)
        >>> field.box(0, 1)
        Box(top=0, left=0, bottom=3, right=5)
    """

    size: int
    step: int
    start: int
    height: int
    width: int

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that the largest clipped box can have."""
        if not self.size:
            return self.height, self.width
        return min(self.size, self.height), min(self.size, self.width)

    def box(self, row: int, column: int) -> Box:
        """Return what the unit at a place of the map sees, clipped to the image."""
        if not self.size:
            return Box(0, 0, self.height, self.width)
        top, left = self.start + row * self.step, self.start + column * self.step
        return Box(max(top, 0), max(left, 0), min(top + self.size, self.height), min(left + self.size, self.width))


def receptive_field(architecture: Architecture, tap: str) -> ReceptiveField:
    """Return the receptive field of a discriminator's tap.

    A unit after a linear layer sees the whole image. So it is taken of every tap of an architecture without a layer
    table (a plugin's own modules): too large, never too small.

    Args:
        architecture: Whose discriminator.
        tap: A layer's name, or a module within it: ``"conv2"``, ``"conv2.operation"``.

    Raises:
        ArchitectureError: If a layer on the way is fractional-strided.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> receptive_field(dcgan32(), "conv6").size
        29
    """
    _, height, width = architecture.image_shape
    size, step, start = 1, 1, 0
    whole = ReceptiveField(0, 1, 0, height, width)
    for layer in architecture.discriminator_layers:
        if layer.kind == "linear":
            return whole
        size, step, start = _through(layer, size, step, start)
        if layer.name == tap.partition(".")[0]:
            return ReceptiveField(size, step, start, height, width)
    return whole


def _through(layer: Layer, size: int, step: int, start: int) -> tuple[int, int, int]:
    if layer.kind != "conv":
        msg = f"Layer '{layer.name}' is fractional-strided: receptive fields are known for strided convolutions only."
        raise ArchitectureError(msg)
    padding = (layer.kernel - 1) // 2
    return size + (layer.kernel - 1) * step, step * layer.stride, start - padding * step
