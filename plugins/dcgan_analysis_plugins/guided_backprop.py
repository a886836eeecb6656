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
LeakyReLU, the numbers and their definitions are this project's: ``dcgan_analysis.attribution.guided`` and ``measures``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs, Table
from dcgan_analysis.api.comparison import compared_metrics, save_pairs
from dcgan_analysis.api.filters import (
    FilterSettings,
    check_filters,
    cut,
    find_responses,
    last_conv,
    open_images,
    settled_network,
    subjects,
)
from dcgan_analysis.api.probing import LEARNED, TWIN
from dcgan_analysis.attribution import check_method
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.api.filters import ImageStream
    from dcgan_analysis.attribution import Units
    from dcgan_analysis.extraction import TapResponses
    from dcgan_analysis.models.receptive import Box

__all__ = ["GuidedBackprop", "GuidedBackpropConfig", "measured_features"]

_TOP_SHARE = 0.05
_SHIFTS = ((0, 1), (1, 0))  # rows and columns, in pixels
# Name -> whether higher is better, description.
_NUMBERS = {
    "concentration": (True, f"share of the attribution in the strongest {100 * _TOP_SHARE:g} % of the pixels seen"),
    "stability_margin": (True, "correlation under noise, less that between different images"),
    "stability": (True, "correlation with the attribution after noise"),
    "shift_stability": (True, "correlation with the attribution after a shift of one pixel, shifted back"),
    "margin": (True, "strongest responses above the mean over all images, in standard deviations"),
    "other_image_agreement": (None, "correlation with the attribution of the same unit on another image"),
    "gradient_agreement": (None, "correlation with the plain gradient; 1: the method adds nothing to it"),
}


class GuidedBackpropConfig(FilterSettings):
    """Settings; the defaults are those of figure 5."""

    method: str = Field(
        default="guided-backprop",
        description="guided-backprop, guided-backprop-leaky, deconvolution, saliency, smoothgrad, input-x-gradient, "
        "integrated-gradients, gradient-shap or occlusion",
    )
    tap: str = Field(default="", description="layer whose features are looked at; empty: the last conv layer")
    top: PositiveInt = Field(default=6, description="images of the strongest responses, for each feature")
    measured: PositiveInt = Field(
        default=48, description="features that the numbers rest on: those shown, and the first others"
    )
    noise: float = Field(default=0.05, gt=0, le=1, description="std of the added noise, as a share of the image range")
    noise_draws: PositiveInt = Field(default=2, description="noisy copies of each image")

    @field_validator("method")
    @classmethod
    def _method_is_known(cls, value: str) -> str:
        return check_method(value)


@dataclass(frozen=True)
class Attributions:
    """What was found for one network: F features, the M strongest responses of each, in row-major order.

    Attributes:
        features: Numbers of the features (F,); those shown come first.
        responses: All responses of the layer.
        boxes: What each unit sees, F x M.
        maps: Attributions, float32 (F x M, C, H, W).
        columns: Measure -> values (F, M), NaN where an attribution is zero everywhere.
    """

    features: tuple[int, ...]
    responses: TapResponses
    boxes: list[Box]
    maps: NDArray[np.float32]
    columns: dict[str, NDArray[np.float64]]


def measured_features(shown: Sequence[int], measured: int, available: int) -> tuple[int, ...]:
    """Return the features shown, then the first others, as many as are measured."""
    others = (feature for feature in range(available) if feature not in shown)
    return (*shown, *list(others)[: max(measured - len(shown), 0)])


def attribute_network(
    context: RunContext, config: GuidedBackpropConfig, who: str, network: nn.Module, tap: str, images: ImageStream
) -> Attributions:
    """Find the strongest responses of one network, attribute them, and measure the attributions."""
    from dcgan_analysis.attribution import Units
    from dcgan_analysis.models.receptive import receptive_field

    with context.stage(f"{who}: strongest responses"):
        responses = find_responses(context, who, network, [tap], images, config.top)[tap]
    features = measured_features(config.features, config.measured, responses.features)
    chosen, kept = list(features), responses.top.values.shape[1]
    units = Units.of([f for f in features for _ in range(kept)], responses.top.positions[chosen].ravel().tolist())
    field = receptive_field(context.checkpoint.architecture, tap)
    boxes = [field.box(*responses.place(f, rank)) for f in features for rank in range(kept)]
    with context.stage(f"{who}: attributions"):
        maps, columns = _measure(
            context, config, who, _Explained(network, tap, images, units, responses, chosen, boxes)
        )
    columns["margin"] = responses.margins(config.top)[chosen].repeat(kept)
    shaped = {name: values.reshape(len(features), kept) for name, values in columns.items()}
    return Attributions(features, responses, boxes, maps, shaped)


