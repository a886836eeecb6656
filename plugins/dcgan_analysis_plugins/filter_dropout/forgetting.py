"""Drawing the same samples with and without feature maps of the generator, and what that does to an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.core.resampling import percentile_interval
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis_plugins.filter_dropout.objects import draw_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis.annotations import Boxes
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis_plugins.filter_dropout.objects import Detector, Positions

__all__ = [
    "CHOSEN",
    "NEGATIVE",
    "RANDOM",
    "Forgetful",
    "Orders",
    "Scene",
    "Shares",
    "boxed_scene",
    "chosen_layer",
    "measure_changes",
    "measure_shares",
    "new_scene",
    "removed",
    "weakest_and_strongest",
]

CHOSEN, RANDOM, NEGATIVE = "weight > 0", "random maps", "weight < 0"
Orders = Mapping[str, Sequence["NDArray[np.int64]"]]
"""Kind of dropping -> in which order maps are dropped, one array for each draw."""
_RESAMPLES = 1000


@dataclass(frozen=True)
class Scene:
    """Samples to draw again and again.

    Attributes:
        z: (N, Z).
        labels: (N,) classes, or None.
        boxes: Boxes of each sample in pixels; empty for new samples.
    """

    z: Tensor
    labels: Tensor | None
    boxes: Sequence[Sequence[tuple[float, float, float, float]]] = ()


@dataclass(frozen=True)
class Forgetful:
    """A generator some of whose maps can be dropped while it draws.

    Attributes:
        context: Device and progress.
        sampler: Draws with its generator.
        layer: Whose maps are dropped.
    """

    context: RunContext
    sampler: Sampler
    layer: str

    def draw(self, scene: Scene, maps: Sequence[int] = ()) -> Tensor:
        """Return the samples (N, C, H, W) of a scene, drawn without some maps."""
        from dcgan_analysis.models.dropping import drop_maps

        with drop_maps(self.sampler.generator, {self.layer: maps}):
            return self.sampler.images(scene.z, scene.labels)

    def share(self, scene: Scene, detector: Detector, maps: Sequence[int] = ()) -> NDArray[np.float64]:
        """Return the share (N,) of each sample that shows the object."""
        from dcgan_analysis.checkpoints.sampling import BATCH

        images, parts = self.draw(scene, maps), []
        for start in range(0, len(images), BATCH):
            labels = None if scene.labels is None else scene.labels[start : start + BATCH]
            parts.append(detector.share(images[start : start + BATCH], labels))
        return np.concatenate(parts)

    def change(
        self, scene: Scene, images: Tensor, maps: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean change of pixels (N,) in and outside of boxes, as a fraction of the image range."""
        from dcgan_analysis.annotations.cells import cells_inside

        low, high = self.context.checkpoint.metadata.image_range
        moved = (self.draw(scene, maps) - images).abs().mean(dim=1).cpu().numpy() / (high - low)
        size = moved.shape[1:]
        masks = np.stack([cells_inside(boxes, size, size) for boxes in scene.boxes])
        inside, outside = ((moved * part).sum(axis=(1, 2)) / part.sum(axis=(1, 2)).clip(1) for part in (masks, ~masks))
        return inside, outside

    def positions(self, scene: Scene, negatives: float) -> tuple[Positions, NDArray[np.float32]]:
        """Return positions in and outside of boxes and their activations (P, maps).

        Raises:
            AnalysisError: If the layer's output has no positions.
        """
        from dcgan_analysis.models.hooks import capture

        size = self.context.checkpoint.architecture.image_shape[1:]
        with capture(self.sampler.generator, [self.layer]) as outputs:
            batches = (outputs[self.layer] for _ in self.sampler.batches(scene.z, scene.labels))
            first = next(batches)
            if first.dim() != 4:
                msg = f"Layer '{self.layer}' has no maps, its output is {tuple(first.shape[1:])}. Choose another."
                raise AnalysisError(msg)
            grid = (first.shape[2], first.shape[3])
            positions = draw_positions(scene.boxes, grid, size, negatives, self.context.rng("outside"))
            found, start = [], 0
            for maps in chain([first], batches):
                found.append(positions.gather(maps, start))
                start += len(maps)
        return positions, np.concatenate(found)


def boxed_scene(context: RunContext, boxes: Boxes) -> Scene:
    """Return the samples that have boxes.

    Raises:
        AnalysisError: If they are fewer than two.
    """
    from dcgan_analysis.checkpoints.sampling import class_labels

    by_sample = boxes.by_sample()
    if len(by_sample) < 2:
        msg = f"There are boxes of '{boxes.object}' on {len(by_sample)} samples; at least two are needed. Draw more."
        raise AnalysisError(msg)
    indices = list(by_sample)
    labels = class_labels(context.checkpoint.architecture, indices, boxes.label)
    z = context.checkpoint.latents(max(indices) + 1, boxes.seed)[indices]
    return Scene(z, labels, list(by_sample.values()))


