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

Reference: Erhan et al. 2009; the regularisers' sources are in ``dcgan_analysis.attribution.ascent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs, Table
from dcgan_analysis.api.comparison import compared_metrics
from dcgan_analysis.api.filters import (
    FilterSettings,
    check_filters,
    cut,
    find_responses,
    open_images,
    settled_network,
    subjects,
)
from dcgan_analysis.api.probing import LEARNED, TWIN
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.api.filters import ImageStream
    from dcgan_analysis.attribution import Ascent
    from dcgan_analysis.extraction import TapResponses
    from dcgan_analysis.models.receptive import Box

__all__ = ["ActivationMaximization", "ActivationMaximizationConfig"]

_COMPARED = 128  # real images whose nearest others tell how far real images lie apart
_BLOCK = 512  # real images held as floats at once


class ActivationMaximizationConfig(FilterSettings):
    """Settings; weights are those of penalties beside responses in standard deviations of real ones."""

    taps: tuple[str, ...] = Field(default=(), description="layers looked at; empty: all that give features")
    steps: PositiveInt = Field(default=96, description="steps of gradient ascent")
    rate: PositiveFloat = Field(default=0.05, description="learning rate of Adam; pixels count from -1 to 1")
    l2: NonNegativeFloat = Field(default=8.0, description="weight of the mean square distance from gray")
    tv: NonNegativeFloat = Field(default=2.0, description="weight of the total variation")
    jitter: NonNegativeInt = Field(
        default=2, description="pixels of random shift in each step, at most an eighth of the receptive field"
    )
    blur: NonNegativeFloat = Field(
        default=0.5, description="std in pixels of the blur, at most a thirty-second of the receptive field; 0: none"
    )
    blur_every: PositiveInt = Field(default=4, description="steps between two blurs")
    start: NonNegativeFloat = Field(default=0.05, description="std of the noise that the search starts from")

    def ascent(self, field: int, seen: int) -> Ascent:
        """Return the settings of the search for a unit whose field has ``field`` pixels per side, ``seen`` in all."""
        from dcgan_analysis.attribution import Ascent

        return Ascent(
            steps=self.steps,
            rate=self.rate,
            l2=self.l2,
            tv=self.tv,
            seen=seen,
            jitter=min(self.jitter, field // 8),
            blur=min(self.blur, field / 32),
            blur_every=self.blur_every,
            start=self.start,
        )


@dataclass(frozen=True)
class Found:
    """What was found for one layer of one network, for F filters.

    Attributes:
        images: Images found, uint8 (F, C, H, W).
        box: What the maximised units see.
        reached: Responses to them, the strongest of all positions (F,).
        responses: Responses to the real images.
        ratios: Responses reached over the strongest real ones (F,), NaN where those are not positive.
        distances: Distance to the nearest real image, in units of that between real ones (F,).
    """

    images: NDArray[np.uint8]
    box: Box
    reached: NDArray[np.float64]
    responses: TapResponses
    ratios: NDArray[np.float64]
    distances: NDArray[np.float64]


def maximise_layer(
    context: RunContext,
    config: ActivationMaximizationConfig,
    who: str,
    network: nn.Module,
    tap: str,
    responses: TapResponses,
    images: ImageStream,
) -> Found:
    """Search the images of one layer's filters, and compare them with real ones."""
    import numpy as np
    import torch

    from dcgan_analysis.attribution import UnitResponse, Units, ascend, relative_distances
    from dcgan_analysis.extraction import stream_responses
    from dcgan_analysis.models.receptive import receptive_field

    features = list(config.features)
    height, width = responses.map_size
    architecture = context.checkpoint.architecture
    field = receptive_field(architecture, tap)
    box = field.box(height // 2, width // 2)
    strongest = responses.top.images[features, 0]
    labels = images.arguments(strongest)[1:]
    stds = torch.from_numpy(responses.sums.std[features]).float()

    def step(done: int) -> None:
        context.progress(f"{who}: {tap} (steps of the ascent)", done, config.steps)

    found = ascend(
        UnitResponse(network, tap),
        Units.of(features, [height // 2 * width + width // 2] * len(features)),
        architecture.image_shape,
        config.ascent(min(field.extent), box.height * box.width),
        context.torch_generator("ascent", tap),
        image_range=context.checkpoint.metadata.image_range,
        scales=torch.where(stds > 0, stds, 1.0),
        labels=labels[0] if labels else None,
        device=context.device,
        step=step,
    )
    # What is shown and saved is what is measured: bytes.
    shown = images.prepare.to_bytes(found)
    seen = next(stream_responses(network, [tap], [(images.prepare(shown).to(context.device), *labels)]))[tap]
    reached = seen.values[np.arange(len(features)), features].astype(np.float64)
    highest = responses.top.values[features, 0].astype(np.float64)
    ratios = np.divide(reached, highest, out=np.full(len(features), np.nan), where=highest > 0)
    compared = context.rng("compared").permutation(len(images))[:_COMPARED]
    distances = relative_distances(cut(shown, box), _real_parts(images, box), compared)
    return Found(shown, box, reached, responses, ratios, distances)


def _real_parts(images: ImageStream, box: Box) -> NDArray[np.uint8]:
    """Return what the maximised units see of every image, as bytes."""
    import numpy as np

    blocks = (images.split.images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
    return np.concatenate([cut(images.prepare.to_bytes(images.prepare(block)), box) for block in blocks])


class ActivationMaximization:
    """Images that maximise single filters, beside the random twin."""

    name = "activation-maximization"
    summary = "Images found by gradient ascent that filters respond to most, layer by layer, beside the twin (6.2)"
    question = "What would each filter like to see, and how far is that from real images?"
    reference = "Erhan et al. 2009; Yosinski et al. 2015: https://arxiv.org/abs/1506.06579"
    config_type = ActivationMaximizationConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train",), discriminator=True)
    demo = Demo(
        dataset="digits", settings={"taps": ["conv3", "conv6"], "features": [0, 1, 2, 3], "steps": 32}, limit=200
    )

    def run(self, context: RunContext, config: ActivationMaximizationConfig) -> Result:
        """Maximise filters of the checkpoint, then of its twin, and put them side by side."""
        taps = config.taps or context.checkpoint.architecture.taps
        images = open_images(context, config, config.split, config.images)
        context.use_split(config.split, images.split)
        check_filters(context, taps, config.features, images)
        found: dict[str, dict[str, Found]] = {}
        for who, checkpoint in subjects(context).items():
            with context.stage(f"{who}: BatchNorm statistics"):
                network = settled_network(context, config, who, checkpoint, taps)
            with context.stage(f"{who}: real responses"):
                responses = find_responses(context, who, network, taps, images, 1)
            with context.stage(f"{who}: gradient ascent"):
                found[who] = {
                    tap: maximise_layer(context, config, who, network, tap, responses[tap], images) for tap in taps
                }
        metrics = _metrics(context, found)
        with context.stage("figures"):
            _save_arrays(context, found)
            _save_grid(context, config, images, found)
        return context.result(
            self,
            config,
            title=f"What filters of {context.checkpoint.name} respond to most",
            headline="activation_ratio",
            metrics=metrics,
            tables=[_layers_table(found), _filters_table(config, found)],
        )


def _metrics(context: RunContext, found: Mapping[str, Mapping[str, Found]]) -> dict[str, Metric]:
    import numpy as np

    def together(name: str) -> dict[str, NDArray[np.float64]]:
        return {
            who: np.concatenate([getattr(one, name) for one in layers.values()])[:, None]
            for who, layers in found.items()
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
            f"No filter of {', '.join(found[LEARNED])} responds to the images of '{context.dataset.name}', in the "
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


def _layers_table(found: Mapping[str, Mapping[str, Found]]) -> Table:
    import numpy as np

    columns = ["layer"]
    for text in ("response over strongest real", "distance over real"):
        columns += [text, f"{text}, twin"]

    def mean(values: NDArray[np.float64]) -> float | None:
        return None if np.isnan(values).all() else float(np.nanmean(values))

    rows: list[list[Cell]] = []
    for tap in found[LEARNED]:
        pair = [found[who][tap] for who in (LEARNED, TWIN)]
        rows.append([tap, *[mean(one.ratios) for one in pair], *[mean(one.distances) for one in pair]])
    return Table(
        name="layers",
        title="Layer by layer",
        columns=columns,
        rows=rows,
        note="Distances: root mean square over the pixels that the unit sees, to the nearest of the real images, in "
        f"units of the mean distance of {_COMPARED} real images to their nearest others.",
    )


def _filters_table(config: ActivationMaximizationConfig, found: Mapping[str, Mapping[str, Found]]) -> Table:
    rows: list[list[Cell]] = []
    for who, layers in found.items():
        for tap, one in layers.items():
            for row, feature in enumerate(config.features):
                responses = [float(one.reached[row]), float(one.responses.top.values[feature, 0])]
                rows.append([who, tap, feature, *responses, _known(one.ratios[row]), _known(one.distances[row])])
    columns = ["network", "layer", "filter", "response to image found", "strongest real response", "ratio", "distance"]
    return Table(name="filters", title="Every filter", columns=columns, rows=rows)


def _known(value: float) -> float | None:
    return float(value) if value == value else None  # NaN differs from itself


def _save_arrays(context: RunContext, found: Mapping[str, Mapping[str, Found]]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for who, layers in found.items():
        for tap, one in layers.items():
            arrays[f"{'twin_' if who == TWIN else ''}{tap}"] = one.images
    context.save_arrays("images", **arrays)


def _save_grid(
    context: RunContext,
    config: ActivationMaximizationConfig,
    images: ImageStream,
    found: Mapping[str, Mapping[str, Found]],
) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.models.receptive import receptive_field

    panels: dict[str, list[list[figures.Tile]]] = {}
    for who, layers in found.items():
        panels[who] = []
        for tap, one in layers.items():
            field = receptive_field(context.checkpoint.architecture, tap)
            real = [
                cut(images.shown(int(one.responses.top.images[f, 0])), field.box(*one.responses.place(f, 0)))
                for f in config.features
            ]
            panels[who] += [[figures.Tile(cut(image, one.box)) for image in one.images], list(map(figures.Tile, real))]
    context.save_figure(
        figures.image_panels(panels, labels=list(found[LEARNED]), group=2),
        "filters",
        "What filters respond to most",
        f"For each layer, filters {', '.join(map(str, config.features))}: above, the image that gradient ascent found, "
        f"cut to what the unit sees; below, the part of {len(images):,} real images with the strongest response. Small "
        "receptive fields are enlarged; those at the edge of the image are cut by it.",
    )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(ActivationMaximization())
