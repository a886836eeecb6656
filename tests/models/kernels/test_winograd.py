"""Winograd's convolution: the direct one's results and gradients, and where it is used."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from dcgan_analysis.models.builder import build
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.models.kernels import winograd
from dcgan_analysis.models.kernels.winograd import (
    WinogradConv2d,
    WinogradConvTranspose2d,
    convolve,
    kernel_gradient,
    transform_kernels,
    with_winograd,
)
from dcgan_analysis.models.tables import dcgan32, dcgan64


def _random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _relative(found, expected):
    return float((found - expected).detach().norm() / expected.detach().norm())


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (4, 4), (7, 10), (1, 5)])
def test_maps_of_any_size_are_those_of_the_direct_convolution(size):
    images, kernels = _random(3, 5, *size, dtype=torch.float64), _random(7, 5, 3, 3, seed=1, dtype=torch.float64)
    found = convolve(images, transform_kernels(kernels))
    torch.testing.assert_close(found, F.conv2d(images, kernels, padding=1))


def test_a_kernel_with_a_one_in_its_middle_leaves_maps_as_they_are():
    kernels = torch.zeros(2, 2, 3, 3)
    kernels[0, 0, 1, 1] = kernels[1, 1, 1, 1] = 1
    images = torch.arange(2 * 64.0).view(1, 2, 8, 8)
    torch.testing.assert_close(convolve(images, transform_kernels(kernels)), images, rtol=1e-5, atol=1e-4)


def test_rounding_in_float32_stays_below_a_hundred_thousandth_of_the_output():
    images, kernels = _random(4, 256, 8, 8), 0.02 * _random(512, 256, 3, 3, seed=1)
    exact = F.conv2d(images.double(), kernels.double(), padding=1)
    assert _relative(convolve(images, transform_kernels(kernels)).double(), exact) < 1e-5


def test_images_in_parts_give_what_all_at_once_give(monkeypatch):
    images = _random(5, 4, 8, 8, dtype=torch.float64)
    transformed = transform_kernels(_random(6, 4, 3, 3, seed=1, dtype=torch.float64))
    whole = convolve(images, transformed)
    monkeypatch.setattr(winograd, "_ELEMENTS", 2 * 36 * 4 * 6)  # two images at a time
    torch.testing.assert_close(convolve(images, transformed), whole)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("bias", [False, True])
def test_layers_and_their_gradients_are_those_of_the_layers_they_replace(kind, bias):
    torch.manual_seed(0)
    plain = kind(128, 192, 3, 1, 1, bias=bias)
    fast = with_winograd(nn.Sequential(plain))[0]
    assert type(fast) in (WinogradConv2d, WinogradConvTranspose2d)
    images = _random(2, 128, 8, 8)
    results = []
    for layer in (plain, fast):
        given = images.clone().requires_grad_()
        maps = layer(given)
        wanted = (given, *layer.parameters())
        results.append((maps, *torch.autograd.grad(maps.square().sum(), wanted)))
    for expected, found in zip(*results, strict=True):
        assert _relative(found, expected) < 1e-5


def test_parameters_stay_the_same_objects_under_the_same_names():
    network = build(dcgan32(width=64).discriminator)
    before = dict(network.named_parameters())
    mode = network.conv5.eval().operation.training
    with_winograd(network)
    assert {name: id(each) for name, each in network.named_parameters()} == {n: id(p) for n, p in before.items()}
    assert isinstance(network.conv5.operation, WinogradConv2d)
    assert network.conv5.operation.training is mode


def test_only_layers_that_gain_are_replaced():
    replaced = {
        (architecture.name, role, name)
        for architecture in (dcgan32(width=64), dcgan64(width=64))
        for role in ("generator", "discriminator")
        for name, module in with_winograd(build(getattr(architecture, role))).named_modules()
        if isinstance(module, WinogradConv2d | WinogradConvTranspose2d)
    }
    assert replaced == {
        ("dcgan32", "generator", "deconv2.operation"),
        ("dcgan32", "discriminator", "conv5.operation"),
    }


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(128, 192, 3, 2, 1),
        nn.Conv2d(128, 192, 3, 1, 0),
        nn.Conv2d(128, 192, 5, 1, 2),
        nn.Conv2d(128, 192, 3, 1, 2, dilation=2),
        nn.Conv2d(128, 128, 3, 1, 1, groups=2),
        nn.Conv2d(128, 192, 3, 1, 1, padding_mode="circular"),
        nn.Conv2d(128, 192, 3, 1, "same"),
        nn.Conv2d(64, 512, 3, 1, 1),
        spectral_norm(nn.Conv2d(128, 192, 3, 1, 1)),
        nn.Conv2d(128, 192, 3, 1, 1).bfloat16(),
        nn.Linear(128, 192),
    ],
)
def test_other_layers_are_left_alone(layer):
    assert with_winograd(nn.Sequential(layer))[0] is layer


def test_frozen_kernels_are_transformed_once_and_others_at_every_pass():
    images = _random(1, 128, 8, 8)
    for frozen in (True, False):
        layer = with_winograd(nn.Sequential(nn.Conv2d(128, 192, 3, 1, 1, bias=False)), frozen=frozen)
        with torch.no_grad():
            before = layer(images)
            layer[0].weight.mul_(2)
            assert _relative(layer(images), before * (1 if frozen else 2)) < 1e-5


def test_maps_that_fill_their_tiles_badly_pass_directly(monkeypatch):
    layer = with_winograd(nn.Sequential(nn.Conv2d(128, 192, 3, 1, 1)))
    monkeypatch.setattr(winograd, "convolve", None)
    assert layer(_random(1, 128, 5, 5)).shape == (1, 192, 5, 5)
    with pytest.raises(TypeError):
        layer(_random(1, 128, 8, 8))


def test_under_autocast_convolutions_run_in_its_type():
    layer = with_winograd(nn.Sequential(nn.Conv2d(128, 192, 3, 1, 1)))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(_random(1, 128, 8, 8)).dtype == torch.bfloat16


def test_a_spectral_norm_laid_on_afterwards_is_kept():
    plain, fast = nn.Conv2d(128, 192, 3, 1, 1), nn.Conv2d(128, 192, 3, 1, 1)
    fast.load_state_dict(plain.state_dict())
    fast = with_winograd(nn.Sequential(fast))[0]
    made = []
    for layer in (plain, fast):
        torch.manual_seed(0)
        made.append(spectral_norm(layer).eval()(_random(1, 128, 8, 8)))
    assert _relative(made[1], made[0]) < 1e-5


def test_a_whole_discriminator_judges_as_before():
    network = build(dcgan32(width=64).discriminator)
    initialise(network, torch.Generator().manual_seed(0))
    images = _random(4, 3, 32, 32)
    with torch.no_grad():
        before = network(images)
        assert _relative(with_winograd(network)(images), before) < 1e-4


def test_gradients_of_many_images_in_parts_and_odd_sizes_are_those_of_the_direct_convolution(monkeypatch):
    monkeypatch.setattr(winograd, "_ELEMENTS", 2 * 36 * 6 * 5)  # two images at a time
    images, kernels = _random(5, 3, 7, 10, dtype=torch.float64), _random(5, 3, 3, 3, seed=1, dtype=torch.float64)
    gradient = _random(5, 5, 7, 10, seed=2, dtype=torch.float64)
    expected = torch.nn.grad.conv2d_weight(images, kernels.shape, gradient, padding=1)
    torch.testing.assert_close(kernel_gradient(images, gradient), expected)
