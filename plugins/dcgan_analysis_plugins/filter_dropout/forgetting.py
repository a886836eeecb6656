"""The same samples with and without feature maps of the generator, and what that does to an object.

Measures first, then the figures and tables that show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis import figures
from dcgan_analysis.annotations.cells import cells_inside
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.checkpoints.sampling import BATCH, as_bytes, class_labels
from dcgan_analysis.core.statistics import percentile_interval, spread_interval
from dcgan_analysis.errors import AnalysisError, unknown_name
from dcgan_analysis.models.hooks import capture, drop_maps
from dcgan_analysis.models.tracing import trace_role
from dcgan_analysis_plugins.filter_dropout.marks import cut_out, framed
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
    "AblatedGenerator",
    "Orders",
    "Scene",
    "Shares",
    "boxed_scene",
    "chosen_layer",
    "dose_figure",
    "measure_changes",
    "measure_shares",
    "new_scene",
    "outcome_table",
    "removed",
    "sample_figures",
    "weakest_and_strongest",
    "weights_table",
]

CHOSEN, RANDOM, NEGATIVE = "weight > 0", "random maps", "weight < 0"
Orders = Mapping[str, Sequence["NDArray[np.int64]"]]
"""Kind of dropping -> in which order maps are dropped, one array for each draw."""
_RESAMPLES = 1000
_SHOWN = 12  # columns of the figures


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
class AblatedGenerator:
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
        with drop_maps(self.sampler.generator, {self.layer: maps}):
            return self.sampler.images(scene.z, scene.labels)

    def share(self, scene: Scene, detector: Detector, maps: Sequence[int] = ()) -> NDArray[np.float64]:
        """Return the share (N,) of each sample that shows the object."""
        images, parts = self.draw(scene, maps), []
        for start in range(0, len(images), BATCH):
            labels = None if scene.labels is None else scene.labels[start : start + BATCH]
            parts.append(detector.share(images[start : start + BATCH], labels))
        return np.concatenate(parts)

    def change(
        self, scene: Scene, images: Tensor, maps: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean change of pixels (N,) in and outside of boxes, as a fraction of the image range."""
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
    n = n if context.limit is None else min(n, max(context.limit, 2))
    seed = int(context.rng("new samples").integers(2**31))
    context.note(f"New samples: {n} latent vectors of seed {seed}, the same for every set of dropped maps.")
    labels = class_labels(context.checkpoint.architecture, range(n), label)
    return Scene(context.checkpoint.latents(n, seed), labels)


def chosen_layer(context: RunContext, layer: str | None) -> str:
    """Return the layer to work on.

    Raises:
        AnalysisError: If none is given and the generator has no second-highest convolution.
        UnknownNameError: If the generator has no layer of this name.
    """
    checkpoint = context.checkpoint
    generator = checkpoint.generator()
    if layer is not None and layer in dict(generator.named_modules()):
        return layer
    traced = trace_role(generator, checkpoint.architecture, "generator")
    if layer is not None:
        error = unknown_name("generator layer", layer, traced.map_taps)
        raise error
    if traced.second_highest is None:
        msg = (
            f"The generator of '{checkpoint.name}' has no two convolutional layers. Choose one with maps by the "
            f"setting layer=NAME (layers with maps: {', '.join(traced.map_taps) or 'none known'})."
        )
        raise AnalysisError(msg)
    return traced.second_highest


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


def measure_shares(generator: AblatedGenerator, scene: Scene, detector: Detector, orders: Orders, doses: int) -> Shares:
    """Draw the new samples at every dose of every order and let the detector look at them."""
    most = len(orders[CHOSEN][0])
    counts = np.unique(np.linspace(0, most, doses + 1).round().astype(int))[1:].tolist()
    before = generator.share(scene, detector)
    if not before.any():
        msg = f"The detector finds the object in none of {len(before)} new samples. Draw more: --set samples=N"
        raise AnalysisError(msg)
    found: dict[str, dict[int, list[NDArray[np.float64]]]] = {kind: {} for kind in orders}
    # Fewer maps may have negative weights than positive ones; their last dose is then all of them.
    work = [(kind, min(count, len(order)), order) for kind in orders for order in orders[kind] for count in counts]
    for done, (kind, count, order) in enumerate(work, 1):
        if kind == RANDOM or count not in found[kind]:
            share = generator.share(scene, detector, order[:count].tolist()) if count else before
            found[kind].setdefault(count, []).append(share)
        generator.context.progress("maps dropped", done, len(work))
    return Shares(before, found)


