"""What a row of a layer table makes of a shape, and which parameters it has. No torch here.

Shapes are without the batch axis: ``(D,)`` of units, ``(C, H, W)`` of maps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.models.architecture import Architecture, Layer, Role

Shape = tuple[int, ...]


def layer_inputs(architecture: Architecture, role: Role) -> Iterator[tuple[Layer, Shape]]:
    """Yield each layer of a network with its input shape."""
    shape: Shape = (architecture.z_size,) if role == "generator" else architecture.image_shape
    for layer in architecture.layers(role):
        yield layer, shape
        shape = output_shape(layer, shape)


def input_shape(layer: Layer, shape: Shape) -> Shape:
    """Return the shape in which an operation takes its input, the label not counted: units, or maps of 1x1 pixels.

    Example:
        >>> from dcgan_analysis.models.architecture import Layer
        >>> input_shape(Layer("logit", "linear", 1), (8, 4, 4)), input_shape(Layer("deconv1", "deconv", 8, 4), (100,))
        ((128,), (100, 1, 1))
    """
    if layer.kind == "linear":
        return (math.prod(shape),)
    return (*shape, 1, 1) if len(shape) == 1 and layer.kind != "identity" else shape


def paddings(layer: Layer, shape: Shape) -> tuple[int, int, int, int]:
    """Return how much is put around a conv's or pooling's input, or cut off a deconv's output.

    Args:
        layer: Its row of the table.
        shape: ``(C, H, W)`` of the input.

    Returns:
        ``(left, right, top, bottom)``; negative where a deconv's output is enlarged.

    Example:
        TensorFlow's SAME with a kernel of 5 and stride 2:

        >>> from dcgan_analysis.models.architecture import Layer
        >>> paddings(Layer("conv1", "conv", 8, 5, 2, padding="same"), (3, 64, 64))
        (1, 2, 1, 2)
        >>> paddings(Layer("conv1", "conv", 8, 5, 2), (3, 64, 64))
        (2, 2, 2, 2)
    """
    if isinstance(layer.padding, tuple):
        return layer.padding
    sides = []
    for kernel, stride, size in zip(layer.kernel_size, layer.strides, shape[1:], strict=True):
        if layer.padding is None:
            before = 0 if layer.kind.endswith("pool") else (kernel - 1) // 2
            # What is left, (size - 1) * stride + kernel - before - after, is exactly `stride` times as large.
            after = kernel - stride - before if layer.kind == "deconv" else before
        elif layer.padding == "same":
            total = kernel - stride if layer.kind == "deconv" else (-(-size // stride) - 1) * stride + kernel - size
            if layer.kind != "deconv":
                total = max(total, 0)
            before = max(total, 0) // 2
            after = total - before
        else:
            before, after = layer.padding, layer.padding - layer.output_padding
        sides.append((before, after))
    (top, bottom), (left, right) = sides
    return left, right, top, bottom


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Return a layer's output shape from its input shape."""
    if layer.kind in ("linear", "identity"):
        return layer.reshape or ((layer.out,) if layer.kind == "linear" else shape)
    channels, *sizes = input_shape(layer, shape)
    if layer.kind == "global_average_pool":
        return (channels,)
    down, across = layer.strides
    if layer.kind == "upsample":
        return (channels, *(layer.size or (sizes[0] * down, sizes[1] * across)))
    if layer.kind == "pixel_shuffle":
        return (channels // (down * across), sizes[0] * down, sizes[1] * across)
    left, right, top, bottom = paddings(layer, (channels, *sizes))
    out = layer.out if layer.weighted else channels
    spans = zip(sizes, layer.kernel_size, layer.strides, ((top, bottom), (left, right)), strict=True)
    if layer.kind == "deconv":
        return (out, *((size - 1) * stride + kernel - sum(sides) for size, kernel, stride, sides in spans))
    return (out, *((size + sum(sides) - kernel) // stride + 1 for size, kernel, stride, sides in spans))


def embedding_shape(layer: Layer, shape: Shape) -> Shape | None:
    """Return the shape of the embedding of one label, or None where the label is joined otherwise or not at all.

    Args:
        layer: Its row of the table.
        shape: The layer's input shape.
    """
    if not layer.conditional or layer.label == "one_hot":
        return None
    if layer.embedding is None:
        return input_shape(layer, shape)[:1]
    return (layer.embedding,) if isinstance(layer.embedding, int) else layer.embedding


def normalised_shape(layer: Layer, shape: Shape) -> Shape:
    """Return the shape that normalisation works on, from the layer's input shape."""
    on_units = layer.kind == "linear" and not layer.batchnorm_maps and not layer.norm_after_activation
    return (layer.out,) if on_units else output_shape(layer, shape)


def parameter_shapes(layer: Layer, shape: Shape, architecture: Architecture) -> dict[str, Shape]:
    """Return the shapes of a layer's trained parameters by their names in its module.

    Args:
        layer: Its row of the table.
        shape: The layer's input shape.
        architecture: Gives the number of classes and the batch normalisation settings.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> a = dcgan32(width=8)
        >>> parameter_shapes(a.discriminator_layers[1], (8, 32, 32), a)
        {'operation.weight': (8, 8, 3, 3), 'norm.weight': (8,), 'norm.bias': (8,)}
    """
    result: dict[str, Shape] = {}
    embedded = embedding_shape(layer, shape)
    if layer.weighted:
        inputs = input_shape(layer, shape)[0]
        if embedded is None:
            inputs += architecture.classes if layer.conditional else 0
        elif layer.label == "embedding":
            inputs += embedded[0]
        channels = (inputs, layer.out) if layer.kind == "deconv" else (layer.out, inputs)
        result["operation.weight"] = channels if layer.kind == "linear" else (*channels, *layer.kernel_size)
        if layer.bias:
            result["operation.bias"] = (layer.out,)
    affine = architecture.batchnorm_affine if layer.norm_affine is None else layer.norm_affine
    if layer.normalisation != "none" and affine:
        normalised = normalised_shape(layer, shape)
        result["norm.weight"] = result["norm.bias"] = normalised if layer.normalisation == "layer" else normalised[:1]
    if layer.activation == "prelu":
        result["activation.weight"] = output_shape(layer, shape)[:1]
    if embedded is not None:
        result["embedding.weight"] = (architecture.classes, math.prod(embedded))
    return result
