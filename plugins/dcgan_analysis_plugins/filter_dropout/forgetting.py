"""The same samples with and without feature maps of the generator, and what that does to an object.

Measures first, then the figures and tables that show them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn import functional

from dcgan_analysis import figures
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.checkpoints.sampling import as_bytes
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.figures.marks import cut_out, framed
from dcgan_analysis.models.hooks import capture, drop_maps
from dcgan_analysis.units.boxed import Scene, boxed_scene, check_boxes, chosen_layer, find_boxes, new_scene
from dcgan_analysis.units.changes import pixel_changes
from dcgan_analysis.units.detector import draw_positions, make_detector, removed
from dcgan_analysis.units.hypercolumns import with_moments_of
from dcgan_analysis.units.positions import fit_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.units.detector import Detector, Positions

__all__ = [
    "BRIGHT",
    "CHOSEN",
    "NEGATIVE",
    "RANDOM",
    "AblatedGenerator",
    "Changes",
    "Dropped",
    "Orders",
    "Shares",
    "boxed_scene",
    "check_boxes",
    "chosen_layer",
    "control_orders",
    "dose_figure",
    "dose_table",
    "find_boxes",
    "fit_positions",
    "make_detector",
    "measure_changes",
    "measure_shares",
    "new_scene",
    "outcome_table",
    "sample_figures",
    "strongest_and_weakest",
    "weights_table",
]

CHOSEN, RANDOM = "weight > 0", "random others"
NEGATIVE, BRIGHT = "weight < 0", "others that brighten most"
_FILED = {CHOSEN: "chosen", RANDOM: "random", NEGATIVE: "negative", BRIGHT: "bright"}
Orders = Mapping[str, Sequence["NDArray[np.int64]"]]
"""Kind of dropping -> in which order maps are dropped, one array for each draw."""
Changes = Mapping[str, tuple["NDArray[np.float64]", "NDArray[np.float64]"]]
"""Kind of dropping -> change of pixels of each boxed sample (N,), inside and outside of boxes, mean over draws."""
_SHOWN = 12  # columns of the figures
_MATCHED = 16  # samples on which controls are matched
_CLEAR = 0.1  # share of an image that must be clear of the object for its mean and spread


@dataclass(frozen=True)
class Unmodified:
    """Samples with all maps, and where the object is on them.

    Attributes:
        scene: What is drawn.
        images: (N, C, H, W).
        elsewhere: (N, 1, H, W), 1 at pixels that are clear of the object in the eyes of all judges, 0 at the others.
        share: (J, N) share of each sample that shows the object to each judge.
    """

    scene: Scene
    images: Tensor
    elsewhere: Tensor
    share: NDArray[np.float64]

    def first(self, n: int) -> Unmodified:
        """Return the first ``n`` samples."""
        return Unmodified(self.scene.first(n), self.images[:n], self.elsewhere[:n], self.share[:, :n])


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

    def unmodified(self, scene: Scene, detector: Detector) -> Unmodified:
        """Draw a scene with all maps and see where the object is."""
        images = self.draw(scene)
        seen = detector.seen(images, scene.labels)
        clear = ~functional.max_pool2d(seen.any(dim=1, keepdim=True).float(), 3, 1, 1).bool()
        clear |= clear.float().mean(dim=(2, 3), keepdim=True) < _CLEAR
        elsewhere = functional.interpolate(clear.float(), tuple(images.shape[2:]))
        return Unmodified(scene, images, elsewhere, _shares(seen))

    def restored(self, plain: Unmodified, maps: Sequence[int]) -> Tensor:
        """Return samples without some maps, brought back to their brightness and contrast, (N, C, H, W).

        Each channel gets the mean and the spread that it has with all maps at the places that did not show the object:
        were they taken everywhere, the rest would be stretched in the place of what is gone.
        """
        return with_moments_of(self.draw(plain.scene, maps), plain.images, plain.elsewhere)

    def distance(self, images: Tensor, plain: Tensor) -> float:
        """Return the root mean square difference of pixels, as a fraction of the image range."""
        low, high = self.context.checkpoint.metadata.image_range
        return float((images - plain).square().mean().sqrt()) / (high - low)

    def matched(self, plain: Unmodified, order: NDArray[np.int64], least: int, distance: float) -> int:
        """Return how many maps of an order, from ``least`` on, change samples by a distance; all if none do."""
        counts = range(least, len(order))
        return least + bisect_left(
            counts, distance, key=lambda n: self.distance(self.restored(plain, order[:n].tolist()), plain.images)
        )

    def brightening(self, scene: Scene, maps: Sequence[int]) -> NDArray[np.float64]:
        """Return how much darker samples become on the mean when each of some maps is dropped by itself."""
        plain = self.draw(scene)
        return np.array([float((plain - self.draw(scene, [one])).mean()) for one in maps])

    def change(
        self, scene: Scene, images: Tensor, maps: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean change of pixels (N,) inside and outside of boxes, as a fraction of the image range."""
        return pixel_changes(images, self.draw(scene, maps), scene.boxes, self.context.checkpoint.metadata.image_range)

    def positions(self, scene: Scene, negatives: float) -> tuple[Positions, NDArray[np.float32]]:
        """Return positions inside and outside of boxes and their activations (P, maps)."""
        size = self.context.checkpoint.architecture.image_shape[1:]
        with capture(self.sampler.generator, [self.layer]) as outputs:
            batches = (outputs[self.layer] for _ in self.sampler.batches(scene.z, scene.labels))
            first = next(batches)
            grid = (first.shape[2], first.shape[3])
            positions = draw_positions(scene.boxes, grid, size, negatives, self.context.rng("outside"))
            activations, start = [], 0
            for maps in chain([first], batches):
                activations.append(positions.gather(maps, start))
                start += len(maps)
        return positions, np.concatenate(activations)


