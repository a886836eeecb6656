"""Which pixels a unit sees: receptive fields by kernel, stride and padding, from a layer table or else measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.shapes import layer_inputs, paddings

if TYPE_CHECKING:
    from dcgan_analysis.models.architecture import Architecture, Layer
    from dcgan_analysis.models.measuring import MeasuredField


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
        size: Pixels (down, across), padding counted; 0: every unit sees the whole image.
        step: Pixels between neighbouring units, likewise.
        start: First row and column that the unit in the corner sees; negative where it sees padding.
        height: Rows of the image.
        width: Columns of the image.

    Example:
        >>> field = ReceptiveField(size=(5, 5), step=(2, 2), start=(-2, -2), height=8, width=8)
        >>> field.box(0, 1)
        Box(top=0, left=0, bottom=3, right=5)
    """

    size: tuple[int, int]
    step: tuple[int, int]
    start: tuple[int, int]
    height: int
    width: int

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that the largest clipped box can have."""
        rows, columns = self.size
        return min(rows or self.height, self.height), min(columns or self.width, self.width)

    def box(self, row: int, column: int) -> Box:
        """Return what the unit at a place of the map sees, clipped to the image."""
        if not all(self.size):
            return Box(0, 0, self.height, self.width)
        top, left = self.start[0] + row * self.step[0], self.start[1] + column * self.step[1]
        bottom, right = top + self.size[0], left + self.size[1]
        return Box(max(top, 0), max(left, 0), min(bottom, self.height), min(right, self.width))


def receptive_field(architecture: Architecture, tap: str) -> ReceptiveField | MeasuredField:
    """Return the receptive field of a discriminator's tap.

    What kernels and pooling reach counts, not what normalisation of a whole map knows of the rest. A unit after a
    linear layer or global pooling sees the whole image. Without a layer table (a plugin's own modules, wrapped ones)
    the field is measured, with the same result.

    Args:
        architecture: Whose discriminator.
        tap: A layer's name, or a module within it: ``"conv2"``, ``"conv2.operation"``; without a table any tap.

    Raises:
        ArchitectureError: If a layer on the way enlarges its maps.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> receptive_field(dcgan32(), "conv6").size
        (29, 29)
    """
    if not architecture.discriminator_layers:
        from dcgan_analysis.models.measuring import measure_field

        return measure_field(architecture, tap)
    _, height, width = architecture.image_shape
    whole = ReceptiveField((0, 0), (1, 1), (0, 0), height, width)
    field = ReceptiveField((1, 1), (1, 1), (0, 0), height, width)
    for layer, shape in layer_inputs(architecture, "discriminator"):
        if layer.kind in ("linear", "global_average_pool") or layer.reshape is not None or len(shape) == 1:
            return whole
        field = _through(layer, shape, field)
        if layer.name == tap.partition(".")[0]:
            return field
    return whole


def _through(layer: Layer, shape: tuple[int, ...], field: ReceptiveField) -> ReceptiveField:
    if layer.kind == "identity":
        return field
    if layer.kind in ("deconv", "upsample", "pixel_shuffle"):
        msg = (
            f"Layer '{layer.name}' ({layer.kind}) enlarges its maps: receptive fields are known for convolutions and "
            "pooling only."
        )
        raise ArchitectureError(msg)
    left, _, top, _ = paddings(layer, shape)
    (rows, columns), (down, across), (first, second) = field.size, field.step, field.start
    return replace(
        field,
        size=(rows + (layer.kernel_size[0] - 1) * down, columns + (layer.kernel_size[1] - 1) * across),
        step=(down * layer.strides[0], across * layer.strides[1]),
        start=(first - top * down, second - left * across),
    )
