"""Torch modules built from layer tables."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcgan_analysis.core.randomness import seeded
from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.modules import copied, tolerant
from dcgan_analysis.models.shapes import embedding_shape, input_shape, normalised_shape, output_shape, paddings

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.models.architecture import Architecture, Layer, Order

LEAKY_SLOPE = 0.2
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def _activation(layer: Layer, outputs: int) -> nn.Module:
    match layer.activation:
        case "none":
            return nn.Identity()
        case "leaky_relu":
            return nn.LeakyReLU(LEAKY_SLOPE if layer.slope is None else layer.slope)
        case "elu":
            return nn.ELU(1.0 if layer.slope is None else layer.slope)
        case "prelu":
            return nn.PReLU(outputs)
    return _ACTIVATIONS[layer.activation]()


def _operation(layer: Layer, inputs: int, pads: tuple[int, int, int, int]) -> nn.Module:
    """Build the operation; ``pads`` (left, right, top, bottom) is what it pads, or cuts off, itself."""
    left, right, top, bottom = pads
    kernel, stride = layer.kernel_size, layer.strides
    match layer.kind:
        case "linear":
            return nn.Linear(inputs, layer.out, bias=layer.bias)
        case "conv":
            return nn.Conv2d(inputs, layer.out, kernel, stride, (top, left), bias=layer.bias)
        case "deconv":
            rest = (top - bottom, left - right)
            return nn.ConvTranspose2d(inputs, layer.out, kernel, stride, (top, left), rest, bias=layer.bias)
        case "upsample":
            mode = "nearest" if layer.mode == "nearest" else "bilinear"
            corners = None if mode == "nearest" else layer.mode == "bilinear_corners"
            factor = None if layer.size else (float(stride[0]), float(stride[1]))
            return nn.Upsample(layer.size, factor, mode, corners)
        case "pixel_shuffle":
            return nn.PixelShuffle(stride[0])
        case "max_pool":
            return nn.MaxPool2d(kernel, stride)
        case "average_pool":
            return nn.AvgPool2d(kernel, stride)
        case "global_average_pool":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "identity":
            return nn.Identity()


def _norm(layer: Layer, shape: tuple[int, ...], architecture: Architecture) -> nn.Module:
    eps = architecture.batchnorm_eps if layer.norm_eps is None else layer.norm_eps
    affine = architecture.batchnorm_affine if layer.norm_affine is None else layer.norm_affine
    match layer.normalisation:
        case "none":
            return nn.Identity()
        case "batch":
            return (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0], eps=eps, affine=affine)
        case "instance":
            return nn.InstanceNorm2d(shape[0], eps=eps, affine=affine)
        case "group":
            return nn.GroupNorm(layer.norm_groups, shape[0], eps=eps, affine=affine)
        case "layer":
            return nn.LayerNorm(shape, eps=eps, elementwise_affine=affine)


class Block(nn.Module):
    """One layer: join the label, operate, normalise, activate. A forward hook on it taps what comes out.

    Args:
        layer: Its row of the table.
        shape: Input shape without the batch axis, ``(D,)`` or ``(C, H, W)``, the label not counted.
        architecture: Gives the number of classes and the batch normalisation settings.

    Attributes:
        layer: The same.
        plain: Whether it is no more than an operation with weights on its input and the label, one-hot, then batch
            normalisation, then the activation.
    """

    def __init__(self, layer: Layer, shape: tuple[int, ...], architecture: Architecture) -> None:
        super().__init__()
        self.layer = layer
        self.conditional = layer.conditional
        self.reshape = layer.reshape
        self._shape = input_shape(layer, shape)
        self._embedded = embedding_shape(layer, shape)
        if self._embedded is not None:
            self.embedding = nn.Embedding(architecture.classes, math.prod(self._embedded))
        inputs = self._shape[0]
        if layer.conditional and self._embedded is None:
            inputs += architecture.classes
        elif layer.label == "embedding" and self._embedded is not None:
            inputs += self._embedded[0]
        # What the operation's module cannot pad or cut off itself is padded before it or cut off after it.
        own, self._rest = _shares(layer, self._shape)
        self.operation = _operation(layer, inputs, own)
        self.norm = _norm(layer, normalised_shape(layer, shape), architecture)
        self.activation = _activation(layer, output_shape(layer, shape)[0])
        self.plain = (
            layer.weighted
            and len(self._shape) == (1 if layer.kind == "linear" else len(shape))
            and layer.normalisation in ("none", "batch")
            and not layer.norm_after_activation
            and layer.order == "chw"
            and self._embedded is None
            and self._rest is None
        )

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Map ``(N, *shape)`` and one-hot labels ``(N, K)`` (or None) to the layer's output."""
        layer = self.layer
        if layer.kind == "linear" or layer.reshape is not None:
            x = _flattened(x, layer.order)
        elif x.dim() == 2 and len(self._shape) == 3:
            x = x[:, :, None, None]
        if layer.conditional and y is not None:
            x = self._with_label(x, y)
        if self._rest is not None and layer.kind != "deconv":
            x = F.pad(x, self._rest, value=-math.inf if layer.kind == "max_pool" else 0.0)
        x = self.operation(x)
        if self._rest is not None and layer.kind == "deconv":
            left, right, top, bottom = self._rest
            x = x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]
        on_units = layer.kind == "linear" and not layer.batchnorm_maps
        if on_units and not layer.norm_after_activation:
            x = self.norm(x)
        if layer.reshape is not None:
            x = _reshaped(x, layer.reshape, layer.order)
        if not on_units and not layer.norm_after_activation:
            x = self.norm(x)
        result: Tensor = self.activation(x)
        return self.norm(result) if layer.norm_after_activation else result

    def _with_label(self, x: Tensor, y: Tensor) -> Tensor:
        if self._embedded is None:
            return torch.cat([x, _as_maps(y, x)], dim=1)
        embedded = self.embedding(y.argmax(1))
        embedded = _as_maps(embedded, x) if len(self._embedded) == 1 else embedded.view(len(x), *self._embedded)
        match self.layer.label:
            case "embedding_add":
                return x + embedded
            case "embedding_multiply":
                return x * embedded
        return torch.cat([x, embedded], dim=1)


