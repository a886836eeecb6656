"""max-activations: which images does each filter respond to most, layer by layer? (section 6.2).

1. All images stream through the network once; for every filter of every layer the images of its strongest responses
   are kept, each with the position where it occurred and what the unit there sees.
2. A grid for each layer shows them for a few filters, beside the same of the random-weight twin.
3. In numbers, over all filters of a layer: how pure the classes of the strongest images are, which share of a filter's
   variance lies between classes (eta squared), and how far the strongest responses stand out from the others.

Consumes a checkpoint with a discriminator and a dataset with a training split. Without labels there is no purity.
Produces ``purity``, ``class_variance`` and ``margin`` of the last layer looked at, each with ``twin_...`` and
``..._gain``; the same of every layer in a table; and responses.npz.

Reference: arXiv 1511.06434, section 6.2, shows such images for the last conv layer. The numbers are this project's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

from dcgan_analysis.api import Demo, Metric, Needs, Table
from dcgan_analysis.probing import LEARNED, TWIN
from dcgan_analysis.units import (
    FilterSettings,
    check_filters,
    compared_metrics,
    cut,
    find_responses,
    open_images,
    save_pairs,
    settled_network,
    subjects,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.figures import Tile
    from dcgan_analysis.units import ImageStream, TapResponses

# Number -> unit, description.
_NUMBERS = {
    "purity": ("fraction", "share of the most frequent class among the strongest images of a filter"),
    "class_variance": ("fraction", "share of a filter's variance that lies between classes"),
    "margin": ("number", "strongest responses above the mean of all, in standard deviations"),
}


class MaxActivationsConfig(FilterSettings):
    """Settings."""

    taps: tuple[str, ...] = Field(default=(), description="layers looked at; empty: all that give features")
    top: PositiveInt = Field(default=8, description="images shown for each filter")
    counted: PositiveInt = Field(default=50, description="strongest images of each filter that purity rests on")


def filter_numbers(tap: TapResponses, images: ImageStream, config: MaxActivationsConfig) -> dict[str, NDArray[Any]]:
    """Return each number for all filters of a layer (F,)."""
    from dcgan_analysis_plugins.max_activations.purity import class_purity

    numbers = {}
    labels, classes = images.split.labels, len(images.split.classes)
    if labels is not None and classes > 1:
        numbers["purity"] = class_purity(tap.top.images[:, : config.counted], labels, classes)
        numbers["class_variance"] = tap.sums.explained_by_class()
    return numbers | {"margin": tap.margins(config.top)}


class MaxActivations:
    """The images that filters respond to most, beside the random twin."""

    name = "max-activations"
    summary = "Images of the strongest responses of every filter, layer by layer, beside the twin (6.2)"
    question = "Which images do the filters of each layer respond to most, and do these belong together?"
    reference = "Radford, Metz, Chintala 2016, section 6.2: https://arxiv.org/abs/1511.06434"
    config_type = MaxActivationsConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train",), discriminator=True)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"taps": ["conv4", "conv6"], "features": [0, 1, 2, 3]},
        limit=300,
    )

    def requires(self, config: MaxActivationsConfig) -> Needs:
        """Return what it consumes of the splits that these settings name."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: MaxActivationsConfig) -> list[Callable[[], object]]:
        """Look for the layers, and for as many filters in them."""
        taps = config.taps or context.checkpoint.architecture.taps
        return [partial(check_filters, context, [tap], config.features) for tap in taps]

    def run(self, context: RunContext, config: MaxActivationsConfig) -> Result:
        """Stream the images through the checkpoint, then through its twin, and put their filters side by side."""
        taps = config.taps or context.checkpoint.architecture.taps
        images = open_images(context, config, config.split, config.images)
        context.use_split(config.split, images.split)
        by_network = {}
        for label, checkpoint in subjects(context).items():
            with context.stage(f"{label}: BatchNorm statistics"):
                network = settled_network(context, config, label, checkpoint, taps)
            with context.stage(f"{label}: responses"):
                kept = max(config.top, config.counted)
                by_network[label] = find_responses(context, label, network, taps, images, kept)
        layers = {
            tap: {label: filter_numbers(one[tap], images, config) for label, one in by_network.items()} for tap in taps
        }
        per_layer = {tap: _layer_metrics(context, tap, numbers) for tap, numbers in layers.items()}
        chance = _chance(context, config, images)
        with context.stage("figures"):
            _save_arrays(context, images, by_network)
            for tap in taps:
                _save_grid(context, config, tap, images, by_network)
            _save_layers(context, per_layer, chance)
        metrics = per_layer[taps[-1]]
        return context.result(
            title=f"Strongest images of the filters of {context.checkpoint.name}, {context.dataset.name}",
            headline=next(iter(metrics)),
            metrics=metrics,
            tables=[_layers_table(config, images, per_layer, chance)],
        )


