"""guided-backprop: what did the discriminator's features learn to respond to? (section 6.2, figure 5).

1. The strongest responses: all images stream through the network; for each feature of the last conv layer those with
   the largest activation at any position are kept. An axis of the feature space, not a direction, is maximised.
2. Each response is attributed to the pixels by guided backpropagation (or ``--set method=...``), at the position
   where it occurred, and shown cut to what that unit sees.
3. The same for the random-weight twin. BatchNorm statistics are re-estimated for both.
4. In numbers: how concentrated the attributions are within the receptive field; how well they keep when noise is added
   to the image, and when it is shifted by a pixel; how far the strongest responses stand out from the others. A map
   that hardly depends on the image keeps for no good reason, so the agreement of the same unit's maps on different
   images stands beside stability, and ``stability_margin`` is what stability is above it.

Consumes a checkpoint with a discriminator and a dataset with a training split; labels only if conditional.
Produces ``concentration``, ``stability_margin``, ``stability``, ``shift_stability``, ``margin``,
``other_image_agreement`` and ``gradient_agreement`` (1 where the method does nothing that the plain gradient does not),
each with ``twin_...`` and ``..._gain``; and responses.npz.

Reference: arXiv 1511.06434, section 6.2; Springenberg et al. 2014, arXiv 1412.6806, section 3.4. The rule for
LeakyReLU, the numbers and their definitions are this project's: ``guided`` and ``measures`` of
``dcgan_analysis.units.attribution``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from dcgan_analysis.api import Demo, Metric, Needs, Table
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing import LEARNED, TWIN
from dcgan_analysis.units import (
    check_filters,
    compared_metrics,
    cut,
    last_conv,
    open_images,
    save_pairs,
    settled_network,
    subjects,
)
from dcgan_analysis_plugins.guided_backprop.attributions import TOP_SHARE, AttributionSettings, attribute_strongest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.units import ImageStream
    from dcgan_analysis_plugins.guided_backprop.attributions import Attributions

# Name -> whether higher is better, description.
_NUMBERS = {
    "concentration": (True, f"share of the attribution in the strongest {100 * TOP_SHARE:g} % of the pixels seen"),
    "stability_margin": (True, "correlation under noise, less that between different images"),
    "stability": (True, "correlation with the attribution after noise"),
    "shift_stability": (True, "correlation with the attribution after a shift of one pixel, shifted back"),
    "margin": (True, "strongest responses above the mean over all images, in standard deviations"),
    "other_image_agreement": (None, "correlation with the attribution of the same unit on another image"),
    "gradient_agreement": (None, "correlation with the plain gradient; 1: the method adds nothing to it"),
}


class GuidedBackpropConfig(AttributionSettings):
    """Settings; the defaults are those of figure 5."""

    tap: str = Field(default="", description="layer whose features are looked at; empty: the last conv layer")


class GuidedBackprop:
    """Strongest responses of features with their attributions, beside the random twin."""

    name = "guided-backprop"
    summary = "What features respond to: strongest images and their guided backpropagation, beside the twin (6.2)"
    question = "Do the discriminator's features respond to something definite, where random ones do not?"
    reference = "Radford, Metz, Chintala 2016, section 6.2, figure 5: https://arxiv.org/abs/1511.06434"
    config_type = GuidedBackpropConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train",), discriminator=True)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"measured": 12, "top": 4, "noise_draws": 1},
        limit=200,
    )

    def requires(self, config: GuidedBackpropConfig) -> Needs:
        """Return what it consumes of the splits that these settings name."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: GuidedBackpropConfig) -> list[Callable[[], object]]:
        """Look for the layers, and for as many filters in them."""
        return [lambda: check_filters(context, [_tap(context, config)], config.features)]

    def run(self, context: RunContext, config: GuidedBackpropConfig) -> Result:
        """Attribute the checkpoint's strongest responses, then the twin's, and put them side by side."""
        tap = _tap(context, config)
        images = open_images(context, config, config.split, config.images)
        context.use_split(config.split, images.split)
        by_network = {}
        for label, checkpoint in subjects(context).items():
            with context.stage(f"{label}: BatchNorm statistics"):
                network = settled_network(context, config, label, checkpoint, [tap])
            by_network[label] = attribute_strongest(context, config, label, network, tap, images)
            _check_and_note(context, config, label, tap, by_network[label])
        metrics = _metrics(context, by_network)
        with context.stage("figures"):
            _save_arrays(context, images, by_network)
            _save_features(context, config, tap, images, by_network, metrics)
            _save_bars(context, metrics)
        return context.result(
            title=f"{config.method} on {tap} of {context.checkpoint.name}, {context.dataset.name}",
            headline="concentration",
            metrics=metrics,
            tables=[_features_table(config, by_network)],
        )


def _tap(context: RunContext, config: GuidedBackpropConfig) -> str:
    return config.tap or last_conv(context.checkpoint)


