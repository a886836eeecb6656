"""The directions that are compared: of the projection, of activations, of attributes' boundaries, and random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dcgan_analysis.checkpoints.directions import (
    FEWEST,
    Boundary,
    activations,
    boundary,
    check_number,
    principal,
    projection,
    sefa,
)
from dcgan_analysis.core.statistics import end_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.latents.attributes import Judge

__all__ = [
    "Boundaries",
    "Direction",
    "check_ends",
    "check_layer",
    "fit_boundaries",
    "pca_directions",
    "random_directions",
    "sefa_directions",
]


@dataclass(frozen=True)
class Direction:
    """A direction, and what is known of it before images are looked at.

    Attributes:
        vector: (Z,) of length one.
        strength: SeFa: its share of the projection's squared singular values; PCA: of the variance; boundary: share of
            held-out samples on their own side.
        attribute: Column of the attribute that it is meant to move; None: it is meant for none.
    """

    vector: Tensor
    strength: float | None = None
    attribute: int | None = None


@dataclass(frozen=True)
class Boundaries:
    """Boundaries of attributes, and how well they separate samples that they were not fitted on.

    Attributes:
        directions: Their normals.
        separated: (A,) share of held-out samples on their own side.
        shuffled: (A,) the same where scores belong to other samples.
    """

    directions: list[Direction]
    separated: list[float]
    shuffled: list[float]


def sefa_directions(context: RunContext, k: int, label: int) -> list[Direction]:
    """Return the k directions that the projection stretches most."""
    vectors, values = sefa(projection(context.checkpoint, label), k)
    shares = values.square() / values.square().sum()
    return [Direction(vector, float(share)) for vector, share in zip(vectors, shares, strict=False)]


def check_ends(samples: int, tail: float) -> None:
    """Refuse ends of the scores that are too small for a boundary.

    Raises:
        AnalysisError: If they are.
    """
    end_size(samples, tail, FEWEST)


def check_layer(context: RunContext, layer: str | None, label: int, k: int, samples: int) -> None:
    """Refuse a layer that the generator does not have, and more directions than its activations give.

    Raises:
        AnalysisError: If there are not so many.
        ArchitectureError: If no layer's name is given and no module's name says the first one's.
        UnknownNameError: If there is no such layer.
    """
    z = context.checkpoint.latents(2, context.seed)
    check_number(k, samples, z, activations(context.checkpoint, z, layer, label))


def pca_directions(context: RunContext, z: Tensor, k: int, layer: str | None, label: int) -> list[Direction]:
    """Return the k directions along which activations of samples (N, Z) vary most."""
    rows = activations(context.checkpoint, z, layer, label)
    seed = int(context.rng("pca").integers(2**31))
    vectors, shares = principal(z, rows, k, seed)
    return [Direction(vector, float(share)) for vector, share in zip(vectors, shares, strict=True)]


def fit_boundaries(
    context: RunContext, judge: Judge, z: Tensor, scores: np.ndarray, tail: float, k: int, asked: Sequence[str] = ()
) -> Boundaries:
    """Fit the boundaries of attributes among samples.

    Where no attributes are asked for, one half of the held-out samples chooses the k that are separated best; how well
    they are separated is measured on the other half.

    Args:
        context: The run, for its randomness.
        judge: Knows the attributes.
        z: Samples (N, Z).
        scores: (N, A) its judgement of them.
        tail: Share of the samples at either end.
        k: How many, where none are asked for.
        asked: Names of attributes.
    """
    columns = [judge.column(name) for name in asked] or range(len(judge.names))
    fitted: dict[int, Boundary] = {
        column: boundary(z, scores[:, column], tail, context.rng("boundary", judge.names[column])) for column in columns
    }
    if not asked:
        chosen = sorted(fitted, key=lambda column: -fitted[column].right[0::2].mean())[:k]
        fitted = {column: fitted[column] for column in chosen}
    separated = [float(fit.right[1::2].mean()) for fit in fitted.values()]
    shuffled = []
    for column in fitted:
        rng = context.rng("shuffled boundary", judge.names[column])
        shuffled.append(float(boundary(z, rng.permutation(scores[:, column]), tail, rng).right[1::2].mean()))
    directions = [
        Direction(fit.normal, share, column) for (column, fit), share in zip(fitted.items(), separated, strict=True)
    ]
    return Boundaries(directions, separated, shuffled)


def random_directions(context: RunContext, number: int) -> list[Direction]:
    """Return directions drawn uniformly from the sphere."""
    drawn = context.rng("random directions").standard_normal((number, context.checkpoint.architecture.z_size))
    return [Direction(vector) for vector in F.normalize(torch.from_numpy(drawn).float(), dim=1)]
