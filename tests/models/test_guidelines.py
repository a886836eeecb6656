from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dcgan_analysis as da
from dcgan_analysis.models import tables
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.guidelines import guidelines
from dcgan_analysis.models.layers import layers

CONVOLUTIONS, BATCHNORM, CONNECTED, GENERATOR, DISCRIMINATOR = range(5)


def broken(architecture):
    """Return the numbers of the guidelines that an architecture does not keep."""
    return [number for number, guideline in enumerate(guidelines(architecture)) if not guideline.kept]


@pytest.mark.parametrize(
    ("architecture", "numbers"),
    [
        (tables.dcgan32(), []),
        (tables.dcgan32_svhn(), []),
        (tables.dcgan64(), []),
        (tables.dcgan64_4x4(), []),
        (tables.dcgan28_conditional(), [CONNECTED, GENERATOR]),
        (tables.mlp_conditional(), [CONVOLUTIONS, CONNECTED, GENERATOR]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_guidelines_are_judged_right_for_the_papers_networks(architecture, numbers):
    assert broken(architecture) == numbers


@pytest.mark.parametrize(
    ("side", "index", "change", "number"),
    [
        ("generator", -1, {"batchnorm": True}, BATCHNORM),
        ("generator", 1, {"batchnorm": False}, BATCHNORM),
        ("discriminator", 0, {"batchnorm": True}, BATCHNORM),
        ("discriminator", 1, {"batchnorm": False}, BATCHNORM),
        ("generator", 1, {"activation": "leaky_relu"}, GENERATOR),
        ("generator", -1, {"activation": "sigmoid"}, GENERATOR),
        ("discriminator", 2, {"activation": "relu"}, DISCRIMINATOR),
        ("discriminator", 2, {"kind": "linear"}, CONNECTED),
    ],
)
def test_one_change_breaks_one_guideline(side, index, change, number):
    architecture = tables.dcgan32()
    layers = list(getattr(architecture, f"{side}_layers"))
    layers[index] = replace(layers[index], **change)

    changed = replace(architecture, **{f"{side}_layers": tuple(layers)})

    assert broken(changed) == [number]


@pytest.mark.parametrize(
    ("side", "rows"),
    [
        ("discriminator", [Layer("conv2", "conv", 8, 5, 1, True, "leaky_relu"), Layer("pool", "max_pool", 0, 2, 2)]),
        (
            "discriminator",
            [Layer("conv2", "conv", 8, 5, 1, True, "leaky_relu"), Layer("pool", "average_pool", 0, 2, 2)],
        ),
        ("generator", [Layer("up", "upsample", 0, 0, 2), Layer("deconv2", "conv", 8, 5, 1, True, "relu")]),
        ("generator", [Layer("deconv2", "conv", 32, 5, 1, True, "relu"), Layer("up", "pixel_shuffle", 0, 0, 2)]),
    ],
    ids=["max pooling", "average pooling", "upsampling", "pixel shuffle"],
)
def test_what_resizes_in_place_of_a_stride_breaks_the_first_guideline(side, rows):
    architecture = tables.dcgan32_svhn(width=4)
    table = getattr(architecture, f"{side}_layers")
    strided = next(
        number for number, layer in enumerate(table) if layer.name == rows[0].name or layer.name == "deconv2"
    )
    changed = replace(architecture, **{f"{side}_layers": (*table[:strided], *rows, *table[strided + 1 :])})

    assert broken(changed) == [CONVOLUTIONS]


def test_a_normalisation_and_an_activation_in_a_row_of_their_own_count_as_those_of_the_layer_before():
    architecture = tables.dcgan32_svhn(width=4)
    conv = architecture.discriminator_layers[1]
    bare = replace(conv, batchnorm=False, activation="none")
    rows = [bare, Layer("norm", "identity", 0, norm="batch"), Layer("leaky", "identity", 0, activation="leaky_relu")]
    table = architecture.discriminator_layers
    split = replace(architecture, discriminator_layers=(table[0], *rows, *table[2:]))

    assert broken(split) == []
    assert broken(replace(split, discriminator_layers=(table[0], *rows[::2], *table[2:]))) == [BATCHNORM]
    assert broken(replace(split, discriminator_layers=(table[0], *rows[:2], *table[2:]))) == [DISCRIMINATOR]


def test_a_generator_alone_is_not_judged_by_what_a_discriminator_should_be():
    table = tables.dcgan32_svhn(width=4).generator_layers
    alone = layers(generator=table, image_shape=(3, 32, 32))

    judged = guidelines(alone)

    assert [guideline.kept for guideline in judged] == [True] * 4
    assert judged == guidelines(tables.dcgan32_svhn(width=4), ("generator",))


class Critic(nn.Module):
    """A discriminator as people write it: modules for layers, functions for the rest."""

    def __init__(self, pool, activate, hidden=()):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, 1 if pool else 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Sequential(*hidden, nn.Linear(64, 1))
        self.pool, self.activate = pool, activate

    def forward(self, images):
        maps = self.activate(self.first(images))
        maps = F.max_pool2d(maps, 2) if self.pool else maps
        return self.head(self.activate(self.norm(self.second(maps))).flatten(1)).flatten()


def leaky(x):
    return F.leaky_relu(x, 0.2)


CONNECTED_HIDDEN = (nn.Linear(64, 64), nn.BatchNorm1d(64), nn.LeakyReLU(0.2))
GENERATOR_MODULES = [nn.Unflatten(1, (8, 1, 1)), nn.ConvTranspose2d(8, 8, 4), nn.BatchNorm2d(8), nn.ReLU()]
GENERATOR_MODULES += [nn.ConvTranspose2d(8, 1, 4, 4), nn.Tanh()]


@pytest.mark.parametrize(
    ("critic", "kept"),
    [
        (Critic(False, leaky), [True] * 5),
        (Critic(True, leaky), [False, True, True, True, True]),
        (Critic(False, F.relu), [True, True, True, True, False]),
        (Critic(False, leaky, CONNECTED_HIDDEN), [True, True, False, True, True]),
        (Critic(False, lambda x: torch.max(x, 0.2 * x)), [True, True, True, True, None]),
    ],
    ids=["all kept", "pooling", "ReLU", "fully connected", "an activation in arithmetic"],
)
def test_networks_without_tables_are_judged_by_what_a_forward_pass_does(critic, kept):
    checkpoint = da.wrap(generator=nn.Sequential(*GENERATOR_MODULES), discriminator=critic, latent=8)

    assert [guideline.kept for guideline in guidelines(checkpoint.architecture)] == kept