def _shares(layer: Layer, shape: tuple[int, ...]) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int] | None]:
    """Return what an operation's module pads or cuts off itself, and what is left to do, (left, right, top, bottom)."""
    if layer.kind not in ("conv", "deconv", "max_pool", "average_pool"):
        return (0, 0, 0, 0), None
    pads = left, right, top, bottom = paddings(layer, shape)
    if layer.kind == "conv" and (left, top) == (right, bottom):
        return pads, None
    if layer.kind != "deconv":
        return (0, 0, 0, 0), pads if any(pads) else None
    # Torch cuts off the same on both sides, and less after than before only by fewer than a stride.
    down, across = layer.strides
    if 0 <= top - bottom < down and 0 <= left - right < across:
        return pads, None
    x, y = max(min(left, right), 0), max(min(top, bottom), 0)
    return (x, x, y, y), (left - x, right - x, top - y, bottom - y)


def _as_maps(y: Tensor, x: Tensor) -> Tensor:
    """Labels ``(N, K)`` as constant maps ``(N, K, H, W)`` where ``x`` has maps."""
    y = y.to(x.dtype)
    return y if x.dim() == 2 else y[:, :, None, None].expand(-1, -1, *x.shape[2:])


def _flattened(x: Tensor, order: Order) -> Tensor:
    return (x.permute(0, 2, 3, 1) if order == "hwc" and x.dim() == 4 else x).flatten(1)


def _reshaped(x: Tensor, shape: tuple[int, int, int], order: Order) -> Tensor:
    if order == "chw":
        return x.reshape(len(x), *shape)
    channels, height, width = shape
    return x.reshape(len(x), height, width, channels).permute(0, 3, 1, 2)


class _Network(nn.Module):
    """Blocks in order, each an attribute of its layer's name."""

    def __init__(self, layers: tuple[Layer, ...], shape: tuple[int, ...], architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self._names = [layer.name for layer in layers]
        self._conditional = any(layer.conditional for layer in layers)
        for layer in layers:
            if hasattr(self, layer.name):
                msg = f"Architecture '{architecture.name}': no layer can be called '{layer.name}'. Rename it."
                raise ArchitectureError(msg)
            self.add_module(layer.name, Block(layer, shape, architecture))
            shape = output_shape(layer, shape)

    def _labels(self, labels: Tensor | None, count: int, device: torch.device) -> Tensor | None:
        classes = self.architecture.classes
        name = self.architecture.name
        if not self._conditional:
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
    """Maps images to one logit each; its taps are the features.

    A sigmoid that ends the table is left off: what is returned is the logit.
    """

    def __init__(self, architecture: Architecture) -> None:
        layers = architecture.discriminator_layers
        if layers and layers[-1].activation == "sigmoid":
            layers = (*layers[:-1], replace(layers[-1], activation="none"))
        super().__init__(layers, architecture.image_shape, architecture)

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
    with seeded(seed):
        network = copied(make())
    return network if isinstance(network, _Network) else tolerant(network)
