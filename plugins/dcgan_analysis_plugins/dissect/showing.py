"""Units and what they do, shown: where they are active, samples without and with them, walks; tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis import figures
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.checkpoints.sampling import as_bytes
from dcgan_analysis.core.text import percent
from dcgan_analysis.figures.marks import framed
from dcgan_analysis.units.detector import removed
from dcgan_analysis_plugins.dissect.agreement import best_layer
from dcgan_analysis_plugins.dissect.scenes import discriminator_values, generator_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.experiments import Experiments
    from dcgan_analysis_plugins.dissect.scenes import Examined

__all__ = ["changes_table", "layers_table", "save_changes", "save_layers", "save_units", "save_walks", "units_table"]

_UNITS, _IMAGES = 4, 6
_COLUMNS = 10
_WALKS = 4
_DARK = 0.25  # of the brightness is left where a unit is not active


def save_layers(context: RunContext, examined: Examined, layers: Sequence[Layer]) -> None:
    """Draw how well the best unit of each layer agrees, beside the controls."""
    values, low, high = zip(*(layer.iou for layer in layers), strict=True)
    figure = figures.bars(
        [f"{layer.network}, {layer.name}" for layer in layers],
        values,
        low=low,
        high=high,
        markers={
            "those of other samples": [_of_shuffled(layer) for layer in layers],
            "any unit": [float(np.mean(layer.random_iou)) for layer in layers],
        },
        x_label="intersection over union of the best unit",
    )
    context.save_figure(
        figure,
        "layers",
        f"How well units agree with {examined.places}, layer by layer",
        "The best unit of each layer, chosen on one half of the samples and measured on the other; 95 % over samples. "
        "Diamond: the same choice with those of other samples. Circle: the mean of all units.",
    )


def _of_shuffled(layer: Layer) -> float:
    """Return how well the unit that is chosen for boxes of other samples agrees with them, mean over shuffles."""
    return float(np.mean([layer.measured(concept) for concept in layer.shuffles]))


def save_units(
    context: RunContext, sampler: Sampler, examined: Examined, layers: Sequence[Layer], changed: str
) -> None:
    """Show where the best units of each network are active, on samples of the half that measures."""
    rows = examined.rows(choosing=False, boxed=None if examined.whole else True)
    for network in ("generator", "discriminator"):
        layer = best_layer(layers, network)
        if layer is None:
            continue
        if network == "generator":
            layer = next(each for each in layers if (each.network, each.name) == (network, changed))
            values = generator_values(sampler, examined.scene, layer.name, examined.grid)
        else:
            values = discriminator_values(context.checkpoint, examined, layer.name, context.device)
        units = layer.agreement.ranked()[:_UNITS]
        tiles = []
        for unit in units:
            order = values[unit, rows].amax(dim=1).argsort(descending=True, stable=True)[:_IMAGES]
            active = values[unit] > layer.agreement.thresholds[unit, 0]
            strongest = [rows[at] for at in order.tolist()]
            tiles.append([figures.Tile(_lit(context, examined, row, active[row])) for row in strongest])
        labels = [f"unit {unit}, {percent(float(layer.agreement.measured[unit, 0]), 0)}" for unit in units]
        context.save_figure(
            figures.image_panels({f"{network}, {layer.name}": tiles}, labels=labels),
            f"units-{network}",
            f"Where the best units of the {network} are active",
            "Bright: above the threshold. Boxes are drawn in. Beside each unit its intersection over union, on samples "
            "that did not choose it.",
        )


def _lit(context: RunContext, examined: Examined, row: int, active: Tensor) -> np.ndarray:
    """Return a sample in colour, dark where a unit is not active, with its boxes."""
    image = as_bytes(context.checkpoint, examined.images[row : row + 1])[0]
    where = active.view(1, 1, *examined.grid).float()
    light = torch.nn.functional.interpolate(where, image.shape[1:])[0, 0].numpy()
    shaded = np.rint(image * (_DARK + (1 - _DARK) * light)).astype(np.uint8)
    return framed(shaded, examined.scene.boxes[row])


def save_changes(context: RunContext, examined: Examined, experiments: Experiments) -> None:
    """Show samples without the units, and with them put in, beside as many other units."""
    boxes = [examined.scene.boxes[row] for row in experiments.boxed]
    marked = [[place] for place in experiments.places]
    for name, title, rows, places, kinds, painted in (
        ("removed", "Without the units", experiments.boxed, boxes, experiments.removals, experiments.paled),
        ("inserted", "With the units put in", experiments.free, marked, experiments.insertions, experiments.painted),
    ):
        shown = np.argsort(-kinds[0].inside, kind="stable")[:_COLUMNS].tolist()
        plain = examined.images[[rows[at] for at in shown]]
        heads = ("as they are", f"units {name}", "painted", "other units")
        titles = [head if not at else "" for head in heads for at in range(len(shown))]
        pages = [plain, *(change.images[shown] for change in (kinds[0], painted, kinds[1]))]
        # A frame around all of every image would mark nothing.
        tiles = [
            framed(image, [] if examined.whole else places[at])
            for page in pages
            for image, at in zip(as_bytes(context.checkpoint, page), shown, strict=True)
        ]
        context.save_figure(
            figures.image_grid(np.stack(tiles), len(shown), titles=titles, scale=1),
            name,
            f"{title}, with their colour painted, and with other units as active",
            "First row: as they are. Second: the units that agree best. Third: their mean change of colour, painted. "
            "Fourth: as many other units. Those that change most.",
        )


def save_walks(context: RunContext, experiments: Experiments) -> None:
    """Show the walks along which the object comes and goes most, and what the units do meanwhile."""
    chosen = sorted(experiments.walks, key=lambda walk: -float(np.ptp(walk.shown)))[:_WALKS]
    images = np.concatenate([as_bytes(context.checkpoint, walk.images) for walk in chosen])
    titles = [
        f"{percent(shown, 0)} | {active:.1f}"
        for walk in chosen
        for shown, active in zip(walk.shown, walk.active, strict=True)
    ]
    context.save_figure(
        figures.image_grid(images, len(chosen[0].shown), titles=titles),
        "walks",
        "The object comes and goes along walks",
        "Above each image the share of it that shows the object, and the activation of the units, 1 on the mean of "
        "the walk.",
    )


def layers_table(examined: Examined, layers: Sequence[Layer]) -> Table:
    """Return the best unit of each layer."""
    rows: list[list[Cell]] = [
        [
            layer.network,
            layer.name,
            len(layer.random_iou),
            layer.best,
            *layer.iou,
            _of_shuffled(layer),
            float(np.mean(layer.random_iou)),
            layer.precision[0],
        ]
        for layer in layers
    ]
    columns = ["network", "layer", "units", "best", "IoU", "low", "high", "shuffled", "any unit", "precision"]
    return Table(
        name="layers",
        title="The best unit of each layer",
        columns=columns,
        rows=rows,
        percent=columns[4:],
        note=f"Intersection over union with {examined.places} and average precision, unit and threshold chosen on the "
        "other half of the samples. Shuffled: the same choice with those of other samples.",
    )


def units_table(layers: Sequence[Layer]) -> Table:
    """Return the units of both networks that agree best."""
    rows: list[list[Cell]] = []
    for layer in filter(None, (best_layer(layers, network) for network in ("generator", "discriminator"))):
        for unit in layer.agreement.ranked()[: 2 * _UNITS]:
            agreed = (float(part[unit, 0]) for part in (layer.agreement.chosen, layer.agreement.measured))
            rows.append([layer.network, layer.name, unit, *agreed])
    columns = ["network", "layer", "unit", "IoU, half that chooses", "IoU, other half"]
    return Table(name="units", title="The units that agree best", columns=columns, rows=rows, percent=columns[3:])


def changes_table(experiments: Experiments) -> Table:
    """Return what each set of units does, taken away and put in."""
    rows: list[list[Cell]] = []
    for number, (removal, insertion) in enumerate(zip(experiments.removals, experiments.insertions, strict=True)):
        rows.append(
            [
                "the best" if number == 0 else f"others, draw {number}",
                experiments.activation[number],
                removed(removal.before, removal.after)[0],
                float(removal.inside.mean()),
                float(removal.outside.mean()),
                float((insertion.after - insertion.before).mean()),
                float(insertion.inside.mean()),
                float(insertion.outside.mean()),
            ]
        )
    columns = [
        "units",
        "activation",
        "removed",
        "inside, removed",
        "outside, removed",
        "inserted",
        "inside, inserted",
        "outside, inserted",
    ]
    return Table(
        name="changes",
        title=f"{len(experiments.units)} units of {experiments.layer} taken away and put in",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Activation: mean of the units over all places. Removed: share of the object that is gone from where it "
        "is. Inserted: share of a place without the object that shows it, less before. Inside, outside: mean change of "
        "pixels.",
    )
