from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.supervised_cnn.classifier import (
    Classifier,
    ClassifierSettings,
    Labelled,
    augment,
    predict,
    train_classifier,
)
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.layers import layers
from dcgan_analysis.models.modules import module_architecture
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32, dcgan32_svhn, mlp_conditional
from dcgan_analysis.testing import make_dataset

ARCHITECTURE = dcgan32_svhn(width=2)
SETTINGS = ClassifierSettings(learning_rate=1e-2, batch=16, epochs=6, patience=6)


@pytest.fixture(scope="module")
def shapes():
    splits = make_dataset(train=60, test=30)
    return [Labelled(split.images, split.labels) for split in (splits.split("train"), splits.split("test"))]


def train(shapes, settings=SETTINGS, seed=0, **changes):
    return train_classifier(ARCHITECTURE, 3, *shapes, replace(settings, **changes), seed)


@pytest.fixture(scope="module")
def trained(shapes):
    return train(shapes)


def test_classes_that_are_easy_to_tell_apart_are_learned(trained, shapes):
    assert trained.losses[-1] < trained.losses[0]
    assert trained.errors[trained.best_epoch] == min(trained.errors) <= 0.1


def test_the_weights_kept_are_those_of_the_best_epoch(trained, shapes):
    guesses = predict(trained.network(ARCHITECTURE, 3), shapes[1].images)
    assert (guesses != shapes[1].labels).mean() == min(trained.errors)


def test_the_seed_alone_decides_and_torchs_own_chance_is_left_alone(shapes):
    before = torch.random.get_rng_state()
    settings = replace(SETTINGS, epochs=2, dropout=0.5, shift=2, mirror=True)
    first, again, other = (train(shapes, settings, seed) for seed in (4, 4, 5))
    assert first.losses == again.losses
    torch.testing.assert_close(first.state, again.state, rtol=0, atol=0)
    assert first.losses != other.losses
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_stops_after_the_given_epochs_without_a_gain(shapes):
    stopped = train(shapes, learning_rate=1e-12, epochs=9, patience=2)
    assert len(stopped.errors) == stopped.best_epoch + 3 < 9


def test_a_loss_that_is_not_finite_ends_the_training_and_counts_as_all_wrong(shapes):
    exploded = train(shapes, learning_rate=1e38, weight_decay=1e38)
    assert len(exploded.errors) < SETTINGS.epochs
    assert exploded.errors[-1] == 1
    assert exploded.state.keys() == train(shapes, epochs=1).state.keys()


def test_a_frozen_trunk_keeps_its_random_kernels_and_the_head_learns(shapes):
    once, more = (train(shapes, frozen=True, epochs=epochs, patience=9).state for epochs in (1, 6))
    free = train(shapes, epochs=1).state
    assert torch.equal(once["trunk.1.operation.weight"], more["trunk.1.operation.weight"])
    assert not torch.equal(once["trunk.1.operation.weight"], free["trunk.1.operation.weight"])
    assert not torch.equal(once["head.operation.weight"], free["head.operation.weight"])


def test_weight_decay_shrinks_kernels_and_not_the_scales_of_batch_normalisation(shapes):
    strong, none = (train(shapes, weight_decay=decay, epochs=1).state for decay in (30.0, 0.0))
    for name in ("trunk.1.operation.weight", "trunk.1.norm.weight"):
        kept = float(strong[name].norm() / none[name].norm())
        assert kept < 0.6 if "operation" in name else kept > 0.9


def test_prediction_leaves_the_network_in_its_mode_and_does_not_depend_on_batch_mates(trained, shapes):
    network = trained.network(ARCHITECTURE, 3)
    whole = predict(network.train(), shapes[1].images)
    assert network.training
    assert whole.tolist() == [int(predict(network, image[None])[0]) for image in shapes[1].images]


def test_a_shift_moves_an_image_by_whole_pixels_and_repeats_its_edge():
    image = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    wide = np.pad(image[0, 0], 1, mode="edge")
    possible = [wide[y : y + 4, x : x + 4].tolist() for y in range(3) for x in range(3)]
    moved = augment(np.repeat(image, 100, axis=0), 1, False, np.random.default_rng(0))
    assert {str(one[0].tolist()) for one in moved} == {str(one) for one in possible}


def test_half_of_the_images_are_mirrored():
    images = np.repeat(np.arange(3, dtype=np.uint8).reshape(1, 1, 1, 3), 200, axis=0)
    firsts = augment(images, 0, True, np.random.default_rng(0))[:, 0, 0, 0]
    assert set(firsts.tolist()) == {0, 2}
    assert 60 < (firsts == 2).sum() < 140


def make(architecture, classes=3, seed=0):
    return Classifier.random(architecture, classes, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "architecture",
    [dcgan32(width=2), dcgan32_svhn(width=2), dcgan28_conditional(width=2, hidden=4), mlp_conditional(width=4)],
    ids=lambda architecture: architecture.name,
)
def test_every_architecture_gives_one_logit_for_each_class(architecture):
    logits = make(architecture)(torch.zeros(2, *architecture.image_shape))
    assert logits.shape == (2, 3)


