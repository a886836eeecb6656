"""Measurements at the end of an interval by which failures of GAN training are told; ``failures`` judges them.

Statistics are of the generator in training mode on 64 fixed latent vectors. NaN stops the training; the trainer checks
for it every few steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.training.patch_distance import patch_distance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

# Share of a map's variance that comes from the latent vector, below which the map is a fixed picture.
_FIXED = 0.02
# How far a fixed picture moves between two readings, in its own standard deviations, to be called oscillating.
_MOVED = 0.5


def diversity(samples: Tensor, real: Tensor) -> tuple[float, float]:
    """Compare how far generated images lie apart with real ones.

    Args:
        samples: Generated images (N, ...), N at least 2.
        real: Real images (M, ...), M at least 2, in the same range.

    Returns:
        Mean distance between two samples over that between two real images (below 1: less diverse as a whole), and
        the median distance from a sample to the nearest other, over that of real images (near 0: copies, though there
        may be several kinds). Euclidean distances of pixels; 0 where the real images are all alike.
    """
    spread, nearest = _distances(samples)
    real_spread, real_nearest = _distances(real)
    return spread / real_spread if real_spread else 0.0, nearest / real_nearest if real_nearest else 0.0


def _distances(images: Tensor) -> tuple[float, float]:
    flat = images.detach().flatten(1).double().cpu()
    distance = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    n = len(distance)
    others = distance.masked_fill(torch.eye(n, dtype=torch.bool), torch.inf)
    return float(distance.sum()) / (n * (n - 1)), float(others.min(1).values.median())


@dataclass(frozen=True)
class FilterHealth:
    """State of the maps of one layer.

    Attributes:
        maps: Number of maps.
        dead: Those that are constant: over samples and positions.
        fixed: Those that show the same picture whatever the latent vector.
        oscillating: Those of the fixed whose picture is another than at the reading before.
    """

    maps: int
    dead: int
    fixed: int
    oscillating: int

    @property
    def collapsed(self) -> float:
        """Share of the maps that carry nothing of the latent vector."""
        return (self.dead + self.fixed) / self.maps


def map_means(activations: Tensor) -> Tensor:
    """Return each map's mean picture over the samples, (C, H, W) of activations (N, C, H, W)."""
    return activations.detach().float().mean(0)


def filter_health(activations: Tensor, before: Tensor | None = None) -> FilterHealth:
    """Count the maps of a generator layer that no longer depend on the latent vector.

    A map's variance over samples and positions is that between samples at a position plus that of its mean picture over
    positions. Where the first is below 2 % of the sum, the map is a fixed picture: a single mode. Batch normalisation
    keeps the sum at one, so that a collapsed filter lives on as such a picture and does not die away. If the picture
    also moves from one reading to the next, by more than half its own standard deviation, the mode oscillates.

    Args:
        activations: (N, C, H, W) of N different latent vectors.
        before: Mean pictures (C, H, W) at the reading before, or None.
    """
    values = activations.detach().float()
    between = values.var(0, correction=0).mean((1, 2))
    picture = map_means(values)
    over_positions = picture.var((1, 2), correction=0)
    total = between + over_positions
    dead = total <= 1e-12  # constant up to rounding
    fixed = ~dead & (between < _FIXED * total)
    moved = torch.zeros_like(fixed)
    if before is not None:
        moved = (picture - before.to(picture)).square().mean((1, 2)) > _MOVED**2 * over_positions
    return FilterHealth(len(total), int(dead.sum()), int(fixed.sum()), int((fixed & moved).sum()))


class Monitors:
    """Monitors a training at the end of each interval; keeps the layers' mean pictures.

    Args:
        real: Real images (M, C, H, W) to compare samples with.
        others: Other draws of as many: their mean distance to the first is that of samples nothing is wrong with.
    """

    def __init__(self, real: Tensor, others: Sequence[Tensor]) -> None:
        self._real = real
        self._real_distance = sum(patch_distance(other, real) for other in others) / len(others)
        self.pictures: dict[str, Tensor] = {}
        """Mean pictures (C, H, W) by layer at the last reading: part of the state of a training."""

    def read(self, samples: Tensor, activations: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the numbers of an interval.

        Args:
            samples: Images (N, C, H, W) of the fixed latent vectors.
            activations: Outputs of the generator's hidden layers for them, by layer; others than (N, C, H, W) are
                left out: a layer of units has no pictures.

        Returns:
            ``diversity`` and ``nearest_sample``, see ``diversity``; ``sample_distance``, see ``patch_distance``, and
            ``real_distance``, that of other real images; ``filters``, the counts of ``FilterHealth`` by layer;
            ``collapsed_filters``, their share in the worst layer.
        """
        spread, nearest = diversity(samples, self._real)
        n = min(len(samples), len(self._real))
        health = {}
        for layer, values in activations.items():
            if values.dim() == 4:
                health[layer] = filter_health(values, self.pictures.get(layer))
                self.pictures[layer] = map_means(values).cpu()
        return {
            "diversity": spread,
            "nearest_sample": nearest,
            "sample_distance": patch_distance(samples[:n], self._real[:n]),
            "real_distance": self._real_distance,
            "collapsed_filters": max((layer.collapsed for layer in health.values()), default=0.0),
            "filters": {layer: asdict(counts) for layer, counts in health.items()},
        }
