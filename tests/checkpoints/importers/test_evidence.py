"""What state dicts leave open is settled by the running statistics that training wrote down."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan_analysis.checkpoints.importers.evidence import misfit

from .conftest import check_discriminator, check_generator, randn


def trained(generator, discriminator=None, *labels, prior=torch.randn, nz=6):
    """Give normalisations the statistics of what they are given in training mode."""
    torch.manual_seed(0)
    networks = [network for network in (generator, discriminator) if network is not None]
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.momentum = None
                nn.init.normal_(layer.weight, 1, 0.1)
                nn.init.normal_(layer.bias, -0.5, 0.2)
        network.train()
    with torch.no_grad():
        for _ in range(12):
            images = generator(prior(64, nz), *labels)
            if discriminator is not None:
                discriminator(images)
    for network in networks:
        network.eval()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.num_batches_tracked.fill_(10_000)


class Maps(nn.Sequential):
    """Takes latent vectors (N, Z)."""

    def forward(self, z):
        """Make images."""
        return super().forward(z[:, :, None, None])


def generator(activation, output=nn.Tanh, eps=1e-5):
    """A generator of 16 pixels that may end and act in any way."""
    return Maps(
        nn.ConvTranspose2d(6, 24, 4, 1, 0, bias=False),
        nn.BatchNorm2d(24, eps),
        activation(),
        nn.ConvTranspose2d(24, 12, 4, 2, 1, bias=False),
        nn.BatchNorm2d(12, eps),
        activation(),
        nn.ConvTranspose2d(12, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8, eps),
        activation(),
        nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False),
        output(),
    )


def assumed(checkpoint):
    return {
        name: value for each in checkpoint.metadata.provenance["assumed"] for name, value in each["settings"].items()
    }


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_a_generators_activations_are_those_that_make_its_statistics(slope, tmp_path, read):
    network = generator(lambda: nn.LeakyReLU(slope))
    trained(network)
    torch.save(network.state_dict(), tmp_path / "netG.pth")
    checkpoint = read(tmp_path / "netG.pth")
    assert assumed(checkpoint)["generator.activation"] == ("leaky_relu" if slope else "relu")
    check_generator(checkpoint, network, lambda z: z)


def test_latent_vectors_that_were_uniform_are_told_by_the_first_statistics(tmp_path, read):
    network = generator(nn.ReLU)
    trained(network, prior=lambda *shape: torch.rand(shape) * 2 - 1)
    torch.save(network.state_dict(), tmp_path / "netG.pth")
    assert read(tmp_path / "netG.pth").metadata.z_prior == "uniform"


def test_a_sigmoid_at_the_generators_end_shows_in_the_discriminators_statistics(tmp_path, read):
    network = generator(nn.ReLU, nn.Sigmoid)
    judge = nn.Sequential(
        nn.Conv2d(3, 4, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 16, 4, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.LeakyReLU(0.2),
        nn.Conv2d(16, 1, 4, 1, 0, bias=False),
    )
    trained(network, judge)
    torch.save({"generator": network.state_dict(), "discriminator": judge.state_dict()}, tmp_path / "both.pth")
    checkpoint = read(tmp_path / "both.pth")
    assert checkpoint.architecture.image_range == (0.0, 1.0)
    check_generator(checkpoint, network, lambda z: z)
    check_discriminator(checkpoint, judge)


def test_what_was_said_is_not_doubted(tmp_path, read):
    network = generator(lambda: nn.LeakyReLU(0.2))
    trained(network)
    torch.save(network.state_dict(), tmp_path / "netG.pth")
    checkpoint = read(tmp_path / "netG.pth", generator={"activation": "relu"})
    assert {layer.activation for layer in checkpoint.architecture.generator_layers} == {"relu", "tanh"}


def test_misfit_is_zero_for_the_right_inputs_and_large_for_others():
    network = nn.Sequential(nn.BatchNorm1d(50)).eval()
    network[0].running_mean.fill_(3.0)
    right = misfit(network, randn(64, 50) + 3)
    wrong = misfit(network, 4 * randn(64, 50) + 3)
    assert right is not None
    assert wrong is not None
    assert right.coarse < 0.1
    # The variance is 16 times as large: ln 16 = 2.77.
    assert 2.5 < wrong.coarse < 3.3


def test_statistics_that_no_reading_has_are_warned_of(tmp_path, read):
    network = generator(nn.ReLU)
    trained(network)
    network[4].running_var *= 30
    network[7].running_var *= 30
    torch.save(network.state_dict(), tmp_path / "netG.pth")
    provenance = read(tmp_path / "netG.pth").metadata.provenance
    # Two of three layers are ln 30 = 3.4 off.
    assert provenance["numbers"]["batchnorm_generator"] > 2
    assert any("BatchNorm statistics are not those" in warning for warning in provenance["warnings"])


def test_statistics_of_a_short_training_are_read_without_what_they_began_with():
    layer = nn.BatchNorm1d(50)
    network = nn.Sequential(layer)
    # Of mean 0 and variance 1 a part of 0.9^20 = 0.12 is left, which is more than all of a variance of 0.0001.
    layer.num_batches_tracked.fill_(20)
    layer.running_mean.fill_(0.0)
    layer.running_var.fill_(0.9**20 + (1 - 0.9**20) * 1e-4)
    distance = misfit(network.eval(), 0.01 * randn(64, 50))
    assert distance is not None
    assert distance.coarse < 0.1
