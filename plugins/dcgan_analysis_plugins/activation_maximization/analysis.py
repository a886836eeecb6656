"""activation-maximization: which image would a filter like most? (section 6.2, by gradient ascent on the input).

1. The unit in the middle of a filter's map is maximised over the pixels, from noise around gray, by Adam. L2 decay,
   total variation, jitter and blur keep the result image-like; they are scaled by the receptive field, so that the
   same settings do for the first layer and the last.
2. A grid for each layer: the image found, cut to what the unit sees, and below it the strongest real one; beside it
   the same for the random-weight twin.
3. In numbers: the response to the image found against the strongest to any real image; and how far the image found
   lies from the nearest real one, against how far real images lie from one another.

Consumes a checkpoint with a discriminator and a dataset with a training split; labels only if conditional: a filter is
then maximised under the label of its strongest real image.
Produces ``activation_ratio`` and ``distance_ratio``, each with ``twin_...`` and ``..._gain``, over all filters shown;
both for every layer in a table; and images.npz.

Reference: Erhan et al. 2009; the regularisers' sources are in ``dcgan_analysis.units.attribution.ascent``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from dcgan_analysis.api import Demo, Metric, Needs, Table
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing import LEARNED, TWIN
from dcgan_analysis.units import (
    check_filters,
    compared_metrics,
    cut,
    find_responses,
    open_images,
    settled_network,
    subjects,
)
from dcgan_analysis_plugins.activation_maximization.maximised import COMPARED, AscentSettings, maximise_filters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.units import ImageStream
    from dcgan_analysis_plugins.activation_maximization.maximised import Maximised


class ActivationMaximizationConfig(AscentSettings):
    """Settings; weights are those of penalties beside responses in standard deviations of real ones."""

    taps: tuple[str, ...] = Field(default=(), description="layers looked at; empty: all that give features")


class ActivationMaximization:
    """Images that maximise single filters, beside the random twin."""

    name = "activation-maximization"
    summary = "Images found by gradient ascent that filters respond to most, layer by layer, beside the twin (6.2)"
    question = "What would each filter like to see, and how far is that from real images?"
    reference = "Erhan et al. 2009; Yosinski et al. 2015: https://arxiv.org/abs/1506.06579"
    config_type = ActivationMaximizationConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train",), discriminator=True)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"taps": ["conv3", "conv6"], "features": [0, 1, 2, 3], "steps": 32},
        limit=200,
    )

    def requires(self, config: ActivationMaximizationConfig) -> Needs:
        """Return what it consumes of the splits that these settings name."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: ActivationMaximizationConfig) -> list[Callable[[], object]]:
        """Look for the layers, and for as many filters in them."""
        taps = config.taps or context.checkpoint.architecture.taps
        return [partial(check_filters, context, [tap], config.features) for tap in taps]

    def run(self, context: RunContext, config: ActivationMaximizationConfig) -> Result:
        """Maximise filters of the checkpoint, then of its twin, and put them side by side."""
        taps = config.taps or context.checkpoint.architecture.taps
        images = open_images(context, config, config.split, config.images)
        context.use_split(config.split, images.split)
        by_network: dict[str, dict[str, Maximised]] = {}
        for label, checkpoint in subjects(context).items():
            with context.stage(f"{label}: BatchNorm statistics"):
                network = settled_network(context, config, label, checkpoint, taps)
            with context.stage(f"{label}: real responses"):
                responses = find_responses(context, label, network, taps, images, 1)
            with context.stage(f"{label}: gradient ascent"):
                by_network[label] = {
                    tap: maximise_filters(context, config, label, network, tap, responses[tap], images) for tap in taps
                }
        metrics = _metrics(context, by_network)
        with context.stage("figures"):
            _save_arrays(context, by_network)
            _save_grid(context, config, images, by_network)
        return context.result(
            title=f"What filters of {context.checkpoint.name} respond to most",
            headline="activation_ratio",
            metrics=metrics,
            tables=[_layers_table(by_network), _filters_table(config, by_network)],
        )


