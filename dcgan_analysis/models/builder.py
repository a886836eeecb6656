"""Torch modules built from layer tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.modules import copied
from dcgan_analysis.models.summary import output_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.models.architecture import Activation, Architecture, Layer

__all__ = ["Block", "Discriminator", "Generator", "build"]

LEAKY_SLOPE = 0.2


def _activation(name: Activation) -> nn.Module:
    match name:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(LEAKY_SLOPE)
        case "tanh":
            return nn.Tanh()
        case "sigmoid":
            return nn.Sigmoid()
        case "none":
            return nn.Identity()


def _operation(layer: Layer, inputs: int) -> nn.Module:
    padding = (layer.kernel - 1) // 2
    match layer.kind:
        case "linear":
            return nn.Linear(inputs, layer.out, bias=False)
        case "conv":
            return nn.Conv2d(inputs, layer.out, layer.kernel, layer.stride, padding, bias=False)
        case "deconv":
            # The output, (size - 1) * stride - 2 * padding + kernel + rest, is exactly `stride` times as large.
            rest = layer.stride - layer.kernel + 2 * padding
            return nn.ConvTranspose2d(inputs, layer.out, layer.kernel, layer.stride, padding, rest, bias=False)


class Block(nn.Module):
    """One layer: join the label, operate, normalise, activate. A forward hook on it taps the activation.

    Args:
        layer: Its row of the table.
        shape: Input shape without the batch axis, ``(D,)`` or ``(C, H, W)``, the label not counted.
        architecture: Gives the number of classes and the batch normalisation settings.
    """

    def __init__(self, layer: Layer, shape: tuple[int, ...], architecture: Architecture) -> None:
        super().__init__()
        self.conditional = layer.conditional
        self.flatten = layer.kind == "linear" and len(shape) > 1
        self.reshape = layer.reshape
        self.batchnorm_maps = layer.batchnorm_maps
        size = 1
        for extent in shape:
            size *= extent
        inputs = size if layer.kind == "linear" else shape[0]
        if layer.conditional:
            inputs += architecture.classes
        self.operation = _operation(layer, inputs)
        affine, eps = architecture.batchnorm_affine, architecture.batchnorm_eps
        self.norm: nn.Module
        if not layer.batchnorm:
            self.norm = nn.Identity()
        elif layer.kind == "linear" and not layer.batchnorm_maps:
            self.norm = nn.BatchNorm1d(layer.batchnorm_size, eps=eps, affine=affine)
        else:
            self.norm = nn.BatchNorm2d(layer.batchnorm_size, eps=eps, affine=affine)
        self.activation = _activation(layer.activation)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Map ``(N, *shape)`` and one-hot labels ``(N, K)`` (or None) to the layer's output."""
        if self.flatten:
            x = x.flatten(1)
        if self.conditional and y is not None:
            x = torch.cat([x, _as_maps(y, x)], dim=1)
        x = self.operation(x)
        if self.reshape is None:
            x = self.norm(x)
        elif self.batchnorm_maps:
            x = self.norm(x.reshape(len(x), *self.reshape))
        else:
            x = self.norm(x).reshape(len(x), *self.reshape)
        result: Tensor = self.activation(x)
        return result


def _as_maps(y: Tensor, x: Tensor) -> Tensor:
    """One-hot labels ``(N, K)`` as constant maps ``(N, K, H, W)`` where ``x`` has maps."""
    y = y.to(x.dtype)
    return y if x.dim() == 2 else y[:, :, None, None].expand(-1, -1, *x.shape[2:])


class _Network(nn.Module):
    """Blocks in order, each an attribute of its layer's name."""

    def __init__(self, layers: tuple[Layer, ...], shape: tuple[int, ...], architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self._names = [layer.name for layer in layers]
        for layer in layers:
            self.add_module(layer.name, Block(layer, shape, architecture))
            shape = output_shape(layer, shape)

    def _labels(self, labels: Tensor | None, count: int, device: torch.device) -> Tensor | None:
        classes = self.architecture.classes
        name = self.architecture.name
        if not classes:
            return None
        if labels is None:
            msg = f"Architecture '{name}' is conditional: give labels (N,) from 0 to {classes - 1}."
            raise ArchitectureError(msg)
        if labels.shape != (count,):
            msg = f"Labels must have shape ({count},), got {tuple(labels.shape)}."
            raise ArchitectureError(msg)
        if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            msg = (
                f"Architecture '{name}' takes labels from 0 to {classes - 1}, "
                f"got {int(labels.min())} to {int(labels.max())}."
            )
            raise ArchitectureError(msg)
        return F.one_hot(labels.to(device).long(), classes)

    def _run(self, x: Tensor, y: Tensor | None) -> Tensor:
        for name in self._names:
            x = self.get_submodule(name)(x, y)
        return x


class Generator(_Network):
    """Maps latent vectors to images.

    Example:
        >>> from dcgan_analysis.models.initialisation import initialise
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> generator = Generator(dcgan32(width=8))
        >>> initialise(generator, torch.Generator().manual_seed(0))
        >>> generator(torch.zeros(2, 256)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture.generator_layers, (architecture.z_size,), architecture)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate images.

        Args:
            z: Latent vectors of shape (N, Z).
            labels: Class numbers of shape (N,), for a conditional architecture.

        Returns:
            Images of shape (N, C, H, W) in the architecture's ``image_range``.
        """
        if z.dim() != 2 or z.shape[1] != self.architecture.z_size:
            msg = f"z must have shape (N, {self.architecture.z_size}), got {tuple(z.shape)}."
            raise ArchitectureError(msg)
        return self._run(z, self._labels(labels, len(z), z.device))


class Discriminator(_Network):
    """Maps images to one logit each; its taps are the features."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture.discriminator_layers, architecture.image_shape, architecture)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images.

        Args:
            images: Shape (N, C, H, W) in the architecture's ``image_range``.
            labels: Class numbers of shape (N,), for a conditional architecture.

        Returns:
            Logits of shape (N,); positive: taken for real.
        """
        if images.dim() != 4 or tuple(images.shape[1:]) != self.architecture.image_shape:
            channels, height, width = self.architecture.image_shape
            msg = (
                f"Architecture '{self.architecture.name}' takes images of shape "
                f"(N, {channels}, {height}, {width}), got {tuple(images.shape)}."
            )
            raise ArchitectureError(msg)
        return self._run(images, self._labels(labels, len(images), images.device)).flatten()


def build(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Build a network without touching torch's global random state.

    Args:
        make: ``architecture.generator`` or ``architecture.discriminator``. What it returns is copied: a plugin's
            function may hand out the same module every time.
        seed: Of torch's own initialisation, where neither ``initialise`` nor loading weights follows.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return copied(make())
