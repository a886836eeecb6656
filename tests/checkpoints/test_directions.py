"""Directions of latent space: each method finds the one that a planted generator changes along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.directions import projection
from dcgan_analysis.errors import AnalysisError, ArchitectureError, UnknownNameError
from dcgan_analysis.models.tables import dcgan32, mlp_conditional

Z = 16


def unit(seed):
    return F.normalize(torch.randn(Z, generator=torch.Generator().manual_seed(seed)), dim=0)


class Linear(nn.Module):
    """Images grow brighter along one direction, and little happens along the others."""

    def __init__(self, planted, prepare=lambda z: z):
        super().__init__()
        self.project, self.prepare = nn.Linear(Z, 3 * 8 * 8), prepare
        noise = torch.randn(3 * 8 * 8, Z, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            self.project.weight.copy_(0.1 * torch.ones(3 * 8 * 8, 1) @ planted[None] + 0.001 * noise)
            self.project.bias.fill_(0.05)

    def forward(self, z):
        return self.project(self.prepare(z)).view(-1, 3, 8, 8)


@pytest.fixture(scope="module")
def planted():
    return unit(0)


@pytest.fixture(scope="module")
def linear(planted):
    return da.wrap(generator=Linear(planted), latent=Z)


def brightness(images):
    return images.mean(axis=(1, 2, 3))


@pytest.mark.parametrize("method", ["sefa", "pca", "boundary"])
def test_each_method_finds_the_direction_of_a_linear_generator(method, linear, planted):
    first = linear.directions(method, 1, scores=brightness)[0]

    assert first.norm() == pytest.approx(1)
    assert abs(float(first @ planted)) > 0.99
    # Random directions are at chance: the mean of the squared cosine is 1 / Z.
    cosines = torch.stack([unit(seed) @ planted for seed in range(1, 200)])
    assert float(cosines.square().mean()) == pytest.approx(1 / Z, rel=0.2)


def test_directions_of_the_projection_are_the_eigenvectors_that_scipy_finds(linear):
    from scipy.linalg import eigh

    matrix = projection(linear).double().numpy()
    _, columns = eigh(matrix.T @ matrix)
    cosines = linear.directions("sefa", 3).double().numpy() @ columns[:, ::-1][:, :3]
    assert np.abs(cosines) == pytest.approx(np.eye(3), abs=1e-3)


def test_a_boundary_points_to_higher_scores_and_there_is_one_for_each_score(linear, planted):
    normals = linear.directions(
        "boundary",
        scores=lambda images: torch.stack(
            [torch.from_numpy(brightness(images)), -torch.from_numpy(brightness(images))], 1
        ).numpy(),
    )

    assert normals.shape == (2, Z)
    assert float(normals[0] @ planted) > 0.99
    assert float(normals[1] @ planted) < -0.99


def test_directions_are_orthogonal_repeatable_and_largest_first(linear):
    sefa = linear.directions("sefa", 5)
    stretched = (projection(linear) @ sefa.T).norm(dim=0)

    assert torch.allclose(sefa @ sefa.T, torch.eye(5), atol=1e-5)
    assert stretched.tolist() == sorted(stretched.tolist(), reverse=True)
    for method in ("pca", "boundary"):
        asked = {"scores": brightness, "samples": 200}
        assert torch.equal(linear.directions(method, 3, **asked), linear.directions(method, 3, **asked))


def test_the_projection_of_a_layer_table_is_its_weights_whatever_the_label_is_joined_by():
    plain = Checkpoint.random(dcgan32(width=4), seed=0)
    assert torch.allclose(projection(plain), plain.weights["generator"]["project.operation.weight"], atol=1e-6)

    conditional = Checkpoint.random(mlp_conditional(width=8), seed=0)
    first = conditional.architecture.generator_layers[0].name
    weights = conditional.weights["generator"][f"{first}.operation.weight"][:, : conditional.architecture.z_size]
    assert torch.allclose(projection(conditional, label=3), weights, atol=1e-6)
    assert conditional.directions("pca", 2, samples=100, label=3).shape == (2, conditional.architecture.z_size)


def test_a_projection_by_a_fractional_strided_convolution_is_found(planted):
    class Deconv(nn.Module):
        def __init__(self):
            super().__init__()
            self.main = nn.Sequential(nn.ConvTranspose2d(Z, 3, 8, bias=False), nn.Tanh())

        def forward(self, z):
            return self.main(z.view(-1, Z, 1, 1))

    generator = Deconv()
    with torch.no_grad():
        generator.main[0].weight.copy_(0.1 * planted[:, None, None, None].expand(Z, 3, 8, 8))
    checkpoint = da.wrap(generator=generator, latent=Z)

    assert projection(checkpoint).shape == (192, Z)
    assert abs(float(checkpoint.directions("sefa", 1)[0] @ planted)) > 0.99
    assert abs(float(checkpoint.directions("pca", 1)[0] @ planted)) > 0.99


def test_what_cannot_be_found_is_refused_in_one_line(linear, planted):
    with pytest.raises(UnknownNameError, match=r"Unknown method 'svd'.*sefa"):
        linear.directions("svd")
    with pytest.raises(AnalysisError, match="k=17: the projection has 1 to 16 directions"):
        linear.directions("sefa", 17)
    with pytest.raises(AnalysisError, match="give scores="):
        linear.directions("boundary")
    with pytest.raises(AnalysisError, match="holds 2 of 20 samples; 6 are needed"):
        linear.directions("boundary", scores=brightness, samples=20, tail=0.1)
    # Latent vectors are brought to length one first: what follows is no linear map of them.
    normed = da.wrap(generator=Linear(planted, lambda z: F.normalize(z, dim=1)), latent=Z)
    with pytest.raises(ArchitectureError, match="through no linear layer that is a module"):
        normed.directions("sefa", 1)