def _metrics(context: RunContext, by_network: Mapping[str, Mapping[str, Maximised]]) -> dict[str, Metric]:
    import numpy as np

    def together(name: str) -> dict[str, NDArray[np.float64]]:
        return {
            label: np.concatenate([getattr(one, name) for one in layers.values()])[:, None]
            for label, layers in by_network.items()
        }

    ratios, distances = together("ratios"), together("distances")
    metrics = compared_metrics(
        context,
        "activation_ratio",
        ratios,
        "response to the image found, over the strongest to a real image",
        higher_is_better=None,
    )
    if not metrics:
        msg = (
            f"No filter of {', '.join(by_network[LEARNED])} responds to the images of '{context.dataset.name}', in the "
            "checkpoint or in its twin. Choose other layers, filters or images."
        )
        raise AnalysisError(msg)
    return metrics | compared_metrics(
        context,
        "distance_ratio",
        distances,
        "distance of the image found to the nearest real one, over that between real ones",
        higher_is_better=False,
    )


def _layers_table(by_network: Mapping[str, Mapping[str, Maximised]]) -> Table:
    import numpy as np

    columns = ["layer"]
    for text in ("response over strongest real", "distance over real"):
        columns += [text, f"{text}, twin"]

    def mean(values: NDArray[np.float64]) -> float | None:
        return None if np.isnan(values).all() else float(np.nanmean(values))

    rows: list[list[Cell]] = []
    for tap in by_network[LEARNED]:
        pair = [by_network[label][tap] for label in (LEARNED, TWIN)]
        rows.append([tap, *[mean(one.ratios) for one in pair], *[mean(one.distances) for one in pair]])
    return Table(
        name="layers",
        title="Layer by layer",
        columns=columns,
        rows=rows,
        note="Distances: root mean square over the pixels that the unit sees, to the nearest of the real images, in "
        f"units of the mean distance of {COMPARED} real images to their nearest others.",
    )


def _filters_table(config: ActivationMaximizationConfig, by_network: Mapping[str, Mapping[str, Maximised]]) -> Table:
    rows: list[list[Cell]] = []
    for label, layers in by_network.items():
        for tap, one in layers.items():
            for row, feature in enumerate(config.features):
                responses = [float(one.reached[row]), float(one.responses.top.values[feature, 0])]
                rows.append([label, tap, feature, *responses, _known(one.ratios[row]), _known(one.distances[row])])
    columns = ["network", "layer", "filter", "response to image found", "strongest real response", "ratio", "distance"]
    return Table(name="filters", title="Every filter", columns=columns, rows=rows)


def _known(value: float) -> float | None:
    return float(value) if value == value else None  # NaN differs from itself


def _save_arrays(context: RunContext, by_network: Mapping[str, Mapping[str, Maximised]]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for label, layers in by_network.items():
        for tap, one in layers.items():
            arrays[f"{'twin_' if label == TWIN else ''}{tap}"] = one.images
    context.save_arrays("images", **arrays)


def _save_grid(
    context: RunContext,
    config: ActivationMaximizationConfig,
    images: ImageStream,
    by_network: Mapping[str, Mapping[str, Maximised]],
) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.models import receptive_field

    panels: dict[str, list[list[figures.Tile]]] = {}
    for label, layers in by_network.items():
        panels[label] = []
        for tap, one in layers.items():
            field = receptive_field(context.checkpoint.architecture, tap)
            real = [
                cut(images.shown(int(one.responses.top.images[f, 0])), field.box(*one.responses.place(f, 0)))
                for f in config.features
            ]
            panels[label] += [
                [figures.Tile(cut(image, one.box)) for image in one.images],
                list(map(figures.Tile, real)),
            ]
    context.save_figure(
        figures.image_panels(panels, labels=list(by_network[LEARNED]), group=2),
        "filters",
        "What filters respond to most",
        f"For each layer, filters {', '.join(map(str, config.features))}: above, the image that gradient ascent found, "
        f"cut to what the unit sees; below, the part of {len(images):,} real images with the strongest response. Small "
        "receptive fields are enlarged; those at the edge of the image are cut by it.",
    )
