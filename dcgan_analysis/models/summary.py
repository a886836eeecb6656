"""An architecture described: its layers with shapes and parameter counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.models.shapes import input_shape, output_shape, paddings, parameter_shapes

if TYPE_CHECKING:
    from dcgan_analysis.models.architecture import (
        Activation,
        Architecture,
        LabelJoin,
        Layer,
        LayerKind,
        NormKind,
        UpsampleMode,
    )


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


def parameters_in_words(architecture: Architecture) -> str:
    """Return the parameters of an architecture in words, of its tables how many rows they have.

    Example:
        >>> from dcgan_analysis.models.layers import layers
        >>> parameters_in_words(layers(discriminator=[{"name": "logit", "kind": "linear", "out": 1}]))
        'discriminator 1 row, image_shape [3, 64, 64], image_range [-1.0, 1.0], z_size 100, classes 0'
    """
    words = []
    for name, value in architecture.parameters.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            words.append(f"{name} {len(value)} row{'s' if len(value) > 1 else ''}")
        elif value is not None:
            words.append(f"{name} {value}")
    return ", ".join(words)


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
        parameters = sum(math.prod(own) for own in parameter_shapes(layer, shape, architecture).values())
        words = _operation(layer, shape)
        shape = output_shape(layer, shape)
        rows.append(LayerRow(layer.name, words, shape, parameters, _after(layer)))
    return rows


_OPERATIONS: dict[LayerKind, str] = {
    "deconv": "fractional-strided conv",
    "upsample": "upsampling",
    "max_pool": "max pooling",
    "average_pool": "average pooling",
    "global_average_pool": "global average pooling",
    "pixel_shuffle": "pixel shuffle",
    "identity": "",
}
_MODES: dict[UpsampleMode, str] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bilinear_corners": "bilinear, corners aligned",
}
_LABELS: dict[LabelJoin, str] = {
    "one_hot": "label joined",
    "embedding": "label joined as embedding",
    "embedding_add": "label added as embedding",
    "embedding_multiply": "label multiplied as embedding",
}
_NORMS: dict[NormKind, str] = {
    "none": "",
    "batch": "BatchNorm",
    "instance": "InstanceNorm",
    "group": "GroupNorm",
    "layer": "LayerNorm",
}
_ACTIVATIONS: dict[Activation, str] = {
    "none": "",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "prelu": "PReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
}


def _operation(layer: Layer, shape: tuple[int, ...]) -> str:
    """Say what a layer does; the paper's own choices go without saying."""
    parts = []
    if layer.kind == "upsample":
        to = "x".join(map(str, layer.size)) if layer.size else f"{_pair(layer.strides)} times"
        parts += [to, _MODES[layer.mode]]
    elif layer.kind == "pixel_shuffle":
        parts.append(f"{layer.strides[0]} times")
    elif layer.kernel_size != (0, 0):
        parts += [f"{'x'.join(map(str, layer.kernel_size))}", f"stride {_pair(layer.strides)}"]
        if layer.padding is not None:
            sides = paddings(layer, input_shape(layer, shape))
            parts.append(f"padding {sides[0] if len({*sides}) == 1 else sides}")
    if layer.bias:
        parts.append("bias")
    if layer.conditional:
        parts.append(_LABELS[layer.label])
    if layer.reshape is not None and (layer.kind == "identity" or layer.order == "hwc"):
        parts.append(f"to {'x'.join(map(str, layer.reshape))}")
    if layer.order == "hwc":
        parts.append("channels last")
    name = _OPERATIONS.get(layer.kind, layer.kind)
    # A kernel's size follows the name of its operation at once.
    first = layer.kernel_size != (0, 0) or layer.kind in ("upsample", "pixel_shuffle") or not name
    return f"{name} {', '.join(parts)}".strip() if first else ", ".join([name, *parts])


def _pair(lengths: tuple[int, int]) -> str:
    return str(lengths[0]) if len({*lengths}) == 1 else str(lengths)


def _after(layer: Layer) -> str:
    norm = _NORMS[layer.normalisation]
    if layer.normalisation == "group":
        norm += f" of {layer.norm_groups} groups"
    if layer.norm_eps is not None and norm:
        norm += f" eps {layer.norm_eps:g}"
    activation = _ACTIVATIONS.get(layer.activation, layer.activation)
    if layer.slope is not None and activation:
        activation += f" {layer.slope:g}"
    parts = [activation, norm] if layer.norm_after_activation else [norm, activation]
    return ", ".join(filter(None, parts))
