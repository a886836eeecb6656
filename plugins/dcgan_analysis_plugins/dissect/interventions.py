"""Units taken away and put in: what that does to an object, and elsewhere (Bau et al. 2019, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.annotations.cells import cells_inside, cells_touched
from dcgan_analysis.checkpoints.sampling import BATCH
from dcgan_analysis.models.hooks import capture, drop_maps, set_maps
from dcgan_analysis.units.changes import pixel_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dcgan_analysis.annotations.cells import Box
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.units.boxed import Scene
    from dcgan_analysis_plugins.dissect.scenes import Sight

__all__ = [
    "Intervention",
    "Levels",
    "insert",
    "levels_of",
    "matched_units",
    "paint",
    "places_without",
    "remove",
    "walk_activity",
]

_NEAREST = 3
_TRIES = 50


@dataclass(frozen=True)
class Levels:
    """How active the units of a layer are.

    Attributes:
        mean: (U,) mean over all places.
        high: (U,) mean over the places where the unit is most active, as many as show the object.
    """

    mean: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Intervention:
    """Samples before and after units were changed.

    Attributes:
        before: (J, N) share of the places that show the object to each judge.
        after: (J, N) the same with the units changed.
        inside: (N,) mean change of pixels at these places, as a fraction of the image range.
        outside: (N,) the same elsewhere.
        images: (N, C, H, W) after.
    """

    before: np.ndarray
    after: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    images: Tensor


def levels_of(values: Tensor, share: float) -> Levels:
    """Return how active units are.

    Args:
        values: (U, P) activations at all places of some images.
        share: Share of the places that show the object.
    """
    most = max(1, round(share * values.shape[1]))
    return Levels(values.mean(1).numpy(), values.topk(most, dim=1).values.mean(1).numpy())


def matched_units(levels: Levels, chosen: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Draw as many other units, each one of the three whose activation is nearest to a chosen one's, where there are.

    Example:
        >>> levels = Levels(np.array([1.0, 5.0, 1.1, 5.2, 9.0]), np.zeros(5))
        >>> sorted(matched_units(levels, [0, 1], np.random.default_rng(0))) != [0, 1]
        True
    """
    free = [unit for unit in range(len(levels.mean)) if unit not in set(chosen)]
    drawn: list[int] = []
    for unit in rng.permutation(np.asarray(chosen))[: len(free)]:
        nearest = sorted(free, key=lambda other: abs(levels.mean[other] - levels.mean[unit]))[:_NEAREST]
        drawn.append(int(rng.choice(nearest)))
        free.remove(drawn[-1])
    return drawn


def remove(
    sampler: Sampler, layer: str, units: Sequence[int], scene: Scene, plain: Tensor, sight: Sight
) -> Intervention:
    """Set units to zero everywhere, and look at the boxes of a scene.

    Args:
        sampler: Draws the samples.
        layer: Of the generator.
        units: Which.
        scene: Samples with boxes.
        plain: (N, C, H, W) the samples as they are.
        sight: Says where the object is.
    """
    with drop_maps(sampler.generator, {layer: units}):
        images = sampler.images(scene.z, scene.labels)
    return _compared(sampler, scene, plain, images, scene.boxes, sight)


def insert(
    sampler: Sampler,
    layer: str,
    levels: Mapping[int, Tensor],
    scene: Scene,
    places: Sequence[Box],
    plain: Tensor,
    sight: Sight,
) -> Intervention:
    """Set units to given levels within one place of each sample, and look there.

    Args:
        sampler: Draws the samples.
        layer: Of the generator.
        levels: Unit -> what it is set to, one number or a map of the layer's height and width.
        scene: Samples.
        places: One box (x, y, width, height) for each, in pixels.
        plain: (N, C, H, W) the samples as they are.
        sight: Says where the object is.
    """
    size = sampler.checkpoint.architecture.image_shape[1:]
    parts = []
    for start in range(0, len(scene.z), BATCH):
        rows = slice(start, start + BATCH)
        with set_maps(sampler.generator, layer, levels, partial(_masks, places[rows], size)):
            parts.append(sampler.images(scene.z[rows], None if scene.labels is None else scene.labels[rows]))
    return _compared(sampler, scene, plain, torch.cat(parts), [[place] for place in places], sight)


