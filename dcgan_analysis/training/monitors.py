"""Failures of GAN training detected from numbers; each warning names its evidence.

    collapse       samples of different latent vectors are alike (mode collapse)
    filters        maps of a generator layer that no longer depend on the latent vector, or never fire: the
                   instability of arXiv 1511.06434, section 7, "a subset of filters [collapse] to a single oscillating
                   mode"
    saturation     the discriminator is never wrong: the generator's gradient vanishes
    standstill     the discriminator's output is one half for every image: the generator has no gradient

Statistics are of the generator in training mode on 64 fixed latent vectors. NaN stops the training; the trainer checks
for it every few steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

# A healthy DCGAN's samples lie nearly as far apart as real images do; half of it is far below any of them.
_LEAST_SPREAD = 0.5
# Few kinds of samples: that next to one is far nearer than real images come to each other. Of the eight shipped
# networks it is 0.9 to 1.3 times as far; of a conditional one that knew two or three pictures of each class, 0.2.
_LEAST_NEAREST = 0.4
# Share of a map's variance that comes from the latent vector, below which the map is a fixed picture.
_FIXED = 0.02
# How far a fixed picture moves between two readings, in its own standard deviations, to be called oscillating.
_MOVED = 0.5
_MOST_COLLAPSED = 0.1
_SATURATED = 0.97
_STANDSTILL = 0.01
_EARLY = 500  # steps: no warnings before


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


@dataclass
class Reading:
    """Numbers and warnings of the monitors at the end of an interval.

    Attributes:
        numbers: Name -> value, for history and curves.
        warnings: One line each, with its evidence.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Monitors:
    """Monitors a training at the end of each interval; keeps the layers' mean pictures.

    Args:
        real: Real images (M, C, H, W) to compare samples with.
    """

    def __init__(self, real: Tensor) -> None:
        self._real = real
        self.pictures: dict[str, Tensor] = {}
        """Mean pictures (C, H, W) by layer at the last reading: part of the state of a training."""

    def read(
        self, step: int, means: Mapping[str, float], samples: Tensor, activations: Mapping[str, Tensor]
    ) -> Reading:
        """Return the numbers and warnings of an interval.

        Args:
            step: Steps done; numbers are read from the first on, warnings begin after 500.
            means: ``real_probability`` and ``fake_probability``, means over the interval.
            samples: Images (N, C, H, W) of the fixed latent vectors.
            activations: Outputs of the generator's hidden layers for them, by layer; others than (N, C, H, W) are
                left out.
        """
        reading = Reading()
        self._read_diversity(reading, samples)
        self._read_filters(reading, activations)
        self._read_probabilities(reading, means["real_probability"], means["fake_probability"])
        if step < _EARLY:
            reading.warnings.clear()
        return reading

    def _read_diversity(self, reading: Reading, samples: Tensor) -> None:
        spread, nearest = diversity(samples, self._real)
        reading.numbers |= {"diversity": spread, "nearest_sample": nearest}
        evidence = (
            f"{len(samples)} samples lie {spread:.2f} times as far apart as real images, and the nearest other "
            f"{nearest:.2f} times"
        )
        if spread < _LEAST_SPREAD or nearest < _LEAST_NEAREST:
            reading.warnings.append(
                f"Mode collapse: {evidence} (warned below {_LEAST_SPREAD:g} and {_LEAST_NEAREST:g})."
            )

    def _read_filters(self, reading: Reading, activations: Mapping[str, Tensor]) -> None:
        worst = 0.0
        for layer, values in activations.items():
            if values.dim() != 4:  # a layer of units has no pictures
                continue
            health = filter_health(values, self.pictures.get(layer))
            self.pictures[layer] = map_means(values).cpu()
            worst = max(worst, health.collapsed)
            if health.collapsed > _MOST_COLLAPSED:
                reading.warnings.append(
                    f"Collapsing filters in the generator's '{layer}': of {health.maps} maps {health.dead} never "
                    f"change and {health.fixed} show one picture whatever the latent vector, {health.oscillating} of "
                    f"them another one than at the reading before (warned above {_MOST_COLLAPSED:.0%} of the maps)."
                )
        reading.numbers["collapsed_filters"] = worst

    def _read_probabilities(self, reading: Reading, real: float, fake: float) -> None:
        evidence = f"mean probability of being real {real:.3f} for real and {fake:.3f} for generated images"
        if real > _SATURATED and fake < 1 - _SATURATED:
            reading.warnings.append(
                f"Discriminator saturated: {evidence} (warned beyond {_SATURATED:g} and {1 - _SATURATED:.2f})."
            )
        elif abs(real - fake) < _STANDSTILL:
            reading.warnings.append(
                f"Discriminator at a standstill: {evidence} (warned below a difference of {_STANDSTILL:g})."
            )
