"""Signals made up so that it is known what the monitors must see."""

from __future__ import annotations

import pytest
import torch

from dcgan_analysis.training.monitors import Monitors, diversity, filter_health, map_means

FAIR = {"real_probability": 0.7, "fake_probability": 0.3}


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def real(noise):
    return torch.rand(32, 1, 8, 8, generator=noise) * 2 - 1


@pytest.fixture
def healthy(noise):
    """Activations of 16 samples, 10 maps of 4x4 that depend on the sample."""
    return torch.randn(16, 10, 4, 4, generator=noise)


def test_diversity_by_hand():
    # Distances between 0, 1 and 3: 1, 3, 2; between the real 0 and 4: 4.
    samples, real = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [4.0]])

    spread, nearest = diversity(samples, real)

    assert spread == pytest.approx(2 / 4)
    assert nearest == pytest.approx(1 / 4)  # nearest others: 1, 1, 2


def test_images_like_the_real_ones_have_diversity_one(real):
    assert diversity(real, real) == pytest.approx((1, 1))


def test_one_image_again_and_again_is_warned_of_with_its_evidence(real):
    reading = Monitors(real).read(1000, FAIR, real[:1].expand(16, -1, -1, -1), {})

    assert reading.numbers["diversity"] == pytest.approx(0, abs=1e-6)
    (warning,) = reading.warnings
    assert warning.startswith("Mode collapse: 16 samples lie 0.00 times as far apart as real images")


def test_a_few_kinds_of_samples_that_differ_in_a_few_pixels_are_warned_of(real, noise):
    # As of a conditional network that knew two or three pictures of each class: 0.2 of the real distance.
    kinds = real[:4].repeat_interleave(8, 0)
    nearly = kinds + 0.2 * (torch.rand(kinds.shape, generator=noise) * 2 - 1)

    reading = Monitors(real).read(1000, FAIR, nearly, {})

    assert 0.1 < reading.numbers["nearest_sample"] < 0.3
    assert [warning.split(":")[0] for warning in reading.warnings] == ["Mode collapse"]


def test_copies_of_several_images_are_warned_of_though_they_are_far_apart(real):
    copies = real[:4].repeat_interleave(8, 0)

    reading = Monitors(real).read(1000, FAIR, copies, {})

    assert reading.numbers["diversity"] > 0.7
    assert reading.numbers["nearest_sample"] == pytest.approx(0, abs=1e-6)
    assert [warning.split(":")[0] for warning in reading.warnings] == ["Mode collapse"]


def test_maps_that_ignore_the_latent_vector_are_counted(healthy):
    picture = torch.arange(16.0).reshape(4, 4)
    activations = healthy.clone()
    activations[:, 0] = 0.7  # dead: constant
    activations[:, 1] = picture  # fixed
    activations[:, 2] = picture + 0.01 * healthy[:, 2]  # fixed up to a hundredth

    health = filter_health(activations)

    assert (health.maps, health.dead, health.fixed, health.oscillating) == (10, 1, 2, 0)
    assert health.collapsed == pytest.approx(0.3)
    assert filter_health(healthy).collapsed == 0


def test_a_fixed_picture_that_moves_oscillates(healthy):
    picture = torch.arange(16.0).reshape(4, 4)
    before, after = healthy.clone(), healthy.clone()
    before[:, 0], after[:, 0] = picture, picture.flip(0)
    before[:, 1], after[:, 1] = picture, picture

    health = filter_health(after, map_means(before))

    assert (health.fixed, health.oscillating) == (2, 1)


def test_collapsing_filters_are_warned_of_by_layer_and_remembered(real, healthy):
    monitors = Monitors(real)
    activations = healthy.clone()
    activations[:, :2] = torch.arange(16.0).reshape(4, 4)
    monitors.read(1000, FAIR, real, {"deconv1": healthy, "deconv2": activations})
    activations[:, :2] *= -1

    reading = monitors.read(
        1001, FAIR, real, {"deconv1": healthy, "deconv2": activations, "units": healthy[:, :, 0, 0]}
    )

    assert reading.numbers["collapsed_filters"] == pytest.approx(0.2)
    assert reading.warnings == [
        "Collapsing filters in the generator's 'deconv2': of 10 maps 0 never change and 2 show one picture whatever "
        "the latent vector, 2 of them another one than at the reading before (warned above 10% of the maps)."
    ]
    assert set(monitors.pictures) == {"deconv1", "deconv2"}


@pytest.mark.parametrize(
    ("real_probability", "fake_probability", "warning"),
    [
        (0.99, 0.01, "Discriminator saturated: mean probability of being real 0.990 for real and 0.010 for generated"),
        (0.503, 0.5, "Discriminator at a standstill: mean probability of being real 0.503 for real and 0.500 for"),
        (0.9, 0.1, None),
    ],
)
def test_what_the_discriminator_says_is_watched(real, real_probability, fake_probability, warning):
    means = {"real_probability": real_probability, "fake_probability": fake_probability}

    warnings = Monitors(real).read(1000, means, real, {}).warnings

    assert len(warnings) == (warning is not None)
    assert all(text.startswith(warning) for text in warnings)


def test_the_first_steps_are_measured_but_not_warned_of(real):
    reading = Monitors(real).read(499, FAIR, torch.zeros(4, 1, 8, 8), {})

    assert reading.numbers["diversity"] == 0
    assert reading.warnings == []