def paint(
    sampler: Sampler,
    scene: Scene,
    boxes: Sequence[Sequence[Box]],
    plain: Tensor,
    changed: Tensor,
    sight: Sight,
) -> Intervention:
    """Give each channel of the places in boxes the mean change that units made there, and look: colour without shape.

    Args:
        sampler: Knows the image range.
        scene: Samples.
        boxes: The places of each.
        plain: (N, C, H, W) the samples as they are.
        changed: (N, C, H, W) the samples with units changed.
        sight: Says where the object is.
    """
    size = (plain.shape[2], plain.shape[3])
    where = torch.from_numpy(np.stack([cells_inside(of_sample, size, size) for of_sample in boxes])[:, None]).to(plain)
    change = ((changed - plain) * where).sum((2, 3), keepdim=True) / where.sum((2, 3), keepdim=True).clamp_min(1)
    painted = (plain + change * where).clamp(*sampler.checkpoint.metadata.image_range)
    return _compared(sampler, scene, plain, painted, boxes, sight)


def _masks(places: Sequence[Box], size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    return torch.from_numpy(np.stack([cells_inside([place], grid, size) for place in places]))


def _compared(
    sampler: Sampler,
    scene: Scene,
    plain: Tensor,
    images: Tensor,
    boxes: Sequence[Sequence[Box]],
    sight: Sight,
) -> Intervention:
    inside, outside = pixel_changes(plain, images, boxes, sampler.checkpoint.metadata.image_range)
    size = (images.shape[2], images.shape[3])
    cells = np.stack([cells_inside(of_sample, sight.grid, size) for of_sample in boxes])
    before, after = (
        (_seen(sight, page, scene.labels) * cells).sum(axis=(2, 3)) / cells.sum(axis=(1, 2)) for page in (plain, images)
    )
    return Intervention(before, after, inside, outside, images)


def _seen(sight: Sight, images: Tensor, labels: Tensor | None) -> np.ndarray:
    """Return which places of images show the object to each judge, (J, N, h, w)."""
    seen: np.ndarray = sight.seen(images, labels).transpose(0, 1).cpu().numpy()
    return seen


def places_without(
    boxes: Sequence[Sequence[Box]],
    sizes: Sequence[tuple[float, float]],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> list[Box]:
    """Draw a place for an object in each sample, clear of those that are there; the clearest where there is no room.

    Args:
        boxes: The boxes of each sample.
        sizes: Width and height of boxes to draw from.
        size: Height and width of the image.
        rng: Draws.
    """
    height, width = size
    places = []
    for of_sample in boxes:
        w, h = sizes[int(rng.integers(len(sizes)))]
        taken = cells_touched(of_sample, size, size)
        tried = [(float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h)), w, h) for _ in range(_TRIES)]
        overlaps = [int((taken & cells_touched([place], size, size)).sum()) for place in tried]
        places.append(tried[int(np.argmin(overlaps))])
    return places


def walk_activity(
    sampler: Sampler, layer: str, points: Tensor, labels: Tensor | None, sight: Sight
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Draw a walk, and see where the object comes and goes.

    Args:
        sampler: Draws it.
        layer: Whose units are looked at.
        points: Latent vectors of the walk (T, Z).
        labels: (T,) or None.
        sight: Says where the object is.

    Returns:
        Images (T, C, H, W); the share of each that shows the object, mean of the judges, (T,); how active each unit is
        on the mean over places, (T, U).
    """
    active, images = [], []
    with capture(sampler.generator, [layer]) as outputs:
        for batch in sampler.batches(points, labels):
            images.append(batch)
            active.append(outputs[layer].float().mean(dim=(2, 3)).cpu())
    page = torch.cat(images)
    shown = _seen(sight, page, labels).mean(axis=(0, 2, 3))
    return page, shown, torch.cat(active).numpy()
