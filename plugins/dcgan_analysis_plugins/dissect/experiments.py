"""Units of one layer of the generator taken away, put in, and watched along walks, beside others as active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import class_labels
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.latents.interpolation import walk
from dcgan_analysis_plugins.dissect.interventions import (
    Intervention,
    insert,
    levels_of,
    matched_units,
    paint,
    places_without,
    remove,
    walk_activity,
)
from dcgan_analysis_plugins.dissect.scenes import generator_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.analysis import DissectConfig
    from dcgan_analysis_plugins.dissect.scenes import Examined, Sight

__all__ = ["Experiments", "Walk", "change_units"]

_EIGHTH = 8
_STILL = 1e-9


@dataclass(frozen=True)
class Walk:
    """A walk in latent space.

    Attributes:
        images: (T, C, H, W).
        shown: (T,) share of each image that shows the object.
        active: (T,) activation of the units that were changed, relative to their mean.
    """

    images: Tensor
    shown: np.ndarray
    active: np.ndarray


@dataclass(frozen=True)
class Experiments:
    """What was done to the units of a layer.

    Attributes:
        layer: Which.
        units: Those that agree best with the object.
        activation: Mean activation of these units, then of each draw of others.
        seen_by: Who said whether the object is there, in words.
        boxed: Samples of the half that measures, with boxes.
        removals: Of these units, then of each draw of others.
        paled: The mean change of colour in boxes of the first of them, painted.
        free: Samples of the half that measures.
        places: Where units were put in, one box for each of them.
        insertions: Of these units, then of each draw of others.
        painted: The mean change of colour in the places of the first of them, painted.
        walks: In latent space.
        correlations: Name of a metric -> one value for each walk along which the object comes or goes.
    """

    layer: str
    units: list[int]
    activation: list[float]
    seen_by: str
    boxed: list[int]
    removals: list[Intervention]
    paled: Intervention
    free: list[int]
    places: list[tuple[float, float, float, float]]
    insertions: list[Intervention]
    painted: Intervention
    walks: list[Walk]
    correlations: dict[str, list[float]]


def change_units(
    context: RunContext,
    config: DissectConfig,
    sampler: Sampler,
    examined: Examined,
    sight: Sight,
    layers: Sequence[Layer],
    label: int | None,
) -> Experiments:
    """Take the units that agree best away, put them in, and watch them along walks.

    Args:
        context: The run.
        config: Its settings.
        sampler: Draws with the generator.
        examined: Samples with boxes.
        sight: Says where the object is.
        layers: What was measured of all units.
        label: Class of the samples, of a conditional generator; None: in turn.

    Raises:
        AnalysisError: If the layer has no other units, or the object is seen nowhere.
    """
    of_generator = [each for each in layers if each.network == "generator" and config.layer in (None, each.name)]
    layer = max(of_generator, key=lambda each: each.chosen())
    size = len(layer.random_iou)
    count = config.units or max(1, size // _EIGHTH)
    if 2 * count > size:
        msg = (
            f"units={count}: layer '{layer.name}' has {size} units, and as many others are changed as a control. "
            f"Choose at most {size // 2}, or another layer."
        )
        raise AnalysisError(msg)
    units = layer.agreement.ranked()[:count]
    boxed = examined.rows(choosing=False, boxed=True)
    share = float(examined.masks[examined.choosing].double().mean())
    maps = generator_maps(sampler, examined.scene, layer.name)
    levels = levels_of(maps.transpose(0, 1).flatten(1), share)
    kinds = [units, *(matched_units(levels, units, context.rng("others", str(draw))) for draw in range(config.draws))]
    with_boxes = examined.scene.take(boxed)
    removals = [remove(sampler, layer.name, kind, with_boxes, examined.images[boxed], sight) for kind in kinds]
    if not removals[0].before.any():
        msg = f"'{examined.object}' is seen in none of the samples of the half that measures. Draw more boxes."
        raise AnalysisError(msg)
    free = examined.rows(choosing=False, boxed=False if examined.whole else None)
    scene, places = examined.scene.take(free), _places(context, examined, free)
    # All over an image one level would leave nothing of it: units of an attribute get their usual maps.
    usual = (
        maps[examined.rows(choosing=True, boxed=True)].mean(dim=0) if examined.whole else torch.from_numpy(levels.high)
    )
    high = [{unit: usual[unit] for unit in kind} for kind in kinds]
    insertions = [insert(sampler, layer.name, of_kind, scene, places, examined.images[free], sight) for of_kind in high]
    marked = [[place] for place in places]
    walks, correlations = _walked(context, config, sampler, layer.name, kinds, sight, label)
    return Experiments(
        layer=layer.name,
        units=units,
        activation=[float(levels.mean[kind].mean()) for kind in kinds],
        seen_by=sight.kind,
        boxed=boxed,
        removals=removals,
        paled=paint(sampler, with_boxes, with_boxes.boxes, examined.images[boxed], removals[0].images, sight),
        free=free,
        places=places,
        insertions=insertions,
        painted=paint(sampler, scene, marked, examined.images[free], insertions[0].images, sight),
        walks=walks,
        correlations=correlations,
    )


def _places(context: RunContext, examined: Examined, rows: Sequence[int]) -> list[tuple[float, float, float, float]]:
    """Draw a place without the object in each sample, as large as a box of the half that chooses."""
    sizes = [(box[2], box[3]) for row in examined.rows(choosing=True, boxed=True) for box in examined.scene.boxes[row]]
    height, width = context.checkpoint.architecture.image_shape[1:]
    return places_without([examined.scene.boxes[row] for row in rows], sizes, (height, width), context.rng("places"))


def _walked(
    context: RunContext,
    config: DissectConfig,
    sampler: Sampler,
    layer: str,
    kinds: Sequence[Sequence[int]],
    sight: Sight,
    label: int | None,
) -> tuple[list[Walk], dict[str, list[float]]]:
    """Walk, and correlate the activation of units with the share of the image that shows the object."""
    architecture = context.checkpoint.architecture
    seed = int(context.rng("walks").integers(2**31))
    ends = context.checkpoint.latents(2 * config.walks, seed).view(config.walks, 2, -1)
    walks: list[Walk] = []
    correlations: dict[str, list[float]] = {"walk_correlation": [], "walk_correlation_random": []}
    for number, pair in enumerate(ends):
        points = walk(pair, config.steps)
        labels = class_labels(architecture, [number] * len(points), label if architecture.classes else None)
        images, shown, active = walk_activity(sampler, layer, points, labels, sight)
        relative = active / np.maximum(np.abs(active.mean(axis=0)), _STILL)
        walks.append(Walk(images, shown, relative[:, list(kinds[0])].mean(axis=1)))
        context.progress("walks", number + 1, config.walks)
        if shown.std() > _STILL:
            of_kinds = [_correlation(relative[:, list(kind)].mean(axis=1), shown) for kind in kinds]
            correlations["walk_correlation"].append(of_kinds[0])
            correlations["walk_correlation_random"].append(float(np.mean(of_kinds[1:])))
    return walks, correlations


def _correlation(active: np.ndarray, shown: np.ndarray) -> float:
    return 0.0 if active.std() <= _STILL else float(np.corrcoef(active, shown)[0, 1])
