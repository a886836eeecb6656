"""What an architecture is: the shapes it works on and the layer tables of its two networks. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

__all__ = ["ROLES", "Activation", "Architecture", "Layer", "LayerKind", "Role"]

LayerKind = Literal["linear", "conv", "deconv"]
Role = Literal["generator", "discriminator"]
ROLES: tuple[Role, Role] = ("generator", "discriminator")
Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "none"]


@dataclass(frozen=True)
class Layer:
    """One row of a layer table; the module built from it carries its name, and so does its tap.

    Attributes:
        name: ``"conv1"``, ``"deconv2"``, ...; the tap of this name gives the output after the activation.
        kind: ``linear``, ``conv`` (strided) or ``deconv`` (fractional-strided).
        out: Output units or channels.
        kernel: Kernel size of a convolution: odd, or even with a stride of 2 or more; padding ``(kernel - 1) // 2``.
        stride: A conv divides the size by it, a deconv multiplies.
        batchnorm: Whether batch normalisation follows.
        activation: Nonlinearity; LeakyReLU has slope 0.2.
        reshape: ``(channels, height, width)`` that a linear layer's output becomes.
        batchnorm_maps: Whether batch normalisation of a reshaped layer works on each map, as in the widespread
            PyTorch example, or on every unit, as in the authors' code.
        conditional: Whether the class label, one-hot, is joined to this layer's input.
    """

    name: str
    kind: LayerKind
    out: int
    kernel: int = 0
    stride: int = 1
    batchnorm: bool = True
    activation: Activation = "none"
    reshape: tuple[int, int, int] | None = None
    batchnorm_maps: bool = False
    conditional: bool = False

    @property
    def batchnorm_size(self) -> int:
        """How many units or maps batch normalisation works on."""
        return self.reshape[0] if self.reshape is not None and self.batchnorm_maps else self.out


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
        make_generator: Builds the generator: ``(N, Z) -> (N, C, H, W)``.
        make_discriminator: Builds the discriminator: ``(N, C, H, W) -> (N,)`` logits.
        generator_layers: Its layer table; empty where a plugin brings modules of its own.
        discriminator_layers: Its layer table; empty likewise.
        batchnorm_affine: Whether batch normalisation has scale and shift.
        batchnorm_eps: Added to the variance in batch normalisation.
    """

    name: str
    parameters: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    image_range: tuple[float, float]
    z_size: int
    taps: tuple[str, ...]
    make_generator: Callable[[Architecture], nn.Module]
    make_discriminator: Callable[[Architecture], nn.Module]
    classes: int = 0
    generator_layers: tuple[Layer, ...] = field(default=())
    discriminator_layers: tuple[Layer, ...] = field(default=())
    batchnorm_affine: bool = True
    batchnorm_eps: float = 1e-5

    def generator(self) -> nn.Module:
        """Build the generator with uninitialised weights; see ``models.initialisation``."""
        return self.make_generator(self)

    def discriminator(self) -> nn.Module:
        """Build the discriminator with uninitialised weights; see ``models.initialisation``."""
        return self.make_discriminator(self)

    def network(self, role: Role) -> nn.Module:
        """Build one of the two networks with uninitialised weights."""
        return self.generator() if role == "generator" else self.discriminator()

    def layers(self, role: Role) -> tuple[Layer, ...]:
        """Return the layer table of one of the two networks."""
        return self.generator_layers if role == "generator" else self.discriminator_layers

    def identity(self) -> dict[str, Any]:
        """Return name and parameters as plain values, for metadata and hashes."""
        return {"name": self.name, "parameters": dict(self.parameters)}
