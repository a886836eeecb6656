from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan_analysis.models.architecture import Architecture, Layer
from dcgan_analysis.models.builder import Discriminator, initialise


@pytest.fixture(scope="session")
def tiny():
    """An architecture of 1x8x8 images with three convolutions."""
    return Architecture(
        name="tiny",
        parameters={},
        image_shape=(1, 8, 8),
        image_range=(-1.0, 1.0),
        z_size=4,
        taps=("conv1", "conv2", "conv3"),
        make_generator=lambda _: nn.Identity(),
        make_discriminator=Discriminator,
        discriminator_layers=(
            Layer("conv1", "conv", 4, 3, 1, False, "leaky_relu"),
            Layer("conv2", "conv", 6, 3, 2, True, "leaky_relu"),
            Layer("conv3", "conv", 8, 3, 2, True, "leaky_relu"),
            Layer("logit", "linear", 1, batchnorm=False),
        ),
    )


@pytest.fixture
def network(tiny):
    """A discriminator whose BatchNorm layers have statistics, scales and shifts of their own."""
    source = torch.Generator().manual_seed(3)
    network = tiny.discriminator()
    initialise(network, source)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=source)
                module.running_var.uniform_(0.5, 2, generator=source)
                module.weight.normal_(1, 0.3, generator=source)
                module.bias.normal_(0, 0.3, generator=source)
            elif isinstance(module, nn.Conv2d):
                module.weight.normal_(0, 0.3, generator=source)
    return network


@pytest.fixture
def images():
    """24 images, each brighter than the one before."""
    noise = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(5)) - 0.5
    return noise + torch.linspace(-0.5, 0.5, 24).view(-1, 1, 1, 1)
