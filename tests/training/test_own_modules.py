"""Networks that a plugin builds without a layer table, and that know nothing of labels."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import nn

from dcgan_analysis.models import Architecture, ArchitectureEntry
from dcgan_analysis.testing import check_architecture
from dcgan_analysis.training import Trainer, TrainingConfig


def make_generator(architecture):
    width = architecture.parameters["width"]
    return nn.Sequential(
        nn.Linear(architecture.z_size, width * 16), nn.Unflatten(1, (width, 4, 4)), nn.ConvTranspose2d(width, 1, 8, 8)
    ).append(nn.Tanh())


def make_discriminator(architecture):
    width = architecture.parameters["width"]
    early = nn.Sequential(nn.Conv2d(1, width, 4, 4), nn.BatchNorm2d(width), nn.LeakyReLU(0.2))
    return nn.Sequential(
        OrderedDict(early=early, flat=nn.Flatten(), out=nn.Linear(width * 64, 1), squeeze=nn.Flatten(0))
    )


def own(width=4, z_size=5):
    return Architecture(
        name="own",
        parameters={"width": width, "z_size": z_size},
        image_shape=(1, 32, 32),
        image_range=(-1.0, 1.0),
        z_size=z_size,
        taps=("early",),
        make_generator=make_generator,
        make_discriminator=make_discriminator,
    )


def test_they_keep_the_contract_of_an_architecture():
    check_architecture(ArchitectureEntry("own", "two layers", own), width=2)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_they_are_trained_and_their_features_read(ema, split, tmp_path):
    config = TrainingConfig.build({"dataset": "noise", "architecture": "own", "batch_size": 8, "epochs": 1, "ema": ema})
    checkpoint = Trainer(config, own(), split, tmp_path / "run", torch.device("cpu")).run()
    assert checkpoint.sample(2, seed=0).shape == (2, 1, 32, 32)
    assert checkpoint.features(split.images, device="cpu").shape == (36, 4 * 4 * 4)


class FixedMaps(nn.Module):
    """Draws the same picture whatever the latent vector; its activation is called as a function."""

    def __init__(self, z_size):
        super().__init__()
        self.up, self.out = nn.ConvTranspose2d(z_size, 4, 8, bias=False), nn.ConvTranspose2d(4, 1, 4, 4)
        self.picture = nn.Parameter(torch.randn(4, 8, 8))

    def forward(self, z):
        return torch.tanh(self.out(torch.relu(self.up(z[:, :, None, None]) * 0 + self.picture)))


def test_monitors_see_the_hidden_maps_of_a_generator_without_a_table(split, tmp_path):
    architecture = replace(own(), make_generator=lambda _: FixedMaps(5))
    config = TrainingConfig.build({"dataset": "noise", "architecture": "own", "batch_size": 8, "epochs": 1})
    trainer = Trainer(config, architecture, split, tmp_path / "run", torch.device("cpu"))
    trainer.run()
    assert trainer.history[-1]["collapsed_filters"] == 1
