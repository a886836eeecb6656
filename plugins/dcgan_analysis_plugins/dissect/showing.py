"""Units and what they do, shown: where they are active, samples without and with them, walks; tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis import figures
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.checkpoints.sampling import as_bytes
from dcgan_analysis.figures.marks import framed
from dcgan_analysis_plugins.dissect.agreement import best_layer
from dcgan_analysis_plugins.dissect.scenes import discriminator_values, generator_values, removed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.experiments import Experiments
    from dcgan_analysis_plugins.dissect.scenes import Looked

__all__ = ["changes_table", "layers_table", "save_changes", "save_layers", "save_units", "save_walks", "units_table"]

_UNITS, _IMAGES = 4, 6
_COLUMNS = 10
_WALKS = 4
_DARK = 0.25  # of the brightness is left where a unit is not active


def save_layers(context: RunContext, looked: Looked, layers: Sequence[Layer]) -> None:
    """Draw how well the best unit of each layer agrees, beside the controls."""
    values, low, high = zip(*(one.iou for one in layers), strict=True)
    shuffled = [_of_shuffled(one) for one in layers]
    figure = figures.bars(
        [f"{one.network}, {one.name}" for one in layers],
        values,
        low=low,
        high=high,
        markers={"those of other samples": shuffled, "any unit": [float(np.mean(one.random_iou)) for one in layers]},
        x_label="intersection over union of the best unit",
    )
    context.save_figure(
        figure,
        "layers",
        f"How well units agree with {looked.places}, layer by layer",
        "The best unit of each layer, chosen on one half of the samples and measured on the other; 95 % over samples. "
        "Diamond: the same choice with those of other samples. Circle: the mean of all units.",
    )


def _of_shuffled(layer: Layer) -> float:
    """Return the mean over shuffles of what the unit that is chosen for boxes of other samples agrees with them."""
    shuffles = range(1, layer.agreement.chosen.shape[1])
    return float(np.mean([float(layer.agreement.measured[layer.agreement.ranked(one)[0], one]) for one in shuffles]))


def save_units(context: RunContext, sampler: Sampler, looked: Looked, layers: Sequence[Layer], changed: str) -> None:
    """Show where the best units of each network are active, on samples of the half that measures."""
    rows = looked.rows(choosing=False, boxed=None if looked.whole else True)
    for network in ("generator", "discriminator"):
        layer = best_layer(layers, network)
        if layer is None:
            continue
        if network == "generator":
            layer = next(one for one in layers if (one.network, one.name) == (network, changed))
            values = generator_values(sampler, looked.scene, layer.name, looked.grid)
        else:
            values = discriminator_values(context.checkpoint, looked, layer.name, context.device)
        units = layer.agreement.ranked()[:_UNITS]
        tiles = []
        for unit in units:
            strongest = sorted(rows, key=lambda row, unit=unit: -float(values[unit, row].max()))[:_IMAGES]  # type: ignore[misc]
            active = values[unit] > layer.agreement.thresholds[unit, 0]
            tiles.append([figures.Tile(_lit(context, looked, row, active[row])) for row in strongest])
        labels = [f"unit {unit}, {float(layer.agreement.measured[unit, 0]):.0%}" for unit in units]
        context.save_figure(
            figures.image_panels({f"{network}, {layer.name}": tiles}, labels=labels),
            f"units-{network}",
            f"Where the best units of the {network} are active",
            "Bright: above the threshold. Boxes are drawn in. Beside each unit its intersection over union, samples "
            "that did not choose it.",
        )


def _lit(context: RunContext, looked: Looked, row: int, active: Tensor) -> np.ndarray:
    """Return a sample in colour, dark where a unit is not active, with its boxes."""
    image = as_bytes(context.checkpoint, looked.images[row : row + 1])[0]
    where = active.view(1, 1, *looked.grid).float()
    light = torch.nn.functional.interpolate(where, image.shape[1:])[0, 0].numpy()
    shaded = np.rint(image * (_DARK + (1 - _DARK) * light)).astype(np.uint8)
    return framed(shaded, looked.scene.boxes[row])


def save_changes(context: RunContext, looked: Looked, experiments: Experiments) -> None:
    """Show samples without the units, and with them put in, beside as many other units."""
    boxes = [looked.scene.boxes[row] for row in experiments.boxed]
    marked = [[place] for place in experiments.places]
    for name, title, rows, places, kinds, painted in (
        ("removed", "Without the units", experiments.boxed, boxes, experiments.removals, experiments.paled),
        ("inserted", "With the units put in", experiments.free, marked, experiments.insertions, experiments.painted),
    ):
        shown = np.argsort(-kinds[0].inside, kind="stable")[:_COLUMNS].tolist()
        plain = looked.images[[rows[at] for at in shown]]
        pages = [plain, *(one.images[shown] for one in (kinds[0], painted, kinds[1]))]
        tiles = [
            framed(image, places[at])
            for page in pages
            for image, at in zip(as_bytes(context.checkpoint, page), shown, strict=True)
        ]
        context.save_figure(
            figures.image_grid(np.stack(tiles), len(shown), scale=1),
            name,
            f"{title}, with their colour painted, and with other units as active",
            "First row: as they are. Second: the units that agree best. Third: their mean change of colour, painted. "
            "Fourth: as many other units. Those that change most.",
        )


def save_walks(context: RunContext, experiments: Experiments) -> None:
    """Show the walks along which the object comes and goes most, and what the units do meanwhile."""
    chosen = sorted(experiments.walks, key=lambda one: -float(np.ptp(one.shown)))[:_WALKS]
    images = np.concatenate([as_bytes(context.checkpoint, one.images) for one in chosen])
    titles = [
        f"{shown:.0%} | {active:.1f}" for one in chosen for shown, active in zip(one.shown, one.active, strict=True)
    ]
    context.save_figure(
        figures.image_grid(images, len(chosen[0].shown), titles=titles),
        "walks",
        "The object comes and goes along walks",
        "Above each image the share of it that shows the object, and the activation of the units, 1 on the mean of "
        "the walk.",
    )


def layers_table(looked: Looked, layers: Sequence[Layer]) -> Table:
    """Return the best unit of each layer."""
    rows: list[list[Cell]] = [
        [
            one.network,
            one.name,
            len(one.random_iou),
            one.best,
            *one.iou,
            _of_shuffled(one),
            float(np.mean(one.random_iou)),
            one.precision[0],
        ]
        for one in layers
    ]
    columns = ["network", "layer", "units", "best", "iou", "low", "high", "shuffled", "any unit", "precision"]
    return Table(
        name="layers",
        title="The best unit of each layer",
        columns=columns,
        rows=rows,
        percent=columns[4:],
        note=f"Intersection over union with {looked.places} and average precision, unit and threshold chosen on the "
        "other half of the samples. Shuffled: the same choice with those of other samples.",
    )


def units_table(layers: Sequence[Layer]) -> Table:
    """Return the units of both networks that agree best."""
    rows: list[list[Cell]] = []
    for layer in filter(None, (best_layer(layers, network) for network in ("generator", "discriminator"))):
        for unit in layer.agreement.ranked()[: 2 * _UNITS]:
            agreed = (float(part[unit, 0]) for part in (layer.agreement.chosen, layer.agreement.measured))
            rows.append([layer.network, layer.name, unit, *agreed])
    columns = ["network", "layer", "unit", "iou, chosen on", "iou"]
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
    columns = ["units", "activation", "removed", "inside", "outside", "inserted", "inside ", "outside "]
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
