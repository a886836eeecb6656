"""Gradients of kernels from patches: torch's own, and where they are used."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dcgan_analysis.models.builder import build
from dcgan_analysis.models.kernels import patch_gradients as patches
from dcgan_analysis.models.kernels.patch_gradients import (
    PatchConv2d,
    PatchConvTranspose2d,
    kernel_gradient,
    with_patch_gradients,
)
from dcgan_analysis.models.tables import dcgan32, dcgan64


def _random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _relative(found, expected):
    return float((found - expected).detach().norm() / expected.detach().norm())


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (2, 5)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (5, 2, 2), (4, 2, 1), (4, 3, 1), (3, 1, 1)])
def test_the_gradient_is_torchs_for_any_size_stride_and_padding(size, kernel, stride, padding):
    images, kernels = _random(3, 5, *size, dtype=torch.float64), _random(7, 5, kernel, kernel, dtype=torch.float64)
    maps = nn.functional.conv2d(images, kernels, stride=stride, padding=padding)
    gradient = _random(*maps.shape, seed=1, dtype=torch.float64)
    expected = torch.nn.grad.conv2d_weight(images, kernels.shape, gradient, stride, padding)
    torch.testing.assert_close(kernel_gradient(images, gradient, kernel, stride, padding), expected)


def test_images_in_parts_give_what_all_at_once_give(monkeypatch):
    images, gradient = _random(5, 3, 8, 8, dtype=torch.float64), _random(5, 4, 4, 4, seed=1, dtype=torch.float64)
    whole = kernel_gradient(images, gradient, 3, 2, 1)
    monkeypatch.setattr(patches, "_ELEMENTS", 2 * 16 * 27)  # two images at a time
    torch.testing.assert_close(kernel_gradient(images, gradient, 3, 2, 1), whole)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("bias", [False, True])
def test_layers_and_their_gradients_are_those_of_the_layers_they_replace(kind, kernel, bias):
    torch.manual_seed(0)
    further = {"output_padding": 1} if kind is nn.ConvTranspose2d else {}
    plain = kind(128, 192, kernel, 2, kernel // 2, bias=bias, **further)
    fast = with_patch_gradients(nn.Sequential(plain))[0]
    assert type(fast) in (PatchConv2d, PatchConvTranspose2d)
    images = _random(2, 128, 8, 8)
    results = []
    for layer in (plain, fast):
        given = images.clone().requires_grad_()
        maps = layer(given)
        results.append((maps, *torch.autograd.grad(maps.square().sum(), (given, *layer.parameters()))))
    for expected, found in zip(*results, strict=True):
        assert found.shape == expected.shape
        assert _relative(found, expected) < 1e-5


def test_frozen_kernels_let_the_gradient_by_images_pass():
    layer = with_patch_gradients(nn.Sequential(nn.Conv2d(128, 128, 3, 2, 1))).requires_grad_(False)
    images = _random(1, 128, 4, 4).requires_grad_()
    layer(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_only_layers_that_gain_are_replaced_and_keep_their_parameters():
    for architecture in (dcgan32(width=64), dcgan64(width=64)):
        for role in ("generator", "discriminator"):
            network = build(getattr(architecture, role))
            before = {name: id(each) for name, each in network.named_parameters()}
            with_patch_gradients(network)
            assert {name: id(each) for name, each in network.named_parameters()} == before
            replaced = {
                name.removesuffix(".operation")
                for name, module in network.named_modules()
                if isinstance(module, PatchConv2d | PatchConvTranspose2d)
            }
            expected = {
                ("dcgan32", "generator"): {"deconv1", "deconv3"},
                ("dcgan32", "discriminator"): {"conv4", "conv6"},
                ("dcgan64", "generator"): {"deconv1", "deconv2"},
                ("dcgan64", "discriminator"): {"conv3", "conv4"},
            }
            assert replaced == expected[architecture.name, role]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(128, 192, 3, 1, 1),
        nn.Conv2d(64, 512, 3, 2, 1),
        nn.Conv2d(128, 192, (3, 5), 2, 1),
        nn.Conv2d(128, 192, 3, 2, (1, 0)),
        nn.Conv2d(128, 192, 3, 2, 1, dilation=2),
        nn.Conv2d(128, 128, 3, 2, 1, groups=2),
        nn.Conv2d(128, 192, 3, 2, 1, padding_mode="circular"),
        nn.Conv2d(128, 192, 3, 2, "valid"),
        spectral_norm(nn.Conv2d(128, 192, 3, 2, 1)),
        nn.Conv2d(128, 192, 3, 2, 1).bfloat16(),
        nn.Linear(128, 192),
    ],
)
def test_other_layers_are_left_alone(layer):
    assert with_patch_gradients(nn.Sequential(layer))[0] is layer


def test_under_autocast_convolutions_run_in_its_type():
    layer = with_patch_gradients(nn.Sequential(nn.Conv2d(128, 192, 3, 2, 1)))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(_random(1, 128, 8, 8)).dtype == torch.bfloat16


def test_a_spectral_norm_laid_on_afterwards_is_kept():
    plain, fast = nn.Conv2d(128, 192, 3, 2, 1), nn.Conv2d(128, 192, 3, 2, 1)
    fast.load_state_dict(plain.state_dict())
    fast = with_patch_gradients(nn.Sequential(fast))[0]
    gradients = []
    for layer in (plain, fast):
        torch.manual_seed(0)
        normed = spectral_norm(layer).eval()
        normed(_random(1, 128, 8, 8)).square().sum().backward()
        gradients.append(normed.parametrizations.weight.original.grad)
    assert _relative(gradients[1], gradients[0]) < 1e-5
