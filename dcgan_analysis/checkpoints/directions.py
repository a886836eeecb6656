"""Directions in latent space along which a generator's images change: of its weights, its activations, or of scores.

- ``sefa``: right singular vectors of the projection from z, largest first (Shen and Zhou 2021, arXiv 2007.06600).
- ``pca``: principal components of activations over sampled z, regressed to z (GANSpace, Härkönen et al. 2020, arXiv
  2004.02546, section 2.2).
- ``boundary``: normals of linear SVMs between the samples of lowest and of highest scores (InterFaceGAN, Shen et al.
  2020, arXiv 1907.10786, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from dcgan_analysis.checkpoints.sampling import BATCH, Sampler, class_labels
from dcgan_analysis.core.randomness import derive_seed
from dcgan_analysis.core.statistics import tails
from dcgan_analysis.errors import AnalysisError, ArchitectureError, unknown_name
from dcgan_analysis.models.hooks import capture, run_to
from dcgan_analysis.models.replicas import run_batches
from dcgan_analysis.models.tracing import trace_role

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

METHODS = ("sefa", "pca", "boundary")

_SPLIT = 0.7
"""Share of the samples of either end that an SVM learns from; the others test it."""

FEWEST = 6
"""Samples that either end must hold for a boundary: some to learn from, two to test."""

# What is left of a projection beside its linear map is rounding.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Boundary:
    """The boundary of an attribute in latent space.

    Attributes:
        normal: (Z,) of length one; it points to higher scores.
        right: (T,) whether each held-out sample lies on its own side; those of the low end first, then as many of the
            high end.
    """

    normal: Tensor
    right: np.ndarray


def find_directions(
    checkpoint: Checkpoint,
    method: str,
    k: int,
    *,
    scores: Callable[[np.ndarray], np.ndarray] | None,
    layer: str | None,
    samples: int,
    tail: float,
    seed: int,
    label: int,
) -> Tensor:
    """Find directions by name; arguments, result and errors are those of ``Checkpoint.directions``."""
    if method not in METHODS:
        error = unknown_name("method", method, METHODS)
        raise error
    if method == "sefa":
        return sefa(projection(checkpoint, label), k)[0]
    z = checkpoint.latents(samples, seed)
    if method == "pca":
        return principal(z, activations(checkpoint, z, layer, label), k, derive_seed("directions", seed))[0]
    if scores is None:
        msg = "Boundaries are those of scores: give scores=, a function of images uint8 (N, C, H, W) to (N,) or (N, A)."
        raise AnalysisError(msg)
    rng = np.random.default_rng(derive_seed("directions", seed))
    columns = np.asarray(scores(Sampler(checkpoint, label=label)(z))).reshape(len(z), -1).T
    return torch.stack([boundary(z, column, tail, rng).normal for column in columns])


def projection(checkpoint: Checkpoint, label: int = 0) -> Tensor:
    """Return the matrix (D, Z) by which the generator's first layer maps latent vectors, before any normalisation.

    It is what the layer answers to unit vectors, less what it answers to zero: weights may have any form, and labels
    may be joined in any way.

    Args:
        checkpoint: Whose generator.
        label: Class, of a conditional one.

    Raises:
        ArchitectureError: If no module of the generator takes latent vectors linearly.
        CheckpointError: If there is no generator.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> from dcgan_analysis.checkpoints.checkpoint import Checkpoint
        >>> checkpoint = Checkpoint.random(dcgan32(width=4), seed=0)
        >>> weight = checkpoint.weights["generator"]["project.operation.weight"]
        >>> torch.allclose(projection(checkpoint), weight, atol=1e-6)
        True
    """
    generator, size = checkpoint.generator(), checkpoint.architecture.z_size
    two = checkpoint.latents(2, derive_seed("projection"))
    path = _first_layer(generator, _arguments(checkpoint, two, label))
    if path is not None:
        inputs = torch.cat([two, torch.zeros(1, size), torch.eye(size)])
        with torch.inference_mode():
            run_to(generator, path, *_arguments(checkpoint, two, label))
            answers = run_to(generator, path, *_arguments(checkpoint, inputs, label)).flatten(1)
        matrix = (answers[3:] - answers[2]).T
        expected = two @ matrix.T + answers[2]
        if bool((answers[:2] - expected).norm() <= _ROUNDING * answers[:2].norm()):
            return matrix.clone()
    msg = (
        f"The generator of '{checkpoint.name}' takes latent vectors through no linear layer that is a module: there is "
        "no projection. Use the method boundary, or pca with the name of a layer."
    )
    raise ArchitectureError(msg)


def sefa(matrix: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the directions that a projection stretches most, and its singular values.

    Args:
        matrix: (D, Z).
        k: How many.

    Returns:
        Directions (k, Z) of length one, the largest number of each positive; all singular values, largest first.

    Raises:
        AnalysisError: If there are not so many.

    Example:
        >>> sefa(torch.diag(torch.tensor([1.0, 3.0])), 1)
        (tensor([[0., 1.]]), tensor([3., 1.]))
    """
    _check_number(k, min(matrix.shape), "the projection has")
    _, values, rows = torch.linalg.svd(matrix, full_matrices=False)
    return _pointed(rows[:k]), values


