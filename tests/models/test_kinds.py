"""Every kind of row against plain torch modules, and TensorFlow's padding against NumPy."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.builder import Block
from dcgan_analysis.models.kernels.folding import fold_batchnorm
from dcgan_analysis.models.kernels.winograd import with_winograd
from dcgan_analysis.models.shapes import output_shape, paddings, parameter_shapes
from dcgan_analysis.models.tables import dcgan32

ARCHITECTURE = replace(dcgan32(width=4), classes=3)
MAPS = (4, 6, 5)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def bare(name, kind, out=0, kernel=0, stride=1, **fields):
    return Layer(name, kind, out, kernel, stride, batchnorm=False, **fields)


def random_block(layer, shape):
    """Return a block in evaluation mode whose parameters and statistics are all random."""
    block = Block(layer, shape, ARCHITECTURE).eval()
    with torch.no_grad():
        for seed, (name, tensor) in enumerate(block.state_dict().items()):
            if name.endswith("running_var"):
                tensor.copy_(randn(*tensor.shape, seed=seed) ** 2 + 0.1)
            elif tensor.is_floating_point():
                tensor.copy_(randn(*tensor.shape, seed=seed))
    return block


def linear(x, block):
    return F.linear(x.flatten(1), block.operation.weight, block.operation.bias)


# Each layer with its input shape and what plain torch makes of the input and the block's arrays.
KINDS = {
    "linear with bias": (bare("x", "linear", 7, bias=True), MAPS, linear),
    "linear to maps, channels last": (
        bare("x", "linear", 12, reshape=(3, 2, 2), order="hwc"),
        MAPS,
        lambda x, b: linear(x.permute(0, 2, 3, 1), b).view(-1, 2, 2, 3).permute(0, 3, 1, 2),
    ),
    "conv with padding": (
        bare("x", "conv", 3, 3, 2, padding=2, bias=True),
        MAPS,
        lambda x, b: F.conv2d(x, b.operation.weight, b.operation.bias, 2, 2),
    ),
    "conv with sides padded differently": (
        bare("x", "conv", 3, 3, 2, padding=(0, 1, 2, 3)),
        MAPS,
        lambda x, b: F.conv2d(F.pad(x, (0, 1, 2, 3)), b.operation.weight, None, 2),
    ),
    "conv, not square": (
        bare("x", "conv", 3, (3, 2), (1, 2), padding=0),
        MAPS,
        lambda x, b: F.conv2d(x, b.operation.weight, None, (1, 2)),
    ),
    "conv on units": (
        bare("x", "conv", 3, 1, padding=0),
        (5,),
        lambda x, b: F.conv2d(x[:, :, None, None], b.operation.weight),
    ),
    "deconv from units": (
        bare("x", "deconv", 3, 4, padding=0, bias=True),
        (5,),
        lambda x, b: F.conv_transpose2d(x[:, :, None, None], b.operation.weight, b.operation.bias),
    ),
    "deconv with output padding": (
        bare("x", "deconv", 3, 5, 2, padding=2, output_padding=1, bias=True),
        MAPS,
        lambda x, b: F.conv_transpose2d(x, b.operation.weight, b.operation.bias, 2, 2, 1),
    ),
    "deconv with sides cut off differently": (
        bare("x", "deconv", 3, 5, 2, padding=(0, 3, 2, 1), bias=True),
        MAPS,
        lambda x, b: F.conv_transpose2d(x, b.operation.weight, b.operation.bias, 2)[:, :, 2:-1, :-3],
    ),
    "deconv of an even kernel and stride 1": (
        bare("x", "deconv", 3, 4, 1),
        MAPS,
        lambda x, b: F.conv_transpose2d(x, b.operation.weight)[:, :, 1:-2, 1:-2],
    ),
    "nearest": (
        bare("x", "upsample", stride=(2, 3)),
        MAPS,
        lambda x, _: x.repeat_interleave(2, 2).repeat_interleave(3, 3),
    ),
    "nearest to a size": (
        bare("x", "upsample", size=(9, 7)),
        MAPS,
        lambda x, _: F.interpolate(x, size=(9, 7), mode="nearest"),
    ),
    "bilinear": (
        bare("x", "upsample", stride=2, mode="bilinear"),
        MAPS,
        lambda x, _: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
    ),
    "bilinear with corners": (
        bare("x", "upsample", stride=2, mode="bilinear_corners"),
        MAPS,
        lambda x, _: nn.UpsamplingBilinear2d(scale_factor=2)(x),
    ),
    "pixel shuffle": (bare("x", "pixel_shuffle", stride=2), MAPS, lambda x, _: nn.PixelShuffle(2)(x)),
    "max pooling": (
        bare("x", "max_pool", kernel=3, stride=2, padding=1),
        MAPS,
        lambda x, _: F.max_pool2d(x, 3, 2, 1),
    ),
    "average pooling": (
        bare("x", "average_pool", kernel=3, stride=2, padding=1),
        MAPS,
        lambda x, _: F.avg_pool2d(x, 3, 2, 1),
    ),
    "global average pooling": (bare("x", "global_average_pool"), MAPS, lambda x, _: x.mean((2, 3))),
    "identity reshaped": (bare("x", "identity", reshape=(2, 3, 2)), (12,), lambda x, _: x.view(-1, 2, 3, 2)),
    "instance norm": (
        bare("x", "conv", 3, 3, norm="instance", norm_eps=0.1),
        MAPS,
        lambda x, b: F.instance_norm(
            F.conv2d(x, b.operation.weight, padding=1), weight=b.norm.weight, bias=b.norm.bias, eps=0.1
        ),
    ),
    "group norm": (
        bare("x", "conv", 6, 3, norm="group", norm_groups=3),
        MAPS,
        lambda x, b: F.group_norm(F.conv2d(x, b.operation.weight, padding=1), 3, b.norm.weight, b.norm.bias),
    ),
    "layer norm on maps": (
        bare("x", "conv", 2, 3, norm="layer"),
        MAPS,
        lambda x, b: F.layer_norm(F.conv2d(x, b.operation.weight, padding=1), (2, 6, 5), b.norm.weight, b.norm.bias),
    ),
    "layer norm without scale": (
        bare("x", "linear", 8, norm="layer", norm_affine=False),
        MAPS,
        lambda x, b: F.layer_norm(linear(x, b), (8,)),
    ),
    "batch norm after the activation": (
        bare(
            "x",
            "conv",
            3,
            3,
            norm="batch",
            norm_eps=0.8,
            norm_after_activation=True,
            activation="leaky_relu",
            slope=0.3,
        ),
        MAPS,
        lambda x, b: F.batch_norm(
            F.leaky_relu(F.conv2d(x, b.operation.weight, padding=1), 0.3),
            b.norm.running_mean,
            b.norm.running_var,
            b.norm.weight,
            b.norm.bias,
            eps=0.8,
        ),
    ),
    "batch norm of an upsampling": (
        bare("x", "upsample", stride=2, norm="batch"),
        MAPS,
        lambda x, b: F.batch_norm(
            x.repeat_interleave(2, 2).repeat_interleave(2, 3),
            b.norm.running_mean,
            b.norm.running_var,
            b.norm.weight,
            b.norm.bias,
        ),
    ),
    "prelu": (bare("x", "identity", activation="prelu"), MAPS, lambda x, b: F.prelu(x, b.activation.weight)),
    "elu": (bare("x", "identity", activation="elu", slope=0.5), MAPS, lambda x, _: F.elu(x, 0.5)),
    **{
        name: (bare("x", "identity", activation=name), MAPS, lambda x, _, apply=apply: apply(x))
        for name, apply in {
            "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
            "selu": F.selu,
            "gelu": F.gelu,
            "silu": F.silu,
            "softplus": F.softplus,
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
            "relu": torch.relu,
            "none": lambda x: x,
        }.items()
    },
}


@pytest.mark.parametrize("case", KINDS)
def test_a_row_computes_what_plain_torch_does(case):
    layer, shape, expected = KINDS[case]
    block, x = random_block(layer, shape), randn(2, *shape, seed=99)

    with torch.no_grad():
        result, wanted = block(x, None), expected(x, block)

    torch.testing.assert_close(result, wanted)
    assert output_shape(layer, shape) == tuple(wanted.shape[1:])


@pytest.mark.parametrize("case", KINDS)
def test_the_parameters_of_a_row_are_known_without_building_it(case):
    layer, shape, _ = KINDS[case]
    block = Block(layer, shape, ARCHITECTURE)

    built = {name: tuple(parameter.shape) for name, parameter in block.named_parameters()}

    assert parameter_shapes(layer, shape, ARCHITECTURE) == built


LABELS = torch.tensor([2, 0])
ONE_HOT = F.one_hot(LABELS, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "joined"),
    [
        (bare("x", "linear", 5), (4,), lambda x, _: torch.cat([x, ONE_HOT], 1)),
        (
            bare("x", "linear", 5, label="embedding", embedding=2),
            (4,),
            lambda x, e: torch.cat([x, e], 1),
        ),
        (bare("x", "linear", 5, label="embedding_add"), (4,), lambda x, e: x + e),
        (bare("x", "linear", 5, label="embedding_multiply"), (4,), lambda x, e: x * e),
        (
            bare("x", "conv", 5, 1, label="embedding", embedding=2),
            (4, 3, 3),
            lambda x, e: torch.cat([x, e[:, :, None, None].expand(-1, -1, 3, 3)], 1),
        ),
        (
            bare("x", "conv", 5, 1, label="embedding", embedding=(1, 3, 3)),
            (4, 3, 3),
            lambda x, e: torch.cat([x, e.view(-1, 1, 3, 3)], 1),
        ),
        (bare("x", "conv", 5, 1, label="embedding_multiply"), (4, 3, 3), lambda x, e: x * e[:, :, None, None]),
        (
            bare("x", "conv", 5, 1, label="embedding_add", embedding=(4, 3, 3)),
            (4, 3, 3),
            lambda x, e: x + e.view(-1, 4, 3, 3),
        ),
    ],
    ids=lambda value: f"{value.label} {value.kind}" if isinstance(value, Layer) else "",
)
def test_a_label_is_joined_added_or_multiplied(layer, shape, joined):
    layer = replace(layer, conditional=True)
    block, x = random_block(layer, shape), randn(2, *shape, seed=99)
    embedded = block.embedding.weight[LABELS] if layer.label != "one_hot" else None

    with torch.no_grad():
        torch.testing.assert_close(block(x, ONE_HOT), block.operation(joined(x, embedded)))
    built = {name: tuple(parameter.shape) for name, parameter in block.named_parameters()}
    assert parameter_shapes(layer, shape, ARCHITECTURE) == built


def same_conv(images, kernels, stride):
    """TensorFlow's SAME convolution as its documentation defines it: (H, W, I) and (k, k, I, O)."""
    height, width, _ = images.shape
    k = len(kernels)
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    down = max((rows - 1) * stride + k - height, 0)
    across = max((columns - 1) * stride + k - width, 0)
    padded = np.zeros((height + down, width + across, images.shape[2]))
    padded[down // 2 : down // 2 + height, across // 2 : across // 2 + width] = images
    out = np.zeros((rows, columns, kernels.shape[3]))
    for row in range(rows):
        for column in range(columns):
            window = padded[row * stride : row * stride + k, column * stride : column * stride + k]
            out[row, column] = np.einsum("ijc,ijco->o", window, kernels)
    return out


def same_transposed(images, kernels, stride):
    """The gradient of ``same_conv`` from the larger maps to the smaller: (H, W, I) and (k, k, O, I)."""
    height, width, _ = images.shape
    outputs = kernels.shape[2]
    result = np.zeros((height * stride, width * stride, outputs))
    for index in np.ndindex(*result.shape):
        unit = np.zeros(result.shape)
        unit[index] = 1
        # <same_conv(unit), images> is the unit's place in the transposed map.
        result[index] = np.sum(same_conv(unit, kernels, stride) * images)
    return result


@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (4, 2), (3, 2), (3, 1), (2, 2), (1, 2), (4, 3)])
@pytest.mark.parametrize("size", [4, 5])
def test_same_padding_is_tensorflows(kernel, stride, size):
    shape = (2, size, size)
    for kind, compute in (("conv", same_conv), ("deconv", same_transposed)):
        block = random_block(bare("x", kind, 3, kernel, stride, padding="same"), shape)
        images = randn(*shape, seed=1)
        # (out, in, h, w) of a convolution and (in, out, h, w) of a transposed one: in either case TensorFlow's axes.
        kernels = block.operation.weight.detach().permute(2, 3, 1, 0).numpy().astype(np.float64)

        with torch.no_grad():
            result = block(images[None], None)[0].permute(1, 2, 0).numpy()

        np.testing.assert_allclose(result, compute(images.permute(1, 2, 0).numpy(), kernels, stride), atol=1e-5)