def measure_changes(
    generator: AblatedGenerator, scene: Scene, images: Tensor, orders: Orders
) -> dict[str, tuple[float, float]]:
    """Return the mean change of pixels in and outside of boxes for each kind, all maps of its order dropped."""
    found = {}
    for kind, drawn in orders.items():
        changes = [generator.change(scene, images, order.tolist()) for order in drawn]
        inside, outside = (float(np.mean([change[part] for change in changes])) for part in (0, 1))
        found[kind] = (inside, outside)
    return found


def dose_figure(context: RunContext, shares: Shares, most: int) -> None:
    """Draw the share of the object that is left against the number of maps dropped."""
    series, whole = {}, float(shares.before.mean())
    for kind in (CHOSEN, RANDOM, NEGATIVE):
        doses = shares.by_dose[kind]
        spread = [spread_interval([float(np.mean(share)) for share in doses[dose]]) for dose in doses]
        mean, low, high = ([whole, *part] for part in zip(*spread, strict=True))
        drawn = kind == RANDOM
        series[kind] = figures.Series(
            [0, *doses], mean, [max(0.0, end) for end in low] if drawn else None, high if drawn else None
        )
    figure = figures.curve(
        series, x_label="maps dropped", y_label="positions that show the object, new samples", log_x=False
    )
    context.save_figure(
        figure,
        "dose",
        "What each further map takes away",
        f"Maps of positive weight, largest first, {most} in all; band: 1.96 standard deviations over random draws.",
    )


def sample_figures(
    context: RunContext, generator: AblatedGenerator, boxed: Scene, new: Scene, shares: Shares, orders: Orders
) -> None:
    """Draw new samples with and without the maps, what stood in the boxes and what stands there now, and the boxes."""
    drops = ((), orders[CHOSEN][0].tolist(), orders[RANDOM][0].tolist())
    shown = np.argsort(-shares.before, kind="stable")[: 2 * _SHOWN]
    rows = [as_bytes(context.checkpoint, generator.draw(new, maps)[shown]) for maps in drops]
    blocks = [row[start : start + _SHOWN] for start in range(0, len(shown), _SHOWN) for row in rows]
    context.save_figure(
        figures.image_grid(np.concatenate(blocks), len(blocks[0])),
        "new-samples",
        "New samples: with all maps, without those of the object, without as many random ones",
        "Rows of three; the same latent vectors in each column. Those in which the detector saw most of the object.",
    )
    before, after, control = (as_bytes(context.checkpoint, generator.draw(boxed, maps)) for maps in drops)
    places = [(row, box) for row, boxes in enumerate(boxed.boxes) for box in boxes][: 2 * _SHOWN]
    cuts = [[cut_out(images[row], box) for row, box in places] for images in (before, after, control)]
    blocks = [np.stack(cut[start : start + _SHOWN]) for start in range(0, len(places), _SHOWN) for cut in cuts]
    context.save_figure(
        figures.image_grid(np.concatenate(blocks), len(blocks[0]), scale=2),
        "replaced",
        "What replaced the object: the boxes before, after, and without as many random maps",
        "Rows of three; each column is one box with half its size around it.",
    )
    framed_samples = [framed(image, boxes) for image, boxes in zip(before, boxed.boxes, strict=True)]
    context.save_figure(
        figures.image_grid(np.stack(framed_samples[: 2 * _SHOWN]), _SHOWN, scale=1),
        "boxes",
        "The boxes",
        f"The first of {len(before)} samples that have boxes.",
    )


def outcome_table(shares: Shares, orders: Orders, changes: Mapping[str, tuple[float, float]]) -> Table:
    """Return what each kind of dropping did."""
    rows: list[list[Cell]] = []
    for kind, drawn in orders.items():
        count = len(drawn[0])
        left = float(np.mean(shares.by_dose[kind][count])) if count else float(shares.before.mean())
        gone = float(np.mean(shares.removed(kind, count)))
        rows.append([kind, count, float(shares.before.mean()), left, gone, *changes[kind]])
    columns = ["dropped", "maps", "before", "after", "removed", "changed inside", "outside"]
    return Table(
        name="dropping",
        title="Maps dropped and the object",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Before, after: positions of new samples that show the object. Changed: pixels of the boxed samples, in "
        "and outside of the boxes, as a share of their range. Random maps: mean over draws.",
    )


def weights_table(weights: NDArray[np.float64]) -> Table:
    """Return the maps that speak most for and against the object."""
    strongest, weakest = weakest_and_strongest(weights)
    rows: list[list[Cell]] = [
        ["for" if weights[number] > 0 else "against", int(number), float(weights[number])]
        for number in (*strongest[:5], *weakest[:5])
    ]
    return Table(
        name="weights", title="Maps that speak for and against the object", columns=["", "map", "weight"], rows=rows
    )
