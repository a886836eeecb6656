from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dcgan_analysis.models import tables
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.models.kernels.folding import fold_batchnorm


@pytest.fixture(params=["dcgan32", "dcgan28-conditional", "mlp-conditional"])
def pair(request):
    """A small architecture's two networks with BatchNorm statistics of their own, and inputs for each."""
    make = {
        "dcgan32": lambda: tables.dcgan32(width=4, z_size=6),
        "dcgan28-conditional": lambda: tables.dcgan28_conditional(width=4, hidden=16, z_size=6, batchnorm_affine=True),
        "mlp-conditional": lambda: tables.mlp_conditional(width=16, z_size=6),
    }
    architecture = make[request.param]()
    source = torch.Generator().manual_seed(1)
    result = []
    for network, shape in (
        (architecture.generator(), (architecture.z_size,)),
        (architecture.discriminator(), architecture.image_shape),
    ):
        initialise(network, source)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.05, generator=source)
                module.running_var.uniform_(0.01, 0.1, generator=source)
        labels = torch.arange(5) % architecture.classes if architecture.classes else None
        result.append((network.eval(), torch.randn(5, *shape, generator=source), labels))
    return result


@torch.no_grad()
def largest_difference(network, inputs, labels):
    folded = fold_batchnorm(copy.deepcopy(network))
    expected = network(inputs, labels)
    return float((folded(inputs, labels) - expected).abs().max() / expected.abs().max())


def test_folding_changes_nothing_in_float64(pair):
    for network, inputs, labels in pair:
        assert largest_difference(network.double(), inputs.double(), labels) < 1e-13


def test_folding_changes_nothing_but_rounding_in_float32(pair):
    for network, inputs, labels in pair:
        assert largest_difference(network, inputs, labels) < 1e-5


def test_no_batchnorm_is_left(pair):
    for network, _, _ in pair:
        fold_batchnorm(network)
        assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())


def test_a_block_whose_operation_is_tapped_is_left_as_it_is(network):
    fold_batchnorm(network.eval(), taps=["conv2.operation"])

    assert isinstance(network.conv2.norm, nn.BatchNorm2d)
    assert network.conv2.operation.bias is None
    assert isinstance(network.conv3.norm, nn.Identity)


def test_networks_without_blocks_are_left_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()

    fold_batchnorm(network)

    assert isinstance(network[1], nn.BatchNorm2d)