def test_same_pads_one_more_after_than_before_where_the_sides_cannot_be_equal():
    conv, deconv = (bare("x", kind, 3, 5, 2, padding="same") for kind in ("conv", "deconv"))
    assert paddings(conv, (1, 28, 28)) == paddings(deconv, (1, 14, 14)) == (1, 2, 1, 2)
    assert paddings(conv, (1, 27, 27)) == (2, 2, 2, 2)


@pytest.mark.parametrize(
    "case",
    [
        "conv with sides padded differently",
        "deconv with sides cut off differently",
        "linear to maps, channels last",
        "batch norm after the activation",
        "batch norm of an upsampling",
        "conv on units",
    ],
)
@pytest.mark.parametrize("maps", [False, True])
def test_folding_changes_nothing(case, maps):
    layer, shape, _ = KINDS[case]
    layer = replace(layer, norm="batch", activation="leaky_relu", batchnorm_maps=maps)
    network = nn.Sequential()
    network.add_module("x", random_block(layer, shape))
    x = randn(2, *shape, seed=99)
    with torch.no_grad():
        wanted = network.x(x, None)
        result = fold_batchnorm(network).x(x.clone(), None)

    torch.testing.assert_close(result, wanted)


@pytest.mark.parametrize(
    "layer",
    [
        bare("x", "conv", 128, 3, bias=True),
        bare("x", "deconv", 128, 3, padding="same", bias=True),
        bare("x", "conv", 128, 3, padding=(0, 2, 1, 1), bias=True),
        bare("x", "deconv", 128, 3, padding=(1, 2, 1, 1), bias=True),
    ],
    ids=lambda layer: f"{layer.kind} {layer.kernel} {layer.padding}",
)
def test_faster_kernels_compute_the_same_and_the_same_gradients(layer):
    slow = Block(layer, (128, 8, 8), ARCHITECTURE)
    fast = nn.Sequential()
    fast.add_module("x", copy.deepcopy(slow))
    with_winograd(fast)
    slow_too = layer.kind == "conv" and isinstance(layer.padding, tuple)
    assert (type(fast.x.operation) is type(slow.operation)) == slow_too
    x, results = randn(2, 128, 8, 8), []
    for block in (slow, fast.x):
        made = block(x, None)
        gradients = torch.autograd.grad((made * randn(*made.shape, seed=5)).sum(), [*block.parameters()])
        results.append([made.detach(), *gradients])

    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
