"""How well units agree with a concept: intersection over union of where they are active with where it is.

A unit is active where it exceeds a threshold. Which one, and which unit, is chosen on one half of the images; the other
half says how well they agree. Source: Bau et al. 2017, arXiv 1704.05796, section 2, and 2019, arXiv 1811.10597,
section 3.1, where thresholds are chosen and measured on the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.core.statistics import percentile_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = [
    "Agreement",
    "Layer",
    "agreement",
    "average_precision",
    "best_layer",
    "dissect_layer",
    "interval_over_images",
    "shuffled",
]

QUANTILES = tuple(np.geomspace(0.005, 0.5, 16).tolist())
"""Shares of all places at which a unit may be active; the first is that of Network Dissection."""

_RESAMPLES = 400
_COMPARED = 16  # units whose average precision stands for that of all

Interval = tuple[float, float, float]
"""Value, lower and upper end."""


@dataclass(frozen=True)
class Agreement:
    """How well U units agree with M concepts.

    Attributes:
        chosen: (U, M) intersection over union on the half that chooses, the best of all thresholds.
        measured: (U, M) the same on the other half, at the same threshold.
        thresholds: (U, M) which.
    """

    chosen: Tensor
    measured: Tensor
    thresholds: Tensor

    def ranked(self, concept: int = 0) -> list[int]:
        """Return the units, best first, as the half that chooses has it."""
        order: list[int] = self.chosen[:, concept].argsort(descending=True, stable=True).tolist()
        return order


def agreement(values: Tensor, masks: Tensor, choosing: Tensor) -> Agreement:
    """Return how well units agree with concepts.

    Args:
        values: (U, N, P) activations at P places of N images.
        masks: (M, N, P) whether each concept is there.
        choosing: (N,) which images choose thresholds.

    Example:
        >>> masks = torch.tensor([[[1, 1, 0, 0, 0, 0, 0, 0, 0, 0]] * 2]).bool()
        >>> values = torch.stack([masks[0].float(), 1 - masks[0].float()])
        >>> two = agreement(values, masks, torch.tensor([True, False]))
        >>> two.measured.round(decimals=2).tolist(), two.ranked()
        ([[1.0], [0.0]], [0, 1])
    """
    ours, theirs = values[:, choosing].flatten(1), values[:, ~choosing].flatten(1)
    ordered = ours.sort(dim=1, descending=True).values
    # A unit is active above the threshold, at no more places than its share.
    places = [min(int(share * ours.shape[1]), ours.shape[1] - 1) for share in QUANTILES]
    thresholds = ordered[:, places]
    by_share = _unions(ours, thresholds, masks[:, choosing])
    chosen, best = by_share.max(dim=0)
    others = _unions(theirs, thresholds, masks[:, ~choosing])
    return Agreement(chosen, others.gather(0, best[None])[0], thresholds.gather(1, best))


def _unions(values: Tensor, thresholds: Tensor, masks: Tensor) -> Tensor:
    """Return the intersection over union (Q, U, M) of values (U, P) above thresholds (U, Q) with masks (M, N, P)."""
    there = masks.flatten(1).to(values.dtype)
    ratios = []
    for column in thresholds.T:
        active = (values > column[:, None]).to(values.dtype)
        both = active @ there.T
        either = active.sum(dim=1, keepdim=True) + there.sum(dim=1) - both
        ratios.append(both / either.clamp_min(1))
    return torch.stack(ratios)


def shuffled(masks: Tensor, times: int, rng: np.random.Generator) -> Tensor:
    """Give each image the mask of another one: a concept that has the same places and nothing to do with the image.

    Args:
        masks: (N, P).
        times: How often.
        rng: Draws which.

    Returns:
        (times, N, P).
    """
    n = len(masks)
    orders = []
    for _ in range(times):
        order = rng.permutation(n)
        # The next of a random circle: never its own.
        other = np.empty(n, np.int64)
        other[order] = np.roll(order, 1)
        orders.append(masks[torch.from_numpy(other)])
    return torch.stack(orders)


def interval_over_images(both: np.ndarray, either: np.ndarray, rng: np.random.Generator) -> Interval:
    """Return an intersection over union with its 95 % bootstrap interval over images (N,).

    Example:
        >>> interval_over_images(np.array([1, 1]), np.array([2, 2]), np.random.default_rng(0))
        (0.5, 0.5, 0.5)
    """
    value = float(both.sum() / max(either.sum(), 1))
    drawn = rng.integers(len(both), size=(_RESAMPLES, len(both)))
    return value, *percentile_interval(value, both[drawn].sum(1) / np.maximum(either[drawn].sum(1), 1))


def average_precision(values: Tensor, masks: Tensor, rng: np.random.Generator | None = None) -> Interval:
    """Return the average precision of a unit as a score of the concept, with its 95 % bootstrap interval over images.

    Chance is the share of places where the concept is.

    Args:
        values: (N, P).
        masks: (N, P), somewhere True.
        rng: Draws images; None: the interval has no width.
    """
    images, places = masks.shape
    scores = values.flatten().numpy()
    order = np.argsort(-scores, kind="stable")
    ranked, there, image = scores[order], masks.flatten().numpy()[order], order // places
    # Equal activations are one step of the curve: a unit that is 0 nearly everywhere has few.
    steps = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))

    def precision(weights: np.ndarray) -> float:
        of_place = weights[image]
        right = np.cumsum(of_place * there)[steps]
        asked = np.cumsum(of_place)[steps]
        return float((np.diff(right, prepend=0.0) * right / asked.clip(1)).sum() / max(right[-1], 1))

    value = precision(np.ones(images))
    if rng is None:
        return value, value, value
    drawn = [np.bincount(rng.integers(images, size=images), minlength=images) for _ in range(_RESAMPLES)]
    return value, *percentile_interval(value, [precision(weights) for weights in drawn])


@dataclass(frozen=True)
class Layer:
    """How well the units of a layer agree with a concept, and with the same concept of other images.

    Attributes:
        network: ``"generator"`` or ``"discriminator"``.
        name: Its tap.
        agreement: Of its U units with 1 + M concepts: the one asked for, then the shuffled ones.
        best: The unit that the half that chooses has first.
        iou: Of this unit on the other half, with its interval over images.
        precision: Average precision of this unit there.
        shuffled_precision: (M,) that of the units that come first for the shuffled concepts.
        random_precision: That of units drawn at random.
    """

    network: str
    name: str
    agreement: Agreement
    best: int
    iou: Interval
    precision: Interval
    shuffled_precision: list[float]
    random_precision: list[float]

    @property
    def random_iou(self) -> list[float]:
        """(U,) intersection over union of every unit: what one drawn at random has."""
        measured: list[float] = self.agreement.measured[:, 0].tolist()
        return measured

    @property
    def shuffles(self) -> range:
        """The numbers of the shuffled concepts."""
        return range(1, self.agreement.chosen.shape[1])

    def chosen(self, concept: int = 0) -> float:
        """Return how well the best unit agrees on the half that chooses."""
        return float(self.agreement.chosen[:, concept].max())

    def measured(self, concept: int = 0) -> float:
        """Return how well the unit that the half that chooses has first agrees on the other half."""
        return float(self.agreement.measured[self.agreement.ranked(concept)[0], concept])


def dissect_layer(
    network: str, name: str, values: Tensor, concepts: Tensor, choosing: Tensor, rng: np.random.Generator
) -> Layer:
    """Return how well the units of a layer agree with a concept.

    Args:
        network: Whose layer.
        name: Its tap.
        values: (U, N, P) activations at P places of N images.
        concepts: (1 + M, N, P) the concept, and the same of other images.
        choosing: (N,) which images choose thresholds and units.
        rng: Draws units and resamples images.
    """
    units = agreement(values, concepts, choosing)
    best, theirs, there = units.ranked()[0], values[:, ~choosing], concepts[:, ~choosing]
    active = theirs[best] > units.thresholds[best, 0]
    both, either = ((active & there[0]).sum(1).numpy(), (active | there[0]).sum(1).numpy())
    drawn: Sequence[int] = rng.permutation(len(values))[:_COMPARED].tolist()
    return Layer(
        network,
        name,
        units,
        best,
        interval_over_images(both, either, rng),
        average_precision(theirs[best], there[0], rng),
        [
            average_precision(theirs[units.ranked(concept)[0]], there[concept])[0]
            for concept in range(1, len(concepts))
            if there[concept].any()
        ],
        [average_precision(theirs[unit], there[0])[0] for unit in drawn],
    )


def best_layer(layers: Sequence[Layer], network: str, concept: int = 0) -> Layer | None:
    """Return the layer of a network with the unit that agrees best on the half that chooses; None: it has none."""
    of_network = [layer for layer in layers if layer.network == network]
    return max(of_network, key=lambda layer: layer.chosen(concept), default=None)
