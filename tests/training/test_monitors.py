"""Signals made up so that it is known what the monitors must measure."""

from __future__ import annotations

import pytest
import torch

from dcgan_analysis.training.monitors import Monitors, diversity, filter_health, map_means


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


def test_copies_of_several_images_are_far_apart_and_have_near_others(real):
    spread, nearest = diversity(real[:4].repeat_interleave(8, 0), real)

    assert spread > 0.7
    assert nearest == pytest.approx(0, abs=1e-6)


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


def test_a_reading_holds_the_counts_of_every_layer_of_maps_and_remembers_their_pictures(real, healthy):
    monitors = Monitors(real, [real.flip(3)])
    activations = healthy.clone()
    activations[:, :2] = torch.arange(16.0).reshape(4, 4)
    monitors.read(real, {"deconv1": healthy, "deconv2": activations})
    activations[:, :2] *= -1

    reading = monitors.read(real, {"deconv1": healthy, "deconv2": activations, "units": healthy[:, :, 0, 0]})

    assert reading["collapsed_filters"] == pytest.approx(0.2)
    assert reading["filters"] == {
        "deconv1": {"maps": 10, "dead": 0, "fixed": 0, "oscillating": 0},
        "deconv2": {"maps": 10, "dead": 0, "fixed": 2, "oscillating": 2},
    }
    assert set(monitors.pictures) == {"deconv1", "deconv2"}


def test_the_distance_of_samples_stands_beside_that_of_other_real_images(real, noise):
    others = [torch.rand(real.shape, generator=noise) * 2 - 1 for _ in range(2)]
    monitors = Monitors(real, others)

    distances = [monitors.read(other, {})["sample_distance"] for other in others]

    assert monitors.read(real, {})["sample_distance"] == 0
    assert monitors.read(real, {})["real_distance"] == pytest.approx(sum(distances) / 2)
    assert monitors.read(others[0].abs(), {})["sample_distance"] > 3 * distances[0]
