from __future__ import annotations

import pytest
import torch

from dcgan_analysis.models import tables
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.shapes import output_shape
from dcgan_analysis.models.summary import layer_rows

FULL = [
    tables.dcgan32(),
    tables.dcgan32_svhn(),
    tables.dcgan64(width=32),
    tables.dcgan64_4x4(),
    tables.dcgan28_conditional(),
    tables.mlp_conditional(),
]


def sides(architecture):
    yield architecture.generator, architecture.generator_layers, (architecture.z_size,)
    yield architecture.discriminator, architecture.discriminator_layers, architecture.image_shape


def test_parameter_counts_are_those_of_the_modules(architecture):
    for make, layers, shape in sides(architecture):
        network = make()
        for row in layer_rows(layers, shape, architecture):
            block = network.get_submodule(row.name)
            assert row.parameters == sum(parameter.numel() for parameter in block.parameters()), row


@pytest.mark.parametrize("architecture", FULL, ids=lambda architecture: architecture.name)
def test_parameter_counts_of_the_full_sizes_are_those_of_the_modules(architecture):
    for make, layers, shape in sides(architecture):
        with torch.device("meta"):
            network = make()
        counted = sum(row.parameters for row in layer_rows(layers, shape, architecture))
        assert counted == sum(parameter.numel() for parameter in network.parameters())


def test_shapes_are_those_of_a_forward_pass(architecture, initialised):
    labels = torch.zeros(2, dtype=torch.long) if architecture.classes else None
    for make, layers, shape in sides(architecture):
        network = initialised(make())
        names = [layer.name for layer in layers]
        with torch.no_grad(), capture(network, names) as outputs:
            network(torch.zeros(2, *shape), labels)
        rows = layer_rows(layers, shape, architecture)
        assert {row.name: row.shape for row in rows} == {name: tuple(outputs[name].shape[1:]) for name in names}


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Layer("conv1", "conv", 8, 5, 2), (1, 28, 28), (8, 14, 14)),
        (Layer("conv1", "conv", 8, 5, 2), (1, 7, 7), (8, 4, 4)),
        (Layer("conv1", "conv", 8, 3, 1), (1, 7, 5), (8, 7, 5)),
        (Layer("conv1", "conv", 8, 4, 2), (1, 8, 6), (8, 4, 3)),
        (Layer("conv1", "conv", 8, 4, 2), (1, 7, 7), (8, 3, 3)),
        (Layer("deconv1", "deconv", 8, 5, 2), (1, 7, 7), (8, 14, 14)),
        (Layer("deconv1", "deconv", 8, 4, 2), (1, 7, 7), (8, 14, 14)),
        (Layer("project", "linear", 12, reshape=(3, 2, 2)), (5,), (3, 2, 2)),
        (Layer("logit", "linear", 1), (5, 4, 4), (1,)),
    ],
)
def test_output_shapes_are_as_computed_by_hand(layer, shape, expected):
    assert output_shape(layer, shape) == expected


def test_operations_and_what_follows_are_said_in_words():
    architecture = tables.dcgan28_conditional()

    rows = layer_rows(architecture.generator_layers, (100,), architecture)

    assert [(row.operation, row.after) for row in rows[1:]] == [
        ("linear, label joined", "BatchNorm, ReLU"),
        ("fractional-strided conv 5x5, stride 2, label joined", "BatchNorm, ReLU"),
        ("fractional-strided conv 5x5, stride 2, label joined", "sigmoid"),
    ]
