"""What an architecture is: the shapes it works on and the layer tables of its two networks. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.errors import ArchitectureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

LayerKind = Literal[
    "linear",
    "conv",
    "deconv",
    "upsample",
    "pixel_shuffle",
    "max_pool",
    "average_pool",
    "global_average_pool",
    "identity",
]
Role = Literal["generator", "discriminator"]
ROLES: tuple[Role, Role] = ("generator", "discriminator")
Activation = Literal[
    "none", "relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid"
]
NormKind = Literal["none", "batch", "instance", "group", "layer"]
UpsampleMode = Literal["nearest", "bilinear", "bilinear_corners"]
Order = Literal["chw", "hwc"]
LabelJoin = Literal["one_hot", "embedding", "embedding_add", "embedding_multiply"]
Padding = int | tuple[int, int, int, int] | Literal["same"]


@dataclass(frozen=True)
class Layer:
    """One row of a layer table: an operation, then normalisation and activation.

    The module built from it carries its name, and so does its tap. The first fields say what the paper's networks
    need; the defaults of the others change nothing in them.

    Attributes:
        name: ``"conv1"``, ``"deconv2"``, ...; the tap of this name gives what the row as a whole makes.
        kind: ``linear``, ``conv`` (strided), ``deconv`` (fractional-strided), or an operation without weights:
            ``upsample``, ``pixel_shuffle``, ``max_pool``, ``average_pool``, ``global_average_pool`` (maps to units),
            ``identity`` (reshapes, normalises, activates only).
        out: Output units or channels; 0 for an operation without weights.
        kernel: Size of a kernel or of what is pooled, or (height, width).
        stride: Conv and pooling divide the size by it; deconv, upsampling and pixel shuffle multiply. Or (rows,
            columns).
        batchnorm: Whether batch normalisation follows; ``norm`` says more.
        activation: Nonlinearity.
        reshape: ``(channels, height, width)`` that the output of ``linear`` or ``identity`` becomes.
        batchnorm_maps: Whether normalisation of a reshaped layer works on each map, as in the widespread PyTorch
            example, or on every unit, as in the authors' code.
        conditional: Whether the class label is joined to this layer's input, as ``label`` says.
        bias: Whether a linear, conv or deconv adds one.
        padding: Zeros around the input of a conv or pooling (of minus infinity around what ``max_pool`` sees), or
            what is cut off a deconv's output: on all sides, or ``(left, right, top, bottom)``. ``"same"``:
            TensorFlow's rule, which gives the size over (conv) or times (deconv) the stride and, where the sides
            cannot be equal, favours right and bottom. None: ``(kernel - 1) // 2`` before, and for a deconv as much
            after as makes the output exactly ``stride`` times as large; none for pooling.
        output_padding: Rows and columns less that a deconv cuts off at bottom and right.
        dilation: Always 1; a table with another is refused.
        groups: Always 1; likewise.
        size: (height, width) that ``upsample`` makes, in place of ``stride``.
        mode: How ``upsample`` fills in; ``bilinear_corners``: the corners of both images coincide.
        norm: Kind of normalisation; None: ``batch`` or ``none``, as ``batchnorm`` says.
        norm_groups: Groups of channels of ``group``.
        norm_eps: Added to the variance; None: the architecture's ``batchnorm_eps``.
        norm_affine: Whether it has scale and shift; None: the architecture's ``batchnorm_affine``.
        norm_after_activation: Whether it comes after the activation and not before; works on maps where there are.
        slope: Slope of LeakyReLU (None: 0.2), scale of ELU (None: 1).
        order: Which order of (channels, height, width) flattened maps have, of this layer's input and of ``reshape``:
            PyTorch's or, ``hwc``, Keras's.
        label: How the label is joined: one-hot behind the input, as constant maps behind maps; a learnt embedding
            behind it; or added to it, or multiplied by it.
        embedding: Size of the embedding: so many units, on maps so many constant maps, or ``(channels, height,
            width)``. None: that of the input, units or one number a map.
    """

    name: str
    kind: LayerKind
    out: int
    kernel: int | tuple[int, int] = 0
    stride: int | tuple[int, int] = 1
    batchnorm: bool = True
    activation: Activation = "none"
    reshape: tuple[int, int, int] | None = None
    batchnorm_maps: bool = False
    conditional: bool = False
    bias: bool = False
    padding: Padding | None = None
    output_padding: int = 0
    dilation: int = 1
    groups: int = 1
    size: tuple[int, int] | None = None
    mode: UpsampleMode = "nearest"
    norm: NormKind | None = None
    norm_groups: int = 1
    norm_eps: float | None = None
    norm_affine: bool | None = None
    norm_after_activation: bool = False
    slope: float | None = None
    order: Order = "chw"
    label: LabelJoin = "one_hot"
    embedding: int | tuple[int, int, int] | None = None

    @property
    def weighted(self) -> bool:
        """Whether the operation has weights."""
        return self.kind in ("linear", "conv", "deconv")

    @property
    def normalisation(self) -> NormKind:
        """What normalisation there is; of operations without weights only where ``norm`` names it."""
        if self.norm is not None:
            return self.norm
        return "batch" if self.batchnorm and self.weighted else "none"

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Kernel as (height, width)."""
        return (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel

    @property
    def strides(self) -> tuple[int, int]:
        """Stride as (rows, columns)."""
        return (self.stride, self.stride) if isinstance(self.stride, int) else self.stride


@dataclass(frozen=True)
class Architecture:
    """A generator and a discriminator that belong together, with the parameters they were made for.

    Attributes:
        name: Registered name: ``"dcgan32"``.
        parameters: All parameters, defaults filled in; name and parameters are enough to build it again.
        image_shape: ``(C, H, W)`` of the images.
        image_range: Lowest and highest pixel value of the images: (-1, 1) for tanh, (0, 1) for sigmoid.
        z_size: Z, length of the latent vector.
        classes: Number of classes it is conditioned on; 0: unconditional.
        taps: Discriminator taps whose pooled outputs are the features, in order.
        make_generator: Builds the generator: ``(N, Z) -> (N, C, H, W)``. None: there is none.
        make_discriminator: Builds the discriminator: ``(N, C, H, W) -> (N,)`` logits. None: likewise.
        generator_layers: Its layer table; empty where a plugin brings modules of its own.
        discriminator_layers: Its layer table; empty likewise.
        batchnorm_affine: Whether batch normalisation has scale and shift.
        batchnorm_eps: Added to the variance in batch normalisation.
        without_labels: Networks without a layer table that take no labels where the other one does.
        in_memory: Whether its code is known to this process alone: no file can name it, and be read again.
    """

    name: str
    parameters: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    image_range: tuple[float, float]
    z_size: int
    taps: tuple[str, ...]
    make_generator: Callable[[Architecture], nn.Module] | None
    make_discriminator: Callable[[Architecture], nn.Module] | None
    classes: int = 0
    generator_layers: tuple[Layer, ...] = field(default=())
    discriminator_layers: tuple[Layer, ...] = field(default=())
    batchnorm_affine: bool = True
    batchnorm_eps: float = 1e-5
    without_labels: frozenset[Role] = frozenset()
    in_memory: bool = False

    def has(self, role: Role) -> bool:
        """Whether it has this network."""
        return (self.make_generator if role == "generator" else self.make_discriminator) is not None

    def generator(self) -> nn.Module:
        """Build the generator with uninitialised weights; see ``models.initialisation``."""
        return self.network("generator")

    def discriminator(self) -> nn.Module:
        """Build the discriminator with uninitialised weights; see ``models.initialisation``."""
        return self.network("discriminator")

    def network(self, role: Role) -> nn.Module:
        """Build one of the two networks with uninitialised weights.

        Raises:
            ArchitectureError: If it has no such network.
        """
        make = self.make_generator if role == "generator" else self.make_discriminator
        if make is None:
            msg = f"Architecture '{self.name}' has no {role}. Use one that has it."
            raise ArchitectureError(msg)
        return make(self)

    def layers(self, role: Role) -> tuple[Layer, ...]:
        """Return the layer table of one of the two networks."""
        return self.generator_layers if role == "generator" else self.discriminator_layers

    def takes_labels(self, role: Role) -> bool:
        """Whether what one of the two networks makes depends on class labels."""
        if not self.classes:
            return False
        layers = self.layers(role)
        return any(layer.conditional for layer in layers) if layers else role not in self.without_labels

    def identity(self) -> dict[str, Any]:
        """Return name and parameters as plain values, for metadata and hashes."""
        return {"name": self.name, "parameters": dict(self.parameters)}