@dataclass(frozen=True)
class _Explained:
    network: nn.Module
    tap: str
    images: ImageStream
    units: Units
    responses: TapResponses
    features: list[int]
    boxes: list[Box]

    @property
    def indices(self) -> NDArray[np.int64]:
        return self.responses.top.images[self.features].ravel()


def _measure(
    context: RunContext, config: GuidedBackpropConfig, who: str, explained: _Explained
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
    """Attribute every response once as it is, and again from noisy and shifted images and by the plain gradient."""
    import numpy as np
    import torch

    from dcgan_analysis.attribution import UnitResponse, agreement, attribute, measure_maps, shifted

    response = UnitResponse(explained.network, explained.tap)
    pixels, *labels = explained.images.arguments(explained.indices)
    low, high = context.checkpoint.metadata.image_range
    source = context.torch_generator("noise")
    noise = [torch.randn(pixels.shape, generator=source).to(pixels.device) for _ in range(config.noise_draws)]
    todo = 3 + len(noise) + len(_SHIFTS)
    done = 0

    def maps_of(images: Tensor, method: str = config.method, classes: list[Tensor] = labels) -> NDArray[np.float32]:
        nonlocal done
        found = attribute(
            method,
            response,
            images,
            explained.units,
            image_range=(low, high),
            labels=classes[0] if classes else None,
        )
        done += 1
        context.progress(f"{who}: attributions (versions of the images)", done, todo)
        return found.numpy()

    def agreeing(others: NDArray[np.float32], shift: tuple[int, int] = (0, 0)) -> NDArray[np.float64]:
        return agreement(maps, others, explained.boxes, shift)

    maps = maps_of(pixels)
    measures = measure_maps([cut(one, box) for one, box in zip(maps, explained.boxes, strict=True)], _TOP_SHARE)
    noisy = [agreeing(maps_of((pixels + config.noise * (high - low) * one).clamp(low, high))) for one in noise]
    moved = [agreeing(maps_of(shifted(pixels, *shift)), shift) for shift in _SHIFTS]
    # The same units on other images: mostly the feature's next strongest, of which each unit's neighbour has one.
    others = [torch.roll(one, 1, dims=0) for one in (pixels, *labels)]
    other = agreeing(maps_of(others[0], classes=others[1:]))
    columns = {
        "concentration": measures.top_share,
        "gini": measures.gini,
        "entropy": measures.entropy,
        "stability": np.mean(noisy, axis=0),
        "shift_stability": np.mean(moved, axis=0),
        "other_image_agreement": other,
        "stability_margin": np.mean(noisy, axis=0) - other,
        "gradient_agreement": agreeing(maps_of(pixels, "saliency")),
    }
    silent = np.isnan(measures.top_share)
    return maps, {name: np.where(silent, np.nan, values) for name, values in columns.items()}


class GuidedBackprop:
    """Strongest responses of features with their attributions, beside the random twin."""

    name = "guided-backprop"
    summary = "What features respond to: strongest images and their guided backpropagation, beside the twin (6.2)"
    question = "Do the discriminator's features respond to something definite, where random ones do not?"
    reference = "Radford, Metz, Chintala 2016, section 6.2, figure 5: https://arxiv.org/abs/1511.06434"
    config_type = GuidedBackpropConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train",), discriminator=True)
    demo = Demo(dataset="digits", settings={"measured": 12, "top": 4, "noise_draws": 1}, limit=200)

    def run(self, context: RunContext, config: GuidedBackpropConfig) -> Result:
        """Attribute the checkpoint's strongest responses, then the twin's, and put them side by side."""
        tap = config.tap or last_conv(context.checkpoint.architecture)
        images = open_images(context, config, config.split, config.images)
        context.use_split(config.split, images.split)
        check_filters(context, [tap], config.features, images)
        found = {}
        for who, checkpoint in subjects(context).items():
            with context.stage(f"{who}: BatchNorm statistics"):
                network = settled_network(context, config, who, checkpoint, [tap])
            found[who] = attribute_network(context, config, who, network, tap, images)
            _check_and_note(context, config, who, tap, found[who])
        metrics = _metrics(context, found)
        with context.stage("figures"):
            _save_arrays(context, images, found)
            _save_features(context, config, tap, images, found, metrics)
            _save_bars(context, metrics)
        return context.result(
            self,
            config,
            title=f"{config.method} on {tap} of {context.checkpoint.name}, {context.dataset.name}",
            headline="concentration",
            metrics=metrics,
            tables=[_features_table(config, found)],
        )


def _check_and_note(context: RunContext, config: GuidedBackpropConfig, who: str, tap: str, found: Attributions) -> None:
    import numpy as np

    silent = np.isnan(found.columns["concentration"])
    if silent.all():
        msg = (
            f"No pixel gets any {config.method} attribution from tap '{tap}' ({who}): its features do not respond to "
            f"the images of '{context.dataset.name}'. Choose another tap, or other features."
        )
        raise AnalysisError(msg)
    if silent.any():
        context.note(
            f"{who}: {int(silent.sum())} of {silent.size} attributions are zero everywhere, for the unit's response "
            "is not positive; they are left out of the numbers."
        )


def _metrics(context: RunContext, found: Mapping[str, Attributions]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for name, (better, text) in _NUMBERS.items():
        metrics |= compared_metrics(
            context,
            name,
            {who: one.columns[name] for who, one in found.items()},
            text,
            groups="features and images",
            unit="fraction" if name == "concentration" else "number",
            higher_is_better=better,
        )
    return metrics


def _features_table(config: GuidedBackpropConfig, found: Mapping[str, Attributions]) -> Table:
    import numpy as np

    names = {
        "margin": "margin",
        "concentration": f"in top {100 * _TOP_SHARE:g} % of pixels",
        "gini": "Gini",
        "entropy": "entropy",
        "stability": "kept under noise",
        "shift_stability": "kept under shift",
        "other_image_agreement": "same on another image",
    }
    rows: list[list[Cell]] = []
    for row, feature in enumerate(config.features):
        for who, one in found.items():
            means = [one.columns[name][row] for name in names]
            cells = [None if np.isnan(mean).all() else float(np.nanmean(mean)) for mean in means]
            strongest = float(one.responses.top.values[feature, 0])
            rows.append([f"feature {feature}", who, strongest, *cells])
    return Table(
        name="features",
        title="The features shown",
        columns=["feature", "network", "strongest response", *names.values()],
        rows=rows,
        percent=[names["concentration"]],
        note=f"Means over the {config.top} strongest responses. Features of the two networks have nothing to do with "
        "each other; they stand side by side to be compared in kind.",
    )


def _save_arrays(context: RunContext, images: ImageStream, found: Mapping[str, Attributions]) -> None:
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {}
    for who, one in found.items():
        prefix, chosen = ("twin_" if who == TWIN else ""), list(one.features)
        top = one.responses.top
        arrays[f"{prefix}values"], arrays[f"{prefix}positions"] = top.values[chosen], top.positions[chosen]
        arrays[f"{prefix}ids"] = np.array(images.split.ids)[top.images[chosen]]
        for name, values in one.columns.items():
            arrays[f"{prefix}{name}"] = values
    context.save_arrays("responses", features=np.array(found[LEARNED].features), **arrays)


def _save_features(
    context: RunContext,
    config: GuidedBackpropConfig,
    tap: str,
    images: ImageStream,
    found: Mapping[str, Attributions],
    metrics: Mapping[str, Metric],
) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.attribution import METHODS, attribution_picture

    kind = METHODS[config.method].kind
    panels = {}
    for who, one in found.items():
        kept = one.responses.top.values.shape[1]
        rows = []
        for row, feature in enumerate(config.features):
            units = range(row * kept, (row + 1) * kept)
            indices = one.responses.top.images[feature].tolist()
            crops = [cut(images.shown(i), one.boxes[unit]) for i, unit in zip(indices, units, strict=True)]
            maps = [attribution_picture(cut(one.maps[unit], one.boxes[unit]), kind) for unit in units]
            rows += [[figures.Tile(crop) for crop in crops], [figures.Tile(one_map) for one_map in maps]]
        panels[who] = rows
    labels = [f"feature {feature}" for feature in config.features]
    ours, theirs = metrics["concentration"].value, metrics["twin_concentration"].value
    context.save_figure(
        figures.image_panels(panels, labels=labels, group=2),
        "features",
        f"Strongest responses of {tap} and their {config.method}",
        f"For each feature the {config.top} images of the strongest responses, strongest first, cut to what the unit "
        "sees, and below each its attribution, scaled by itself "
        f"({'gray is zero' if kind == 'gradient' else 'orange adds to the response, blue takes from it'}). "
        f"The strongest {100 * _TOP_SHARE:g} % of the pixels hold {100 * ours:.1f} % of the attribution, with random "
        f"weights {100 * theirs:.1f} %.",
    )


def _save_bars(context: RunContext, metrics: Mapping[str, Metric]) -> None:
    names = {
        "concentration": f"in the top {100 * _TOP_SHARE:g} % of pixels",
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


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(GuidedBackprop())
