"""An architecture described: its layers with shapes and parameter counts, and the paper's guidelines it keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcgan_analysis.models.architecture import Architecture, Layer

__all__ = ["Guideline", "LayerRow", "guidelines", "layer_rows", "output_shape"]


@dataclass(frozen=True)
class LayerRow:
    """One layer as shown to a reader.

    Attributes:
        name: Its tap.
        operation: In words: ``"conv 3x3, stride 2"``.
        shape: Output shape without the batch axis.
        parameters: Number of trained parameters, batch normalisation included.
        after: Batch normalisation and activation, in words.
    """

    name: str
    operation: str
    shape: tuple[int, ...]
    parameters: int
    after: str


@dataclass(frozen=True)
class Guideline:
    """One of the paper's guidelines for stable DCGANs (section 3) and whether an architecture keeps it."""

    text: str
    kept: bool


def output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a layer's output shape, without the batch axis, from its input shape."""
    if layer.kind == "linear":
        return layer.reshape or (layer.out,)
    _, height, width = shape
    if layer.kind == "conv":
        # Size + 2 * padding - kernel is size - 1 with an odd kernel, size - 2 with an even one.
        short = 1 if layer.kernel % 2 else 2
        return (layer.out, (height - short) // layer.stride + 1, (width - short) // layer.stride + 1)
    return (layer.out, height * layer.stride, width * layer.stride)


def layer_rows(layers: tuple[Layer, ...], shape: tuple[int, ...], architecture: Architecture) -> list[LayerRow]:
    """Describe a layer table.

    Args:
        layers: The table.
        shape: Input shape without the batch axis: ``(Z,)`` or ``(C, H, W)``.
        architecture: Gives the number of classes and the batch normalisation settings.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> a = dcgan32()
        >>> layer_rows(a.discriminator_layers, a.image_shape, a)[0].parameters
        3456
    """
    rows = []
    for layer in layers:
        inputs = math.prod(shape) if layer.kind == "linear" else shape[0]
        if layer.conditional:
            inputs += architecture.classes
        parameters = inputs * layer.out * (layer.kernel**2 if layer.kind != "linear" else 1)
        if layer.batchnorm and architecture.batchnorm_affine:
            parameters += 2 * layer.batchnorm_size
        shape = output_shape(layer, shape)
        rows.append(LayerRow(layer.name, _operation(layer), shape, parameters, _after(layer)))
    return rows


def _operation(layer: Layer) -> str:
    label = ", label joined" if layer.conditional else ""
    if layer.kind == "linear":
        return f"linear{label}"
    kind = "conv" if layer.kind == "conv" else "fractional-strided conv"
    return f"{kind} {layer.kernel}x{layer.kernel}, stride {layer.stride}{label}"


def _after(layer: Layer) -> str:
    names = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "tanh": "tanh", "sigmoid": "sigmoid", "none": ""}
    parts = ["BatchNorm"] if layer.batchnorm else []
    return ", ".join([*parts, *filter(None, [names[layer.activation]])])


def guidelines(architecture: Architecture) -> list[Guideline]:
    """Judge an architecture by the five guidelines of section 3; empty where there are no layer tables."""
    generator, discriminator = architecture.generator_layers, architecture.discriminator_layers
    if not generator or not discriminator:
        return []
    hidden = [layer for layer in (*generator[1:-1], *discriminator[:-1]) if layer.kind == "linear"]
    inner = (*generator[:-1], *discriminator[1:-1])
    bare = (generator[-1], discriminator[0])
    return [
        # Layer tables know no pooling layer, so convolutional networks resize by stride alone.
        Guideline(
            "strided and fractional-strided convolutions instead of pooling",
            any(layer.kind == "conv" for layer in discriminator),
        ),
        Guideline(
            "BatchNorm in both networks, except generator output and discriminator input",
            all(layer.batchnorm for layer in inner) and not any(layer.batchnorm for layer in bare),
        ),
        Guideline("no fully connected hidden layers", not hidden),
        Guideline(
            "generator: ReLU, output tanh",
            all(layer.activation == "relu" for layer in generator[:-1]) and generator[-1].activation == "tanh",
        ),
        Guideline(
            "discriminator: LeakyReLU in all layers",
            all(layer.activation == "leaky_relu" for layer in discriminator[:-1]),
        ),
    ]