def strongest_and_weakest(weights: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the maps of positive weight, largest first, and those of negative weight, most negative first.

    Example:
        >>> [part.tolist() for part in strongest_and_weakest(np.array([0.5, -1.0, 0.0, 2.0, -3.0]))]
        [[3, 0], [4, 1]]
    """
    order = np.argsort(-weights, kind="stable")
    return order[weights[order] > 0], order[::-1][weights[order[::-1]] < 0]


@dataclass(frozen=True)
class Dropped:
    """What was seen without some maps.

    Attributes:
        maps: How many.
        distance: How much the picture changed, brightness and contrast aside.
        share: (J, N) share of each new sample that shows the object.
    """

    maps: int
    distance: float
    share: NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Share of each new sample that shows the object, by what was dropped.

    Attributes:
        before: (J, N) with all maps.
        by_dose: Kind -> number of chosen maps -> one outcome for each draw; a single one where nothing is drawn. Of
            controls as many maps as change the picture as much as the chosen ones do.
    """

    before: NDArray[np.float64]
    by_dose: Mapping[str, Mapping[int, list[Dropped]]]

    @property
    def most(self) -> int:
        """All chosen maps."""
        return max(self.by_dose[CHOSEN])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all outcomes by name, from which every number can be computed again.

        ``before`` (J, N); of each dose ``chosen_DOSE`` (1, J, N), and of each control ``random_DOSE``,
        ``negative_DOSE``, ``bright_DOSE`` (draws, J, N) with ``..._maps`` (draws,), how many maps were dropped.
        """
        arrays: dict[str, NDArray[np.float64]] = {"before": self.before}
        for kind, doses in self.by_dose.items():
            for dose, outcomes in doses.items():
                arrays[f"{_FILED[kind]}_{dose}"] = np.stack([outcome.share for outcome in outcomes])
                arrays[f"{_FILED[kind]}_{dose}_maps"] = np.array([outcome.maps for outcome in outcomes])
        return arrays

    def removed(self, kind: str, dose: int) -> list[float]:
        """Return which share of the object is gone, for each draw."""
        return [1 - float(one.share.sum() / self.before.sum()) for one in self.by_dose[kind][dose]]

    def falls(self) -> list[int]:
        """Return the doses that take less of the object away than the dose before; none where the curve is monotone."""
        gone = {dose: self.removed(CHOSEN, dose)[0] for dose in sorted(self.by_dose[CHOSEN])}
        doses = list(gone)
        return [dose for before, dose in pairwise(doses) if gone[dose] < gone[before]]

    def maps_to_halve(self) -> tuple[int, int] | None:
        """Return between which numbers of chosen maps half of the object goes for the first time; None: it never does.

        The second was measured to take half away, the first, 0 or the dose before it, was not.
        """
        before = 0
        for dose in sorted(self.by_dose[CHOSEN]):
            if self.removed(CHOSEN, dose)[0] >= 0.5:
                return before, dose
            before = dose
        return None


def control_orders(
    generator: AblatedGenerator, scene: Scene, weights: NDArray[np.float64], draws: int
) -> dict[str, list[NDArray[np.int64]]]:
    """Return in which order maps are dropped, by kind; of random ones ``draws`` orders.

    Controls are maps that are not chosen; kinds of which there is none are left out.

    Raises:
        AnalysisError: If no map is chosen.
    """
    context, (strongest, weakest) = generator.context, strongest_and_weakest(weights)
    if not len(strongest):
        msg = "No map has a positive weight: the probe found nothing that speaks for the object. Draw more boxes."
        raise AnalysisError(msg)
    orders: dict[str, list[NDArray[np.int64]]] = {CHOSEN: [strongest]}
    others = np.setdiff1d(np.arange(len(weights)), strongest)
    if len(others):
        few, rng = scene.first(_MATCHED), context.rng("random maps")
        light = generator.brightening(few, others.tolist())
        orders[RANDOM] = [rng.permutation(others) for _ in range(draws)]
        orders[BRIGHT] = [others[np.argsort(-light, kind="stable")]]
    else:
        context.warn("Every map has a positive weight, so that there are no others to drop as a control.")
    if len(weakest):
        orders[NEGATIVE] = [weakest]
    return orders


def measure_shares(generator: AblatedGenerator, scene: Scene, detector: Detector, orders: Orders, doses: int) -> Shares:
    """Draw the new samples at every dose and let the detector look at them.

    Samples without maps are brought back to their brightness and contrast; of each control as many maps
    are dropped as then change them as much as the chosen ones do, or all that there are.
    """
    plain = generator.unmodified(scene, detector)
    if not plain.share.any():
        msg = f"The detector finds the object in none of {len(scene.z)} new samples. Draw more: the setting samples=N."
        raise AnalysisError(msg)
    strongest = orders[CHOSEN][0]
    counts = np.unique(np.linspace(0, len(strongest), doses + 1).round().astype(int))[1:].tolist()
    few = plain.first(_MATCHED)
    work = [(kind, order) for kind in orders for order in orders[kind]]
    by_dose: dict[str, dict[int, list[Dropped]]] = {kind: {count: [] for count in counts} for kind in orders}
    targets: dict[int, float] = {}
    for done, (kind, order) in enumerate(work, 1):
        least = 1
        for count in counts:
            maps = least = count if kind == CHOSEN else generator.matched(few, order, least, targets[count])
            images = generator.restored(plain, order[:maps].tolist())
            if kind == CHOSEN:
                targets[count] = generator.distance(images[:_MATCHED], few.images)
            seen = detector.seen(images, scene.labels, plain.images)
            outcome = Dropped(maps, generator.distance(images, plain.images), _shares(seen))
            by_dose[kind][count].append(outcome)
        generator.context.progress("orders of maps", done, len(work))
    return Shares(plain.share, by_dose)


def _shares(seen: Tensor) -> NDArray[np.float64]:
    """Return which share of each image shows the object to each judge: (N, J, H, W) to (J, N)."""
    shares: NDArray[np.float64] = seen.double().mean(dim=(2, 3)).T.cpu().numpy()
    return shares


def measure_changes(
    generator: AblatedGenerator, scene: Scene, images: Tensor, orders: Orders, shares: Shares
) -> Changes:
    """Return the change of pixels inside and outside of boxes, by kind, as many maps dropped as on new samples."""
    by_kind = {}
    for kind, drawn in orders.items():
        outcomes = shares.by_dose[kind][shares.most]
        changes = [
            generator.change(scene, images, order[: outcome.maps].tolist())
            for order, outcome in zip(drawn, outcomes, strict=True)
        ]
        inside, outside = (np.mean([change[part] for change in changes], axis=0) for part in (0, 1))
        by_kind[kind] = (inside, outside)
    return by_kind


def dose_figure(context: RunContext, shares: Shares) -> None:
    """Draw the share of the object that is left against the number of maps dropped."""
    series, whole = {}, float(shares.before.mean())
    for kind, doses in shares.by_dose.items():
        left = [[float(one.share.mean()) for one in outcomes] for outcomes in doses.values()]
        mean, low, high = ([whole, *(float(end(each)) for each in left)] for end in (np.mean, min, max))
        drawn = kind == RANDOM
        series[kind] = figures.Series([0, *doses], mean, low if drawn else None, high if drawn else None)
    figure = figures.curve(
        series, x_label="chosen maps dropped", y_label="positions that show the object, new samples", log_x=False
    )
    falls = shares.falls()
    context.save_figure(
        figure,
        "dose",
        "What each further map takes away",
        f"Maps of positive weight, largest first, {shares.most} in all; of controls as many others as change the "
        "picture as much. Band: least and most of the random draws."
        + (f" Not monotone: the object comes back in part at {_listed(falls)}." if falls else ""),
    )


def _listed(doses: Sequence[int]) -> str:
    return ", ".join(map(str, doses)) + " maps"


def sample_figures(
    context: RunContext, generator: AblatedGenerator, boxed: Scene, new: Scene, shares: Shares, orders: Orders
) -> None:
    """Draw new samples with and without the maps, what stood in the boxes and what stands there now, and the boxes."""
    kinds = [kind for kind in (CHOSEN, RANDOM) if kind in orders]
    drops = ([], *(orders[kind][0][: shares.by_dose[kind][shares.most][0].maps].tolist() for kind in kinds))
    shown = np.argsort(-shares.before.mean(axis=0), kind="stable")[:_SHOWN]
    rows = [as_bytes(context.checkpoint, generator.draw(new, maps)[shown]) for maps in drops]
    labels = ["all maps", "without the object's", "without others"]
    context.save_figure(
        figures.image_panels(
            {"": [[figures.Tile(image) for image in row] for row in rows]}, labels=labels[: len(rows)]
        ),
        "new-samples",
        "New samples: with all maps, without those of the object, without random others that change as much",
        "The same latent vectors in each column: those of the samples in which the detector saw most of the object. "
        f"Maps dropped: {', '.join(str(len(maps)) for maps in drops)}.",
    )
    pages = [as_bytes(context.checkpoint, generator.draw(boxed, maps)) for maps in drops]
    places = [(row, box) for row, boxes in enumerate(boxed.boxes) for box in boxes][: 2 * _SHOWN]
    cuts = [[cut_out(images[row], box) for row, box in places] for images in pages]
    blocks = [np.stack(cut[start : start + _SHOWN]) for start in range(0, len(places), _SHOWN) for cut in cuts]
    context.save_figure(
        figures.image_grid(np.concatenate(blocks), len(blocks[0]), scale=2),
        "replaced",
        "What replaced the object: the boxes before, after, and without random others that change as much",
        "Rows by turns; each column is one box with half its size around it.",
    )
    framed_samples = [framed(image, boxes) for image, boxes in zip(pages[0], boxed.boxes, strict=True)]
    context.save_figure(
        figures.image_grid(np.stack(framed_samples[: 2 * _SHOWN]), _SHOWN, scale=1),
        "boxes",
        "The boxes",
        f"The first of {len(boxed.boxes)} samples that have boxes.",
    )


def outcome_table(shares: Shares, changes: Changes) -> Table:
    """Return what each kind of dropping did."""
    rows: list[list[Cell]] = []
    for kind, doses in shares.by_dose.items():
        outcomes, gone = doses[shares.most], shares.removed(kind, shares.most)
        ends = (min(gone), max(gone)) if kind == RANDOM else removed(shares.before, outcomes[0].share)[1:]
        means = np.mean([(one.maps, one.distance, one.share.mean()) for one in outcomes], axis=0).tolist()
        rows.append([kind, *means, float(np.mean(gone)), *ends, *(float(part.mean()) for part in changes[kind])])
    rows.insert(0, ["nothing", 0.0, 0.0, float(shares.before.mean()), 0.0, *[None] * 4])
    columns = ["dropped", "maps", "change", "shown", "removed", "low", "high", "changed inside", "outside"]
    return Table(
        name="dropping",
        title="Maps dropped and the object",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Change: root mean square of pixels of new samples, brought back to their own mean and spread, as a share "
        "of their range; of controls as many maps as change as much as the chosen ones, or all there are. Shown: "
        "positions of new samples. Low, high: 95 % over judges and samples; of random others the least and most of "
        "the draws. Changed: pixels of the boxed samples as drawn, inside and outside of the boxes.",
    )


def dose_table(shares: Shares) -> Table:
    """Return what each further dose takes away."""
    falls = shares.falls()
    rows: list[list[Cell]] = []
    for dose, (outcome,) in shares.by_dose[CHOSEN].items():
        control = shares.removed(RANDOM, dose) if RANDOM in shares.by_dose else []
        ends = [float(np.mean(control)), min(control), max(control)] if control else [None] * 3
        mark = "comes back in part" if dose in falls else ""
        rows.append([dose, outcome.distance, *removed(shares.before, outcome.share), *ends, mark])
    columns = ["chosen maps", "change", "removed", "low", "high", "random others", "least", "most", ""]
    return Table(
        name="doses",
        title="What each further map takes away",
        columns=columns,
        rows=rows,
        percent=columns[1:8],
        note="Nothing was measured between these numbers of maps.",
    )


def weights_table(weights: NDArray[np.float64]) -> Table:
    """Return the maps that speak most for and against the object."""
    strongest, weakest = strongest_and_weakest(weights)
    rows: list[list[Cell]] = [
        ["for" if weights[number] > 0 else "against", int(number), float(weights[number])]
        for number in (*strongest[:5], *weakest[:5])
    ]
    return Table(
        name="weights", title="Maps that speak for and against the object", columns=["", "map", "weight"], rows=rows
    )