def test_all_but_the_last_layer_is_the_discriminator():
    architecture = dcgan32_svhn(width=2)
    network, discriminator = make(architecture).eval(), architecture.discriminator().eval()
    names = [layer.name for layer in architecture.discriminator_layers]
    for name, block in zip(names[:-1], network.trunk, strict=True):
        discriminator.get_submodule(name).load_state_dict(block.state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    logit = network.features(images) @ discriminator.get_submodule(names[-1]).operation.weight[0]
    torch.testing.assert_close(logit, discriminator(images))


def test_weights_depend_on_the_seed_alone_and_torchs_own_chance_is_left_alone():
    before = torch.random.get_rng_state()
    first, again, other = (make(dcgan32(width=2), seed=seed).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first["head.operation.weight"], other["head.operation.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(tensor.isfinite().all() for tensor in first.values())


def test_a_network_without_layers_is_refused():
    with pytest.raises(ArchitectureError, match=r"The discriminator of 'dcgan32' has no layer that a classifier could"):
        make(replace(dcgan32(width=2), discriminator_layers=()))


class Patches(nn.Module):
    """Judges patches, drops units, and calls its activation as a function."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Conv2d(1, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.last = nn.Conv2d(4, 1, 3)

    def forward(self, images):
        return self.last(self.drop(F.leaky_relu(self.norm(self.first(images)), 0.2))).mean((1, 2, 3))


def test_a_discriminator_of_patches_classifies_by_the_mean_over_its_positions():
    architecture, _ = module_architecture("mine", discriminator=Patches(), image=(1, 8, 8))
    network = make(architecture, classes=3).eval()
    images = torch.randn(2, 1, 8, 8)
    seen = F.leaky_relu(network.trunk.norm(network.trunk.first(images)), 0.2)
    expected = F.conv2d(seen, network.head[0].weight, network.head[0].bias).mean((2, 3))
    torch.testing.assert_close(network(images), expected)
    assert network.head[0].weight.shape == (3, 4, 3, 3)


class OneFunction(nn.Module):
    """Its last layer is no module."""

    def __init__(self):
        super().__init__()
        self.first, self.weight = nn.Conv2d(1, 4, 4, 4), nn.Parameter(torch.ones(1, 16))

    def forward(self, images):
        return F.relu(self.first(images)).flatten(1) @ self.weight.T


def test_where_the_last_layer_is_no_module_the_last_features_are_classified():
    architecture, _ = module_architecture("mine", discriminator=OneFunction(), image=(1, 8, 8))
    network = make(architecture, classes=3).eval()
    images = torch.randn(2, 1, 8, 8)
    expected = F.relu(network.trunk.first(images)).flatten(1) @ network.head[1].weight.T
    torch.testing.assert_close(network(images), expected)


def test_modules_that_drop_units_train_by_the_seed_alone():
    architecture, _ = module_architecture("mine", discriminator=Patches(), image=(1, 8, 8))
    rng = np.random.default_rng(0)
    images = Labelled(rng.integers(256, size=(12, 1, 8, 8), dtype=np.uint8), np.arange(12) % 3)
    before = torch.random.get_rng_state()
    first, again = (
        train_classifier(architecture, 3, images, images, ClassifierSettings(epochs=2), seed=4) for _ in range(2)
    )
    assert first.losses == again.losses
    assert torch.equal(torch.random.get_rng_state(), before)
    kept = first.network(architecture, 3)
    assert not torch.equal(kept.trunk.first.weight, build(architecture.discriminator).first.weight)


@pytest.mark.parametrize(
    "last",
    [
        Layer("logit", "linear", 1, batchnorm=False, bias=True, activation="sigmoid"),
        Layer("logit", "conv", 1, 4, batchnorm=False, padding=0),
    ],
)
def test_the_last_unit_of_a_foreign_table_becomes_one_linear_unit_for_each_class(last):
    table = [Layer("conv1", "conv", 6, 4, 2, batchnorm=False, bias=True, activation="leaky_relu", padding=1), last]
    architecture = layers(discriminator=table, image_shape=(1, 8, 8))

    network = Classifier.random(architecture, 3, torch.Generator().manual_seed(0)).eval()
    images = torch.randn(2, 1, 8, 8)

    expected = network.features(images) @ network.head.operation.weight.T
    torch.testing.assert_close(network(images), expected)
    assert network.head.operation.weight.shape == (3, 96)
    patches = [table[0], replace(last, kind="conv", kernel=2, padding=0), Layer("mean", "global_average_pool", 0)]
    other = layers(discriminator=patches, image_shape=(1, 8, 8))
    assert Classifier(other, 3)(images).shape == (2, 3)