def _check_and_note(
    context: RunContext, config: GuidedBackpropConfig, label: str, tap: str, attributions: Attributions
) -> None:
    import numpy as np

    silent = np.isnan(attributions.columns["concentration"])
    if silent.all():
        msg = (
            f"No pixel gets any {config.method} attribution from tap '{tap}' ({label}): its features do not respond to "
            f"the images of '{context.dataset.name}'. Choose another tap, or other features."
        )
        raise AnalysisError(msg)
    if silent.any():
        context.note(
            f"{label}: {int(silent.sum())} of {silent.size} attributions are zero everywhere, for the unit's response "
            "is not positive; they are left out of the numbers."
        )


def _metrics(context: RunContext, by_network: Mapping[str, Attributions]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for name, (better, text) in _NUMBERS.items():
        metrics |= compared_metrics(
            context,
            name,
            {label: one.columns[name] for label, one in by_network.items()},
            text,
            groups="features and images",
            unit="fraction" if name == "concentration" else "number",
            higher_is_better=better,
        )
    return metrics


def _features_table(config: GuidedBackpropConfig, by_network: Mapping[str, Attributions]) -> Table:
    import numpy as np

    names = {
        "margin": "margin",
        "concentration": f"in top {100 * TOP_SHARE:g} % of pixels",
        "gini": "Gini",
        "entropy": "entropy",
        "stability": "kept under noise",
        "shift_stability": "kept under shift",
        "other_image_agreement": "same on another image",
    }
    rows: list[list[Cell]] = []
    for row, feature in enumerate(config.features):
        for label, one in by_network.items():
            means = [one.columns[name][row] for name in names]
            cells = [None if np.isnan(mean).all() else float(np.nanmean(mean)) for mean in means]
            strongest = float(one.responses.top.values[feature, 0])
            rows.append([f"feature {feature}", label, strongest, *cells])
    return Table(
        name="features",
        title="The features shown",
        columns=["feature", "network", "strongest response", *names.values()],
        rows=rows,
        percent=[names["concentration"]],
        note=f"Means over the {config.top} strongest responses. Features of the two networks have nothing to do with "
        "each other; they stand side by side to be compared in kind.",
    )


def _save_arrays(context: RunContext, images: ImageStream, by_network: Mapping[str, Attributions]) -> None:
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {}
    for label, one in by_network.items():
        prefix, chosen = ("twin_" if label == TWIN else ""), list(one.features)
        top = one.responses.top
        arrays[f"{prefix}values"], arrays[f"{prefix}positions"] = top.values[chosen], top.positions[chosen]
        arrays[f"{prefix}ids"] = np.array(images.split.ids)[top.images[chosen]]
        for name, values in one.columns.items():
            arrays[f"{prefix}{name}"] = values
    context.save_arrays("responses", features=np.array(by_network[LEARNED].features), **arrays)


def _save_features(
    context: RunContext,
    config: GuidedBackpropConfig,
    tap: str,
    images: ImageStream,
    by_network: Mapping[str, Attributions],
    metrics: Mapping[str, Metric],
) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.units.attribution import METHODS, attribution_picture

    kind = METHODS[config.method].kind
    panels = {}
    # Random to the left, learned to the right, as in the paper's figure.
    for label, one in reversed(list(by_network.items())):
        rows = []
        for row, feature in enumerate(config.features):
            units = one.units(row)
            indices = one.responses.top.images[feature].tolist()
            crops = [cut(images.shown(i), one.boxes[unit]) for i, unit in zip(indices, units, strict=True)]
            maps = [attribution_picture(cut(one.maps[unit], one.boxes[unit]), kind) for unit in units]
            rows += [[figures.Tile(crop) for crop in crops], [figures.Tile(one_map) for one_map in maps]]
        panels[label] = rows
    labels = [f"feature {feature}" for feature in config.features]
    ours, theirs = metrics["concentration"].value, metrics["twin_concentration"].value
    context.save_figure(
        figures.image_panels(panels, labels=labels, group=2),
        "features",
        f"Strongest responses of {tap} and their {config.method}",
        f"For each feature the {config.top} images of the strongest responses, strongest first, cut to what the unit "
        "sees, and below each its attribution, scaled by itself "
        f"({'gray is zero' if kind == 'gradient' else 'orange adds to the response, blue takes from it'}). "
        f"The strongest {100 * TOP_SHARE:g} % of the pixels hold {100 * ours:.1f} % of the attribution, with random "
        f"weights {100 * theirs:.1f} %.",
    )


def _save_bars(context: RunContext, metrics: Mapping[str, Metric]) -> None:
    names = {
        "concentration": f"in the top {100 * TOP_SHARE:g} % of pixels",
        "stability": "kept under noise",
        "shift_stability": "kept under shift",
        "other_image_agreement": "same on another image",
    }
    save_pairs(
        context,
        "numbers",
        "Concentration and stability of the attributions",
        f"Means over {metrics['concentration'].n} features with 95 % bootstrap intervals.",
        {text: (metrics[name], metrics[f"twin_{name}"]) for name, text in names.items() if name in metrics},
        x_label="share of the attribution, or correlation",
    )
