"""Latent vectors of images: those that samples were made from are found, and others stay within the prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import dcgan_analysis as da
from dcgan_analysis.checkpoints.inversion import invert
from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.errors import AnalysisError, DatasetError

Z = 12


class Small(nn.Module):
    """Two layers: images of another vector are other images."""

    def __init__(self, gain=1.0):
        super().__init__()
        source = torch.Generator().manual_seed(0)
        self.first, self.second = nn.Linear(Z, 64), nn.Linear(64, 3 * 8 * 8)
        with torch.no_grad():
            for layer in (self.first, self.second):
                layer.weight.normal_(0, gain * layer.in_features**-0.5, generator=source)
                layer.bias.zero_()

    def forward(self, z):
        return torch.tanh(self.second(nn.functional.leaky_relu(self.first(z), 0.2))).view(-1, 3, 8, 8)


class ByClass(Small):
    """One class is bright, the other dark."""

    def forward(self, z, labels):
        return 0.5 * super().forward(z) + (labels.float() - 0.5)[:, None, None, None]


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_the_vectors_of_own_samples_are_found(prior):
    checkpoint = da.wrap(generator=Small(), latent=Z, z_prior=prior)
    z = checkpoint.latents(20, seed=7)
    samples = Sampler(checkpoint)(z)
    inverted = checkpoint.invert(samples, candidates=256)

    assert np.median(inverted.errors) < 0.005
    assert correlation(inverted.latents, z) > 0.98
    # What is given back is what the vectors make, and the errors are those of these images.
    np.testing.assert_array_equal(inverted.images, Sampler(checkpoint)(inverted.latents))
    differences = (inverted.images.astype(float) - samples) / 255
    np.testing.assert_allclose(inverted.errors, np.sqrt(np.square(differences).mean((1, 2, 3))), atol=2e-3)


def test_images_out_of_reach_keep_an_error_and_their_vectors_stay_within_the_prior():
    noise = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    for prior in ("uniform", "normal"):
        inverted = da.wrap(generator=Small(), latent=Z, z_prior=prior).invert(noise, candidates=64)
        assert inverted.errors.min() > 0.15
        if prior == "uniform":
            assert float(inverted.latents.abs().max()) <= 1
        else:
            # 99.9 % of the normal distribution in 12 dimensions lies in this ball.
            assert float(inverted.latents.square().sum(1).max()) <= 32.91


def test_what_is_found_depends_neither_on_the_other_images_nor_on_the_batches():
    checkpoint = da.wrap(generator=Small(), latent=Z)
    images = Sampler(checkpoint)(checkpoint.latents(7, seed=1))
    whole = invert(checkpoint, images, candidates=64, steps=40)
    parted = invert(checkpoint, images, candidates=64, steps=40, batch=3)
    alone = invert(checkpoint, images[4:5], candidates=64, steps=40)
    torch.testing.assert_close(parted.latents, whole.latents, atol=1e-3, rtol=0)
    torch.testing.assert_close(alone.latents[0], whole.latents[4], atol=1e-3, rtol=0)
    assert torch.equal(invert(checkpoint, images, candidates=64, steps=40).latents, whole.latents)
    assert not torch.equal(invert(checkpoint, images, candidates=64, steps=40, seed=1).latents, whole.latents)


def test_classes_are_those_given_or_those_of_the_nearest_samples():
    checkpoint = da.wrap(generator=ByClass(), latent=Z, classes=2)
    labels = torch.tensor([0, 1, 1, 0])
    images = Sampler(checkpoint)(checkpoint.latents(4, seed=3), labels)
    for given in (labels, None):
        inverted = checkpoint.invert(images, given, candidates=64)
        assert torch.equal(inverted.labels, labels)
        assert np.median(inverted.errors) < 0.01
    assert checkpoint.invert(images, 1 - labels, candidates=64).errors.min() > 0.1
    with pytest.raises(AnalysisError, match="no sample of class 5 among 64 candidates"):
        checkpoint.invert(images, labels + 5, candidates=64)
    with pytest.raises(AnalysisError, match="one class number for each of 4 images, got \\(3,\\)"):
        checkpoint.invert(images, labels[:3])


def test_the_tables_own_conditional_network_is_inverted(tiny_conditional_checkpoint):
    images = tiny_conditional_checkpoint.sample(3, seed=0)
    inverted = tiny_conditional_checkpoint.invert(images, steps=10, candidates=40)
    assert inverted.images.shape == (3, 1, 28, 28)
    assert inverted.labels.shape == (3,)


def test_what_cannot_be_inverted_is_refused_in_one_line(tiny_checkpoint):
    with pytest.raises(DatasetError, match=r"images of 1x8x8, checkpoint 'tiny' takes 3x32x32\. Use another dataset"):
        tiny_checkpoint.invert(torch.zeros(2, 1, 8, 8))
    with pytest.raises(DatasetError, match=r"Float images run from 0 to 255; checkpoint 'tiny' takes -1 to 1"):
        tiny_checkpoint.invert(torch.tensor([0.0, 255.0]).expand(1, 3, 32, 16, 2).reshape(1, 3, 32, 32))
    with pytest.raises(AnalysisError, match=r"There is no image to invert\."):
        tiny_checkpoint.invert(np.empty((0, 3, 32, 32), np.uint8))
    with pytest.raises(AnalysisError, match="Labels are for conditional generators"):
        tiny_checkpoint.invert(torch.zeros(1, 3, 32, 32), torch.tensor([0]))


def test_a_generator_without_a_gradient_is_refused():
    class Detached(Small):
        def forward(self, z):
            return super().forward(z).detach()

    checkpoint = da.wrap(generator=Detached(), latent=Z, name="detached")
    with pytest.raises(AnalysisError, match="generator of 'detached' gives no gradient"):
        checkpoint.invert(checkpoint.sample(1, seed=0), candidates=32)
