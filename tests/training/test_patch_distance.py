from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dcgan_analysis.training.patch_distance import patch_distance


@pytest.fixture
def photos():
    """Smooth noise: as of photos, neighbouring pixels are alike."""

    def make(seed, size=32):
        noise = torch.randn(32, 3, size // 4, size // 4, generator=torch.Generator().manual_seed(seed))
        return F.interpolate(noise, scale_factor=4, mode="bilinear").clamp(-1, 1)

    return make


def test_equal_images_are_at_no_distance_and_other_images_of_a_kind_at_a_small_one(photos):
    assert patch_distance(photos(0), photos(0)) == 0
    assert patch_distance(photos(1), photos(0)) < 0.1


def test_blur_noise_and_wrong_colours_grow_with_their_strength(photos):
    real, images = photos(0), photos(1)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    worse = {
        "blur": [F.avg_pool2d(images, size, 1, size // 2, count_include_pad=False) for size in (3, 7)],
        "noise": [images + strength * noise for strength in (0.1, 0.4)],
        "colours": [images + shift for shift in (0.2, 0.8)],
    }

    for pair in worse.values():
        weak, strong = (patch_distance(each, real) for each in pair)
        assert patch_distance(images, real) < weak < strong


def test_a_single_sample_again_and_again_is_farther_than_different_ones(photos):
    images = photos(1)

    assert patch_distance(images[:1].expand(32, -1, -1, -1), photos(0)) > 2 * patch_distance(images, photos(0))


@pytest.mark.parametrize("shape", [(8, 1, 28, 28), (8, 3, 64, 48), (8, 1, 5, 5)])
def test_images_of_any_size_have_patches(shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))

    assert patch_distance(images, images) == 0
    assert patch_distance(images + 1, images) > 0.5


def test_constant_images_are_no_division_by_zero():
    flat = torch.zeros(4, 1, 16, 16)

    assert patch_distance(flat, flat) == 0
