from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from dcgan_analysis.units.attribution import Ascent, UnitResponse, Units, ascend
from dcgan_analysis.units.attribution.ascent import smooth, total_variation

PLAIN = Ascent(steps=20, rate=0.2, l2=0, tv=0, jitter=0, blur=0)


def template_net(template):
    """A network whose only unit is the product of the image with a template (1, H, W)."""
    layer = nn.Conv2d(1, 1, template.shape[1:], bias=False)
    with torch.no_grad():
        layer.weight.copy_(template[None])
    return UnitResponse(nn.Sequential(layer), "0")


@pytest.fixture
def template():
    return torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(3))


def search(template, ascent, seed=0, **kwargs):
    source = torch.Generator().manual_seed(seed)
    return ascend(template_net(template), Units.of([0, 0], [0, 0]), (1, 6, 6), ascent, source, **kwargs)


@pytest.mark.parametrize("image_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_without_regularisers_the_image_is_the_sign_of_the_gradient(template, image_range):
    low, high = image_range
    found = search(template, PLAIN, image_range=image_range)
    expected = torch.where(template > 0, high, low).expand(2, 1, 6, 6)
    torch.testing.assert_close(found, expected)


def test_the_same_seed_gives_the_same_image_and_another_seed_another(template):
    short = replace(PLAIN, steps=3, jitter=2)
    assert torch.equal(search(template, short), search(template, short))
    assert not torch.equal(search(template, short), search(template, short, seed=1))


def test_l2_decay_keeps_the_image_near_gray(template):
    found = search(template, replace(PLAIN, l2=1000.0))
    assert found.abs().mean() < 0.5 * search(template, PLAIN).abs().mean()


def test_total_variation_and_blur_make_the_image_smoother(template):
    rough = total_variation(search(template, PLAIN))
    assert (total_variation(search(template, replace(PLAIN, tv=200.0))) < 0.5 * rough).all()
    assert (total_variation(search(template, replace(PLAIN, blur=1.0))) < rough).all()


def test_images_do_not_influence_one_another(template):
    both = search(template, PLAIN)
    source = torch.Generator().manual_seed(0)
    alone = ascend(template_net(template), Units.of([0], [0]), (1, 6, 6), PLAIN, source)
    torch.testing.assert_close(both[:1], alone)


def test_scales_make_regularisers_mean_the_same_for_strong_and_weak_units(template):
    settings = replace(PLAIN, l2=20.0)
    usual = search(template, settings)
    strong = search(100 * template, settings, scales=torch.tensor([100.0, 100.0]))
    torch.testing.assert_close(usual, strong, atol=1e-3, rtol=0)


def test_penalties_count_for_as_much_however_little_of_the_image_is_seen(template):
    settings, corner = replace(PLAIN, l2=40.0, steps=80, rate=0.05), torch.zeros(1, 6, 6)
    corner[:, :2, :3] = template[:, :2, :3]
    small = ascend(
        template_net(template[:, :2, :3]), Units.of([0], [0]), (1, 2, 3), settings, torch.Generator().manual_seed(0)
    )
    large = search(corner, replace(settings, seen=6))[:1]
    torch.testing.assert_close(large[..., :2, :3], small, atol=0.05, rtol=0)


def test_no_weight_is_changed_and_no_gradient_left(template):
    response = template_net(template)
    response.requires_grad_(False)
    ascend(response, Units.of([0], [0]), (1, 6, 6), PLAIN, torch.Generator().manual_seed(0))
    weight = response.network[0].weight
    assert torch.equal(weight[0], template)
    assert weight.grad is None


def test_a_blur_keeps_a_flat_image_flat_and_the_mean_of_others():
    flat = torch.full((1, 2, 8, 8), 0.3)
    torch.testing.assert_close(smooth(flat, 0.8), flat)
    spike = torch.zeros(1, 1, 9, 9)
    spike[0, 0, 4, 4] = 1
    assert smooth(spike, 0.8).sum().item() == pytest.approx(1)
    assert smooth(spike, 0.8).max() < 0.5
    assert smooth(spike, 0.1) is spike
