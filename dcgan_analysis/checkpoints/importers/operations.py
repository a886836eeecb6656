"""What a foreign network is made of: a row of operations, each with the arrays that the file holds for it.

Readers return such rows. What a file does not say (a state dict knows no strides and no activations) is None, or a
:class:`Gap` where anything without weights may stand; the module ``structure`` settles it. Arrays are in torch's
layout: linear (out, in), convolution (out, in, height, width), its transpose (in, out, height, width).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.checkpoints.importers.arrays import Array
    from dcgan_analysis.models.architecture import LabelJoin, NormKind, Role, UpsampleMode

__all__ = [
    "Activate",
    "Embedding",
    "Flatten",
    "ForeignNetwork",
    "Gap",
    "Label",
    "Normalise",
    "Operation",
    "Pad",
    "Pool",
    "Reshape",
    "Resize",
    "Shuffle",
    "Sides",
    "Weighted",
]

Sides = tuple[int, int, int, int]
"""Left, right, top, bottom."""


@dataclass(frozen=True)
class Weighted:
    """A linear map, a convolution, or a transposed one.

    Attributes:
        name: The module's name in the file.
        kind: ``kernel``: a convolution or its transpose, which the array alone does not say.
        weight: The matrix or kernels.
        bias: One number an output, or None.
        stride: Of rows and columns alike; None: not said.
        padding: Zeros around a convolution's input, or what a transposed one cuts off; ``same`` is TensorFlow's rule.
        output_padding: Rows and columns less that a transposed one cuts off at right and bottom.
        assumed: Whether a rule settled kind, stride or padding.
        undecided: Whether the array could be either kind of kernel.
    """

    name: str
    kind: Literal["linear", "conv", "deconv", "kernel"]
    weight: Array
    bias: Array | None = None
    stride: int | None = None
    padding: Sides | Literal["same"] | None = None
    output_padding: int = 0
    assumed: bool = False
    undecided: bool = False

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of a kernel."""
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def inputs(self) -> int:
        """Units or channels that go in."""
        return self.weight.shape[0 if self.kind == "deconv" else 1]

    @property
    def outputs(self) -> int:
        """Units or channels that come out."""
        return self.weight.shape[1 if self.kind == "deconv" else 0]


@dataclass(frozen=True)
class Normalise:
    """Normalisation.

    Attributes:
        name: The module's name in the file.
        kind: Over what it normalises.
        size: Units or channels; None: any, which only normalisation without arrays can be.
        weight: Scale, or None.
        bias: Shift, or None.
        mean: Running mean, or None.
        variance: Running variance, or None.
        eps: Added to the variance; None: not said.
        groups: Of ``group``.
        affine: Whether the module has scale and shift at all.
        count: Batches counted, where the file says so.
        assumed: Whether eps is a rule's.
        guessed: Whether its kind is.
    """

    name: str
    kind: NormKind
    size: int | None
    weight: Array | None = None
    bias: Array | None = None
    mean: Array | None = None
    variance: Array | None = None
    eps: float | None = None
    groups: int = 1
    affine: bool = True
    count: Array | None = None
    assumed: bool = False
    guessed: bool = False


@dataclass(frozen=True)
class Activate:
    """A nonlinearity; ``slope`` of LeakyReLU and ELU, ``weight`` of PReLU."""

    kind: str
    slope: float | None = None
    weight: Array | None = None
    name: str = ""
    assumed: bool = False


@dataclass(frozen=True)
class Resize:
    """Upsampling by a factor, or to a size (height, width)."""

    factor: tuple[int, int] = (2, 2)
    size: tuple[int, int] | None = None
    mode: UpsampleMode = "nearest"
    assumed: bool = False


@dataclass(frozen=True)
class Shuffle:
    """Pixel shuffle: factor squared channels become one, factor times as high and wide."""

    factor: int
    assumed: bool = False


@dataclass(frozen=True)
class Pool:
    """Pooling; ``global`` averages all of each map."""

    kind: Literal["max", "average", "global"]
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: Sides | Literal["same"] = (0, 0, 0, 0)
    assumed: bool = False


@dataclass(frozen=True)
class Pad:
    """Zeros around maps."""

    sides: Sides


@dataclass(frozen=True)
class Reshape:
    """Units become maps of this (channels, height, width); None: what the next operation takes."""

    shape: tuple[int, int, int] | None = None
    assumed: bool = False


@dataclass(frozen=True)
class Flatten:
    """Maps become units."""


@dataclass(frozen=True)
class Gap:
    """A place where modules without weights may stand: so many, or, None, any number."""

    count: int | None = None


@dataclass(frozen=True)
class Embedding:
    """A table of classes: one row of ``weight`` (classes, size) for each; where it goes is not said."""

    name: str
    weight: Array


@dataclass(frozen=True)
class Label:
    """The class is joined to what goes into the next operation.

    Attributes:
        how: One-hot or embedded, behind the input, added to it or multiplied with it.
        classes: How many there are.
        size: Units or constant maps, or (channels, height, width).
        weight: The embedding (classes, numbers), or None.
        first: Whether it comes before the input and not behind it.
        assumed: Whether a rule says so.
    """

    how: LabelJoin
    classes: int
    size: int | tuple[int, int, int]
    weight: Array | None = None
    first: bool = False
    assumed: bool = False

    @property
    def added(self) -> int:
        """How many units or channels are put beside the input."""
        beside = self.how in ("one_hot", "embedding")
        return (self.size if isinstance(self.size, int) else self.size[0]) if beside else 0


Operation = (
    Embedding | Label | Weighted | Normalise | Activate | Resize | Shuffle | Pool | Pad | Reshape | Flatten | Gap
)


@dataclass(frozen=True)
class ForeignNetwork:
    """A network as it was read.

    Attributes:
        key: Where in the file it stands: ``"netG"``; empty: it is the file.
        file: The file.
        operations: In the order of the computation, as far as the file says.
        role: What its name says that it is, or None.
        channels_last: Whether flattened maps go by (height, width, channels), as in TensorFlow.
        z_shape: Shape of the input without the batch axis where the file says so.
        epoch: Of training, where the file says so.
        notes: What was read or left out, for the reader.
    """

    key: str
    file: Path
    operations: tuple[Operation, ...]
    role: Role | None = None
    channels_last: bool = False
    input_shape: tuple[int, ...] | None = None
    epoch: float | None = None
    notes: tuple[str, ...] = field(default=())
