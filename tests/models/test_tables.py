"""The layer tables against the paper's numbers."""

from __future__ import annotations

import pytest

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.features.pooling import pooled_shape
from dcgan_analysis.models import tables
from dcgan_analysis.models.summary import layer_rows


def convolutions(layers):
    return [(layer.kind, layer.out, layer.kernel, layer.stride) for layer in layers if layer.kind != "linear"]


def pooled_size(architecture):
    rows = layer_rows(architecture.discriminator_layers, architecture.image_shape, architecture)
    shapes = [pooled_shape(row.shape, 4) for row in rows if row.name in architecture.taps]
    return sum(channels * height * width for channels, height, width in shapes)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        (tables.dcgan32(), 28_672),
        (tables.dcgan32(width=64), 14_336),
        (tables.dcgan32_svhn(), 7_168),
        (tables.dcgan64(), (128 + 256 + 512 + 1024) * 16),
    ],
)
def test_feature_sizes_are_the_papers(architecture, size):
    assert pooled_size(architecture) == size


def test_dcgan32_has_the_layers_of_the_imagenet_network():
    architecture = tables.dcgan32()

    assert architecture.z_size == 256
    assert architecture.generator_layers[0].reshape == (512, 4, 4)
    assert convolutions(architecture.generator_layers) == [
        ("deconv", 512, 3, 2),
        ("deconv", 256, 3, 1),
        ("deconv", 256, 3, 2),
        ("deconv", 128, 3, 1),
        ("deconv", 128, 3, 2),
        ("deconv", 3, 3, 1),
    ]
    assert convolutions(architecture.discriminator_layers) == [
        ("conv", 128, 3, 1),
        ("conv", 128, 3, 2),
        ("conv", 256, 3, 1),
        ("conv", 256, 3, 2),
        ("conv", 512, 3, 1),
        ("conv", 512, 3, 2),
    ]


def test_dcgan32_svhn_has_the_layers_of_the_svhn_network():
    architecture = tables.dcgan32_svhn()

    assert architecture.z_size == 100
    assert architecture.generator_layers[0].reshape == (256, 4, 4)
    assert convolutions(architecture.generator_layers) == [
        ("deconv", 128, 5, 2),
        ("deconv", 64, 5, 2),
        ("deconv", 3, 5, 2),
    ]
    assert convolutions(architecture.discriminator_layers) == [
        ("conv", 64, 5, 2),
        ("conv", 128, 5, 2),
        ("conv", 256, 5, 2),
    ]


def test_dcgan64_has_the_layers_of_figure_1():
    architecture = tables.dcgan64()

    assert architecture.z_size == 100
    assert architecture.generator_layers[0].reshape == (1024, 4, 4)
    assert [layer.out for layer in architecture.generator_layers[1:]] == [512, 256, 128, 3]
    assert [layer.out for layer in architecture.discriminator_layers] == [128, 256, 512, 1024, 1]


def test_the_label_joins_every_layer_of_the_conditional_networks():
    for architecture in (tables.dcgan28_conditional(), tables.mlp_conditional()):
        layers = (*architecture.generator_layers, *architecture.discriminator_layers)
        assert all(layer.conditional for layer in layers)
        assert architecture.image_range == (0, 1)
        assert not architecture.batchnorm_affine


def test_weights_of_the_conditional_generator_are_counted_by_hand():
    architecture = tables.dcgan28_conditional()

    rows = layer_rows(architecture.generator_layers, (100,), architecture)

    assert [(row.shape, row.parameters) for row in rows] == [
        ((1024,), (100 + 10) * 1024),
        ((128, 7, 7), (1024 + 10) * 128 * 7 * 7),
        ((64, 14, 14), (128 + 10) * 64 * 25),
        ((1, 28, 28), (64 + 10) * 1 * 25),
    ]


def test_identity_names_every_parameter():
    identity = tables.dcgan32(width=64).identity()

    assert identity == {
        "name": "dcgan32",
        "parameters": {"width": 64, "z_size": 256, "image_channels": 3, "batchnorm_eps": 1e-5},
    }


def test_the_conditional_network_fits_other_image_sizes_by_its_fully_connected_layers_alone():
    small, mnist = tables.dcgan28_conditional(image_size=32, image_channels=3), tables.dcgan28_conditional()

    assert small.image_shape == (3, 32, 32)
    assert small.generator_layers[1].reshape == (128, 8, 8)
    assert mnist.generator_layers[1].reshape == (128, 7, 7)
    with pytest.raises(ArchitectureError, match="image_size 30 must be a positive multiple of 4"):
        tables.dcgan28_conditional(image_size=30)