def activations(checkpoint: Checkpoint, z: Tensor, layer: str | None = None, label: int = 0) -> Tensor:
    """Return the activations (N, D) of a generator's layer.

    Args:
        checkpoint: Whose generator.
        z: Latent vectors (N, Z).
        layer: Name of the layer; None: the first, after its normalisation and activation.
        label: Class, of a conditional generator.

    Raises:
        ArchitectureError: If no layer's name is given and no module's name says the first one's.
        CheckpointError: If there is no generator.
        UnknownNameError: If there is no such layer.
    """
    generator = checkpoint.generator()
    layer = layer or _first_tap(checkpoint, generator, label)

    @torch.inference_mode()
    def run(own: nn.Module, batch: Tensor) -> Tensor:
        return run_to(own, layer, *_arguments(checkpoint, batch, label)).flatten(1).float()

    return torch.cat(list(run_batches(run, generator, torch.split(z, BATCH))))


def principal(z: Tensor, rows: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the directions along which activations vary most.

    Principal components of the activations, then the least-squares map from their coordinates to latent vectors.

    Args:
        z: Latent vectors (N, Z).
        rows: Their activations (N, D).
        k: How many.
        seed: Of the randomised solver.

    Returns:
        Directions (k, Z) of length one, the largest number of each positive; the share of the variance of each
        component (k,), largest first.

    Raises:
        AnalysisError: If there are not so many.

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> vectors, shares = principal(z, z * torch.tensor([1.0, 3.0]), 1, seed=0)
        >>> [round(abs(number), 4) for number in vectors[0].tolist()], round(float(shares[0]), 4)
        ([0.0, 1.0], 0.9)
    """
    from sklearn.decomposition import PCA

    check_number(k, len(z), z, rows)
    components = PCA(k, svd_solver="randomized", random_state=seed)
    coordinates = torch.from_numpy(components.fit_transform(rows.numpy())).to(z)
    # Coordinates of different components do not correlate: each is regressed by itself.
    vectors = coordinates.T @ (z - z.mean(0))
    lengths = vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return _pointed(vectors / lengths), torch.from_numpy(components.explained_variance_ratio_)


def check_number(k: int, samples: int, z: Tensor, rows: Tensor) -> None:
    """Refuse more principal components than samples give, latent vectors (N, Z) and activations (N, D) such as these.

    Raises:
        AnalysisError: If there are not so many.
    """
    _check_number(k, min(samples - 1, z.shape[1], rows.shape[1]), "latent vectors and activations give")


def boundary(z: Tensor, scores: np.ndarray, tail: float, rng: np.random.Generator) -> Boundary:
    """Fit a linear SVM between the samples of lowest and of highest scores.

    Args:
        z: Latent vectors (N, Z).
        scores: (N,) of their samples.
        tail: Share of the samples at either end, at most 0.5. Seven tenths of them are learned from, the others tested.
        rng: Draws which.

    Raises:
        AnalysisError: If either end holds fewer than six samples.

    Example:
        >>> z = torch.linspace(-1, 1, 40)[:, None] * torch.tensor([[0.6, 0.8]])
        >>> boundary(z, z[:, 0].numpy(), 0.5, np.random.default_rng(0)).normal
        tensor([0.6000, 0.8000])
    """
    from dcgan_analysis.linear.svm import L2SVM

    chosen = np.stack([rng.permutation(end) for end in tails(scores, tail, FEWEST)])
    size = chosen.shape[1]
    high = np.repeat([[False], [True]], size, axis=1)
    learned = round(_SPLIT * size)
    rows = z.numpy()
    svm = L2SVM().fit(rows[chosen[:, :learned].ravel()], high[:, :learned].ravel())
    right = svm.predict(rows[chosen[:, learned:].ravel()]) == high[:, learned:].ravel()
    normal = torch.from_numpy(np.asarray(svm.coef_[0])).to(z)
    return Boundary(normal / normal.norm().clamp_min(1e-12), right)


def _arguments(checkpoint: Checkpoint, z: Tensor, label: int) -> list[Tensor]:
    architecture = checkpoint.architecture
    labels = class_labels(architecture, range(len(z)), label if architecture.classes else None)
    return [z] if labels is None else [z, labels]


def _first_layer(generator: nn.Module, arguments: list[Tensor]) -> str | None:
    """Return the path of the first linear layer, or convolution, that answers differently to two latent vectors."""
    answering: list[str] = []

    def watch(path: str, _: nn.Module, __: object, answer: Tensor) -> None:
        if not torch.equal(answer[0], answer[1]):
            answering.append(path)

    linear = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    layers = [(path, module) for path, module in generator.named_modules() if isinstance(module, linear)]
    hooks = [module.register_forward_hook(partial(watch, path)) for path, module in layers]
    try:
        with torch.inference_mode():
            generator(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
    return answering[0] if answering else None


def _first_tap(checkpoint: Checkpoint, generator: nn.Module, label: int) -> str:
    """Return the tap after the activation of the first layer that answers differently to two latent vectors."""
    layers = trace_role(generator, checkpoint.architecture, "generator").layers
    taps = list(dict.fromkeys(layer.tap for layer in layers if layer.tap is not None))
    two = checkpoint.latents(2, derive_seed("projection"))
    with torch.inference_mode(), capture(generator, taps) as outputs:
        generator(*_arguments(checkpoint, two, label))
    for tap in taps:
        if not torch.equal(outputs[tap][0], outputs[tap][1]):
            return tap
    msg = f"No module's name says which layer of '{checkpoint.name}' comes first. Name one: layer=PATH."
    raise ArchitectureError(msg)


def _check_number(k: int, most: int, of: str) -> None:
    if not 1 <= k <= most:
        msg = f"k={k}: {of} 1 to {most} directions."
        raise AnalysisError(msg)


def _pointed(vectors: Tensor) -> Tensor:
    """Return directions (k, Z) with the sign that makes the largest number of each positive."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0)
