"""Every analysis on networks of somebody else's modules, without a layer table; and with one, for the same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.testing import make_dataset


class Generator(nn.Module):
    """As in PyTorch's example, with activations as functions; labels where there are classes."""

    def __init__(self, classes=0):
        super().__init__()
        self.classes, self.embed = classes, nn.Embedding(max(classes, 1), 8)
        self.first, self.second = nn.ConvTranspose2d(8, 8, 4), nn.ConvTranspose2d(8, 8, 4, 4)
        self.norm, self.last = nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def forward(self, z, labels=None):
        if self.classes:
            z = z + self.embed(labels)[:, :, None, None]
        x = F.relu(self.norm(self.second(F.relu(self.first(z), inplace=True))))
        return torch.tanh(self.last(x))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 6, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(6, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8, 1, 8, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, images):
        return self.main(images).view(-1, 1).squeeze(1)


def drawn(network, std=0.2):
    initialise(network, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
                module.weight.normal_(0, std, generator=torch.Generator().manual_seed(5))
    return network


@pytest.fixture(scope="module")
def foreign():
    return da.wrap(generator=drawn(Generator()), discriminator=drawn(Discriminator()), name="foreign")


@pytest.fixture(scope="module")
def conditional():
    return da.wrap(generator=drawn(Generator(3)), latent=(8, 1, 1), classes=3, name="foreign")


def without_table(table):
    """Return the same networks as an architecture, declared without their layer tables."""
    return replace(
        table,
        generator_layers=(),
        discriminator_layers=(),
        make_generator=lambda _: table.generator(),
        make_discriminator=lambda _: table.discriminator(),
    )


class Blocks(nn.Module):
    """Draws blocks of pixels, black but for one that is white."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 6, 1), nn.Conv2d(6, 3, 1)

    def forward(self, z):
        x = F.relu(self.conv(z.view(-1, 1, 4, 4)) - 1.5)
        return torch.tanh(self.last(F.interpolate(x, scale_factor=8)) - 3)


@pytest.fixture(scope="module")
def blocks():
    generator = Blocks()
    with torch.no_grad():
        for layer in (generator.conv, generator.last):
            layer.weight.fill_(0.0)
            layer.bias.fill_(0.0)
        generator.conv.weight[:3], generator.conv.weight[3:] = 1.0, -1.0
        generator.last.weight[:, :3] = 30.0
    return da.wrap(generator=generator, latent=16, discriminator=drawn(Discriminator()), name="foreign")


SETTINGS = {
    "svm-cifar": {"C": (1e-3, 1e-2), "protocol": "paper", "draws": 1, "ablation": False},
    "svm-svhn": {
        "C": (1e-3, 1e-2),
        "protocol": "paper",
        "labels_per_class": 10,
        "choosing_draws": 1,
        "draws": 2,
        "validation": 20,
    },
    "svm-best": {"layers": False, "grids": (2,), "ablation": False},
    "random-features": {"C": (1e-3, 1e-2), "protocol": "paper", "draws": 1, "networks": 2},
    "label-curve": {"protocol": "paper", "choosing_draws": 1, "draws": 2, "labels": (2, 4)},
    "guided-backprop": {"measured": 4, "top": 2, "noise_draws": 1, "features": [0, 1]},
    "max-activations": {"features": [0, 1]},
    "activation-maximization": {"features": [0, 1], "steps": 4},
    "latent-walk": {"walks": 1},
    "turn-vector": {"samples": 120, "new": 4, "vectors": 1, "classifier_steps": 10},
    "directions": {"samples": 60, "new": 4, "k": 1, "random": 2, "classifier_steps": 2},
    "memorisation": {"samples": 20, "copies": 10, "hash_steps": 20, "vgg19": False},
    "stability": {"draws": 2, "judged": 20},
    "supervised-cnn": {"trials": 1, "epochs": 1, "validation": 20, "stopping": 20, "labels_per_class": 10},
    "latent-arithmetic": {
        "samples": 60,
        "triples": 4,
        "classifier_steps": 2,
        "margin": 0.0,
        "moved": "slant",
        "contrast": ["brightness"],
    },
}


@pytest.mark.parametrize("analysis", SETTINGS)
def test_an_analysis_runs_on_modules_without_a_table(run, analysis, foreign):
    result = run(analysis, make_dataset(train=150, test=40), foreign, **SETTINGS[analysis])
    assert result.checkpoint.name == "foreign"
    assert np.isfinite(result.metrics[result.headline].value)


def test_a_generator_of_modules_forgets_what_its_maps_draw(run, blocks):
    """The maps 0 to 2 of the convolution draw the white block; its activation is called as a function."""
    settings = {"boxes": "rule:bright", "samples": 96, "draws": 2, "doses": 2, "n": 200, "detector": "pixels"}
    result = run("filter-dropout", None, blocks, layer=None, **settings)
    assert result.metrics["object_removed"].value > 0.9
    assert result.metrics["maps_dropped"].value == 3


def test_the_maps_that_draw_the_white_block_agree_with_it_best(run, blocks):
    settings = {"boxes": "rule:bright", "n": 60, "detector": "pixels", "units": 3, "walks": 2}
    result = run("dissect", None, blocks, layer=None, **settings)
    assert {row[2] for row in result.tables[1].rows if row[0] == "generator"} >= {0, 1, 2}
    assert result.metrics["generator_iou"].value > 2 * result.metrics["generator_iou_shuffled"].value


def test_classes_of_modules_are_drawn_by_the_labels(run, conditional):
    assert conditional.sample(3, seed=0).shape == (3, 3, 32, 32)
    result = run("latent-walk", make_dataset(train=60, test=20), conditional, walks=1)
    assert np.isfinite(result.metrics[result.headline].value)


def test_real_images_are_classified_by_samples_of_conditional_modules(run, conditional):
    settings = {"samples": 60, "cas_samples": 0, "coverage_images": 0, "validation": 0}
    result = run("mnist-nn", make_dataset(train=60, test=20), conditional, **settings)
    assert 0 < result.metrics["test_error"].value <= 1
    assert result.metrics["test_error"].n == 20


def test_a_classifier_of_modules_is_that_of_their_layer_table(run):
    table = dcgan32(width=4)
    checkpoint, dataset = Checkpoint.random(table, seed=3), make_dataset(train=60, test=20)
    settings = {"trials": 1, "epochs": 2, "validation": 20, "stopping": 20, "labels_per_class": 10}
    with_table = run("supervised-cnn", dataset, checkpoint, **settings).metrics
    own = replace(checkpoint, architecture=replace(without_table(table), name="own"))
    without = run("supervised-cnn", dataset, own, **settings).metrics
    assert {name: metric.value for name, metric in without.items()} == {
        name: metric.value for name, metric in with_table.items()
    }


def test_the_headline_of_guided_backprop_does_not_depend_on_a_layer_table(run):
    table = dcgan32(width=4)
    own = without_table(table)
    checkpoint = Checkpoint.random(table, seed=3)
    settings = {"tap": "conv3", "measured": 3, "top": 2, "noise_draws": 1, "features": [0, 1]}
    dataset = make_dataset(train=40, test=10)
    with_table = run("guided-backprop", dataset, checkpoint, **settings).metrics
    without = run("guided-backprop", dataset, replace(checkpoint, architecture=own), **settings).metrics
    assert without.keys() == with_table.keys()
    for name, metric in with_table.items():
        assert without[name].value == pytest.approx(metric.value, rel=1e-4), name
