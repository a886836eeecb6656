from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import Sampler, with_sample_statistics
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.latents.variation import check_samples_vary, spread
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32


class Planted(torch.nn.Module):
    """Makes one image, moved by a little noise that depends on the latent vector."""

    def __init__(self, size, shape):
        super().__init__()
        self.image = torch.linspace(-0.9, 0.9, int(np.prod(shape))).reshape(shape)
        self.size = size

    def forward(self, z, labels=None):
        image = self.image if labels is None else self.image * (labels[:, None, None, None] + 1) / 10
        noise = z[:, :1, None, None] / z[:, 0].std(correction=0) * torch.sign(self.image)
        return image + 2 * self.size * noise


def sampler(checkpoint, size):
    return Sampler(checkpoint, generator=Planted(size, checkpoint.architecture.image_shape))


@pytest.fixture
def conditional():
    return Checkpoint.random(dcgan28_conditional(width=2, hidden=8, image_size=8, z_size=5, classes=3), seed=0)


def test_the_spread_is_the_standard_deviation_over_images_of_a_class():
    images = np.array([[1, 9], [3, 9], [11, 0], [11, 0]], np.uint8).reshape(4, 1, 1, 2)
    # Deviations from the class's mean: -1 and 1 of the first pixel, four times nothing of each of the others.
    assert spread(images, [0, 0, 5, 5]) == pytest.approx((2 / 8) ** 0.5)
    assert spread(images) == pytest.approx(np.sqrt(images.reshape(4, 2).var(axis=0).mean()))
    assert spread(torch.full((2, 1, 2, 2), 0.5)) == 0


# Of 3e-8 float32 keeps a digit.
@pytest.mark.parametrize(("size", "value"), [(0, "0"), (3e-8, r"[1-9.]+e-08"), (6e-4, r"0\.0006")])
def test_a_generator_that_makes_one_image_is_refused(dcgan_context, tiny_checkpoint, size, value):
    real = np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32)).astype(np.uint8)
    with pytest.raises(AnalysisError, match=rf"makes one image .* {value} of its range, over real images 0\.29"):
        check_samples_vary(dcgan_context, sampler(tiny_checkpoint, size), real)


def test_statistics_that_were_never_updated_are_named(dcgan_context):
    stale = Checkpoint.random(dcgan32(width=8), seed=0, name="stale")
    with pytest.raises(AnalysisError, match=r"batch normalisation were never updated \(mean 0, variance 1\)"):
        check_samples_vary(dcgan_context, Sampler(stale))
    mended = with_sample_statistics(stale)
    assert mended.sha256("generator") != stale.sha256("generator")
    assert mended.sha256("discriminator") == stale.sha256("discriminator")
    check_samples_vary(dcgan_context, Sampler(mended))


def test_samples_that_are_not_numbers_are_refused(dcgan_context, tiny_checkpoint):
    with pytest.raises(AnalysisError, match="over 32 samples nan"):
        check_samples_vary(dcgan_context, sampler(tiny_checkpoint, float("nan")))


def test_a_conditional_generator_that_makes_one_image_of_each_class_is_refused(dcgan_context, conditional):
    with pytest.raises(AnalysisError, match="makes one image whatever the latent vector"):
        check_samples_vary(dcgan_context, sampler(conditional, 0))
    check_samples_vary(dcgan_context, sampler(conditional, 0.3))


def test_samples_that_differ_a_tenth_as_much_as_real_images_are_warned_of(dcgan_context, tiny_checkpoint):
    context = replace(dcgan_context)
    real = np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32)).astype(np.uint8)
    check_samples_vary(context, sampler(tiny_checkpoint, 0.04), real)
    assert not context._warnings
    check_samples_vary(context, sampler(tiny_checkpoint, 0.02), real)
    check_samples_vary(context, sampler(tiny_checkpoint, 0.02))
    assert len(context._warnings) == 2
    assert "Samples of 'tiny' differ little" in context._warnings[0]
    assert "over real images 0.29" in context._warnings[0]
    assert "over pixels within a sample 0.26" in context._warnings[1]
