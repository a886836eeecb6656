"""What a generator has learned by heart it reconstructs better: planted generators whose range is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.invert import Invert
from torch import nn

import dcgan_analysis as da
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.testing import check_analysis

SIDE = 8
QUICK = {"images": 60, "steps": 40, "candidates": 256}


class Spanning(nn.Module):
    """Makes the images that lie in the affine span of given ones, which it knows by heart, and no others."""

    def __init__(self, images):
        super().__init__()
        pixels = torch.from_numpy(images).flatten(1).float() / 127.5 - 1
        mean = pixels.mean(0)
        # Scaled so that the images themselves lie within the box of the prior.
        _, values, rows = torch.linalg.svd(pixels - mean, full_matrices=False)
        self.project = nn.Linear(len(rows), pixels.shape[1])
        with torch.no_grad():
            self.project.weight.copy_((values[:, None] * rows).T)
            self.project.bias.copy_(mean)

    def forward(self, z):
        return self.project(z).view(-1, 3, SIDE, SIDE).clamp(-1, 1)


def blobs(n, seed):
    """Return images of which no two are alike, all of one distribution."""
    source = np.random.default_rng(seed)
    coarse = source.integers(40, 216, (n, 3, SIDE // 2, SIDE // 2)).astype(np.uint8)
    return coarse.repeat(2, axis=2).repeat(2, axis=3)


@pytest.fixture(scope="module")
def dataset():
    return Dataset.from_arrays("blobs", {"train": blobs(60, 0), "test": blobs(60, 1)})


def generator_of(images):
    return da.wrap(generator=Spanning(images), latent=len(images), z_prior="uniform", name="spanning")


def test_invert_keeps_the_contract(dcgan_context, unrendered):
    check_analysis(Invert(), dcgan_context, {"images": 20, "steps": 2, "candidates": 16})


def test_ten_images_learned_by_heart_are_caught(run, dataset, saved):
    learned = dataset.split("train").images[:10]
    result = run(Invert(), dataset, checkpoint=generator_of(learned), **QUICK)

    assert "signs of memorisation" in result.title
    assert "training images among the best" in result.title
    errors = saved(result, "inversion")["training_images_errors"]
    assert np.sort(errors)[9] < 0.01 < 0.05 < np.sort(errors)[10]
    assert result.metrics["best_training"].value >= 10 / 60


def test_a_generator_of_other_images_is_not_accused_and_its_tests_would_have_found_copies(run):
    # Power comes with the number of images.
    dataset = Dataset.from_arrays("blobs", {"train": blobs(160, 0), "test": blobs(160, 1)})
    result = run(Invert(), dataset, checkpoint=generator_of(blobs(10, 2)), **QUICK | {"images": 160})

    assert "no sign of memorisation" in result.title
    closer = result.metrics["training_closer"]
    assert closer.low < 0.5 < closer.high
    assert result.metrics["own_error"].value < 0.2 * result.metrics["held_out_error"].value
    assert result.metrics["power"].value >= 0.8


def test_few_held_out_images_cannot_tell(run, dataset):
    few = Dataset.from_arrays("few", {"train": dataset.split("train").images, "test": blobs(10, 1)})
    result = run(Invert(), few, checkpoint=generator_of(blobs(10, 2)), **QUICK)

    assert "cannot tell" in result.title
    assert any("10 held-out images" in note for note in result.notes)


def test_plainer_training_images_are_no_memorisation(run):
    plain = (blobs(60, 0) // 4 + 96).astype(np.uint8)
    dataset = Dataset.from_arrays("plain", {"train": plain, "test": blobs(60, 1)})
    result = run(Invert(), dataset, checkpoint=generator_of(blobs(10, 2)), **QUICK)

    # The twin reconstructs them better as well.
    assert result.metrics["training_closer"].low > 0.5
    assert result.metrics["twin_training_closer"].low > 0.5
    assert "training images are closer" not in result.title


def test_without_held_out_images_it_is_said_what_is_missing(run, dataset):
    alone = Dataset.from_arrays("alone", {"train": dataset.split("train").images})
    with pytest.raises(
        AnalysisError, match=r"'alone' has 0 images that checkpoint 'spanning' has not seen.*the setting images=N"
    ):
        run(Invert(), alone, checkpoint=generator_of(blobs(10, 2)), **QUICK)