def new_scene(context: RunContext, n: int, label: int | None) -> Scene:
    """Return samples that nobody has looked at."""
    from dcgan_analysis.checkpoints.sampling import class_labels

    n = n if context.limit is None else min(n, max(context.limit, 2))
    seed = int(context.rng("new samples").integers(2**31))
    context.note(f"New samples: {n} latent vectors of seed {seed}, the same for every set of dropped maps.")
    labels = class_labels(context.checkpoint.architecture, range(n), label)
    return Scene(context.checkpoint.latents(n, seed), labels)


def chosen_layer(context: RunContext, layer: str | None) -> str:
    """Return the layer to work on.

    Raises:
        AnalysisError: If none is given and the generator has no second-highest convolution.
    """
    from dcgan_analysis.models.dropping import map_layers, second_highest

    table = context.checkpoint.architecture.generator_layers
    found = layer or second_highest(table)
    if found is None:
        known = ", ".join(map_layers(table)) or "none known"
        msg = (
            f"The generator of '{context.checkpoint.name}' has no two convolutional layers. "
            f"Choose one with maps: --set layer=NAME (layers with maps: {known})"
        )
        raise AnalysisError(msg)
    return found


def weakest_and_strongest(weights: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the maps of positive weight, largest first, and those of negative weight, most negative first.

    Example:
        >>> [part.tolist() for part in weakest_and_strongest(np.array([0.5, -1.0, 0.0, 2.0, -3.0]))]
        [[3, 0], [4, 1]]
    """
    order = np.argsort(-weights, kind="stable")
    return order[weights[order] > 0], order[::-1][weights[order[::-1]] < 0]


def removed(
    before: NDArray[np.float64], after: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return which share of the object is gone: 1 - sum(after) / sum(before), with its 95 % bootstrap interval.

    Args:
        before: (N,) share of each sample that shows the object.
        after: (N,) the same for the same latent vectors with maps dropped. More than before gives a negative value.
        rng: Draws samples with replacement.

    Example:
        >>> removed(np.array([0.4, 0.4]), np.array([0.1, 0.1]), np.random.default_rng(0))
        (0.75, 0.75, 0.75)
    """
    drawn = rng.integers(len(before), size=(_RESAMPLES, len(before)))
    sums = before[drawn].sum(axis=1)
    values = 1 - after[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    value = float(1 - after.sum() / before.sum())
    return value, *percentile_interval(value, values)


@dataclass(frozen=True)
class Shares:
    """Share of each new sample (N,) that shows the object, by what was dropped.

    Attributes:
        before: With all maps.
        by_dose: Kind -> number of maps -> one array for each draw; a single one where nothing is drawn.
    """

    before: NDArray[np.float64]
    by_dose: Mapping[str, Mapping[int, list[NDArray[np.float64]]]]

    def removed(self, kind: str, count: int) -> list[float]:
        """Return which share of the object is gone, for each draw."""
        return [1 - float(after.sum() / self.before.sum()) for after in self.by_dose[kind][count]]

    def maps_to_halve(self, kind: str) -> int | None:
        """Return the smallest dose that takes half of the object away, mean over draws; None: no dose does."""
        doses = (dose for dose in sorted(self.by_dose[kind]) if np.mean(self.removed(kind, dose)) >= 0.5)
        return next(doses, None)


def measure_shares(forgetful: Forgetful, scene: Scene, detector: Detector, orders: Orders, doses: int) -> Shares:
    """Draw the new samples at every dose of every order and let the detector look at them."""
    most = len(orders[CHOSEN][0])
    counts = np.unique(np.linspace(0, most, doses + 1).round().astype(int))[1:].tolist()
    before = forgetful.share(scene, detector)
    if not before.any():
        msg = f"The detector finds the object in none of {len(before)} new samples. Draw more: --set samples=N"
        raise AnalysisError(msg)
    found: dict[str, dict[int, list[NDArray[np.float64]]]] = {kind: {} for kind in orders}
    # Fewer maps may have negative weights than positive ones; their last dose is then all of them.
    work = [(kind, min(count, len(order)), order) for kind in orders for order in orders[kind] for count in counts]
    for done, (kind, count, order) in enumerate(work, 1):
        if kind == RANDOM or count not in found[kind]:
            share = forgetful.share(scene, detector, order[:count].tolist()) if count else before
            found[kind].setdefault(count, []).append(share)
        forgetful.context.progress("maps dropped", done, len(work))
    return Shares(before, found)


def measure_changes(
    forgetful: Forgetful, scene: Scene, images: Tensor, orders: Orders
) -> dict[str, tuple[float, float]]:
    """Return the mean change of pixels in and outside of boxes for each kind, all maps of its order dropped."""
    found = {}
    for kind, drawn in orders.items():
        changes = [forgetful.change(scene, images, order.tolist()) for order in drawn]
        inside, outside = (float(np.mean([change[part] for change in changes])) for part in (0, 1))
        found[kind] = (inside, outside)
    return found