def _layer_metrics(
    context: RunContext, tap: str, numbers: Mapping[str, Mapping[str, NDArray[Any]]]
) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for name, (unit, text) in _NUMBERS.items():
        if name in numbers[LEARNED]:
            values = {label: one[name][:, None] for label, one in numbers.items()}
            fraction = unit == "fraction"
            metrics |= compared_metrics(
                context, name, values, f"{tap}: {text}", unit="fraction" if fraction else "number"
            )
    return metrics


def _chance(context: RunContext, config: MaxActivationsConfig, images: ImageStream) -> float | None:
    labels, classes = images.split.labels, len(images.split.classes)
    if labels is None or classes < 2:
        return None
    from dcgan_analysis_plugins.max_activations.purity import chance_purity

    return chance_purity(labels, classes, min(config.counted, len(images)), context.rng("chance"))


def _layers_table(
    config: MaxActivationsConfig,
    images: ImageStream,
    per_layer: Mapping[str, Mapping[str, Metric]],
    chance: float | None,
) -> Table:
    first = next(iter(per_layer.values()))
    names = [name for name in _NUMBERS if name in first]
    columns = ["layer", "filters"]
    for name in names:
        columns += [name.replace("_", " "), f"{name.replace('_', ' ')}, twin"]
    rows: list[list[Cell]] = []
    for tap, metrics in per_layer.items():
        cells = [metrics[f"{prefix}{name}"].value for name in names for prefix in ("", "twin_")]
        rows.append([tap, metrics[names[0]].n, *cells])
    note = f"Means over all filters of a layer. Margin: of the {config.top} strongest of {len(images):,} images."
    if chance is not None:
        counted = min(config.counted, len(images))
        note += f" Purity: of the {counted} strongest; as many images drawn blindly have {100 * chance:.1f} %."
    percent = [column for column in columns if column.startswith(("purity", "class"))]
    return Table(name="layers", title="Layer by layer", columns=columns, rows=rows, percent=percent, note=note)


def _save_arrays(
    context: RunContext, images: ImageStream, by_network: Mapping[str, Mapping[str, TapResponses]]
) -> None:
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {"ids": np.array(images.split.ids)}
    for label, layers in by_network.items():
        prefix = "twin_" if label == TWIN else ""
        for tap, one in layers.items():
            arrays[f"{prefix}{tap}_images"] = one.top.images
            arrays[f"{prefix}{tap}_values"] = one.top.values
            arrays[f"{prefix}{tap}_positions"] = one.top.positions
    context.save_arrays("responses", **arrays)


def _tiles(
    seen: Callable[[int, int], Any], feature: int, one: TapResponses, images: ImageStream, top: int
) -> tuple[list[Tile], list[Tile]]:
    """Return a filter's strongest images with what the unit sees outlined, and what it sees alone."""
    from dcgan_analysis.figures import Tile

    whole, parts = [], []
    for rank, index in enumerate(one.top.images[feature, :top].tolist()):
        box = seen(*one.place(feature, rank))
        image = images.shown(index)
        whole.append(Tile(image, (box.top, box.left, box.bottom, box.right)))
        parts.append(Tile(cut(image, box)))
    return whole, parts


def _save_grid(
    context: RunContext,
    config: MaxActivationsConfig,
    tap: str,
    images: ImageStream,
    by_network: Mapping[str, Mapping[str, TapResponses]],
) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.models import receptive_field

    seen = receptive_field(context.checkpoint.architecture, tap).box
    panels: dict[str, list[list[Tile]]] = {}
    for label, layers in by_network.items():
        panels[label] = []
        for feature in config.features:
            panels[label] += _tiles(seen, feature, layers[tap], images, config.top)
    context.save_figure(
        figures.image_panels(panels, labels=[f"filter {feature}" for feature in config.features], group=2),
        f"filters-{tap.replace('.', '-').replace(':', '-')}",
        f"{tap}: images of the strongest responses",
        f"For each filter the {config.top} images it responds to most among {len(images):,}, strongest first, with "
        "what the responding unit sees outlined, and below each that part enlarged. Filters of the two networks have "
        "nothing to do with each other.",
    )


def _save_layers(context: RunContext, per_layer: Mapping[str, Mapping[str, Metric]], chance: float | None) -> None:
    headline = next(iter(next(iter(per_layer.values()))))
    unit, text = _NUMBERS[headline]
    save_pairs(
        context,
        "layers",
        f"{headline.capitalize()} layer by layer",
        f"Mean over all filters of a layer with 95 % bootstrap intervals: {text}.",
        {tap: (metrics[headline], metrics[f"twin_{headline}"]) for tap, metrics in per_layer.items()},
        x_label=headline.replace("_", " "),
        fractions=unit == "fraction",
        baseline=None if chance is None else ("drawn blindly", chance),
    )
