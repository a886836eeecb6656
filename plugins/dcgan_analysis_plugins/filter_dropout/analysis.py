"""filter-dropout: can a generator be made to forget an object?

1. Boxes around the object on generated samples: drawn by hand, or found by a rule (docs/annotating.md).
2. Logistic regression on the activations of the generator's second-highest convolutional layer, the highest being the
   one that makes the image: positions inside boxes against random positions of the same samples outside of them.
3. Every feature map whose weight is positive is dropped at all positions; the same latent vectors are drawn again.
4. Success is measured on new samples by a detector that knows neither these maps nor these weights: a probe of the
   discriminator's features over each place of the image (or of its pixels), fitted on the same boxes.
5. Controls: as many random maps, several draws; as many maps of the most negative weights. A dose curve drops maps one
   after another, largest weight first.

The paper drops about 200 maps. Its second-highest layer has 128 maps by our count, the one before 256: choose that by
``layer=deconv2`` of a ``dcgan64``.

Consumes a checkpoint with a generator, and boxes; no dataset.
Produces ``object_removed``, its controls, ``maps_to_halve``, ``probe_auc``, ``maps_dropped``, the change in- and
outside of the boxes, and forgetting.npz.

Reference: Radford, Metz, Chintala 2016, section 6.3.1 and figure 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs
from dcgan_analysis.core import spread_interval
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis_plugins.filter_dropout.forgetting import Orders, Shares

__all__ = ["FilterDropout", "FilterDropoutConfig"]


class FilterDropoutConfig(AnalysisConfig):
    """Settings."""

    boxes: str = Field(
        default="",
        description="file of boxes (our JSON or COCO), or rule:red, yellow, green, blue, bright, dark; "
        "empty: boxes-OBJECT.json beside the checkpoint",
    )
    object: str | None = Field(default=None, description="which object, where there are boxes of several")
    n: int = Field(default=150, ge=10, description="samples that a rule looks at; files say it themselves")
    layer: str | None = Field(default=None, description="layer of the generator; none: the second-highest convolution")
    label: NonNegativeInt | None = Field(default=None, description="class of a conditional generator; none: in turn")
    negatives: PositiveFloat = Field(default=1.0, description="positions outside for each one inside boxes")
    C: PositiveFloat = Field(default=1.0, description="inverse strength of the probe's L2 penalty")
    detector: Literal["auto", "discriminator", "pixels"] = Field(
        default="auto", description="what judges success; auto: the discriminator where there is one"
    )
    samples: int = Field(default=128, ge=2, description="new samples on which success is measured")
    draws: int = Field(default=6, ge=2, description="draws of random maps")
    doses: int = Field(default=6, ge=2, description="numbers of maps on the dose curve")


def draw_orders(weights: np.ndarray, draws: int, context: RunContext) -> dict[str, list[np.ndarray]]:
    """Return in which order maps are dropped, by kind; of random maps ``draws`` orders."""
    from dcgan_analysis_plugins.filter_dropout.forgetting import CHOSEN, NEGATIVE, RANDOM, weakest_and_strongest

    rng = context.rng("random maps")
    strongest, weakest = weakest_and_strongest(weights)
    if not len(strongest):
        msg = "No map has a positive weight: the probe found nothing that speaks for the object. Draw more boxes."
        raise AnalysisError(msg)
    return {
        CHOSEN: [strongest],
        RANDOM: [rng.permutation(len(weights))[: len(strongest)] for _ in range(draws)],
        NEGATIVE: [weakest[: len(strongest)]],
    }


class FilterDropout:
    """Forgetting an object by dropping feature maps of the generator."""

    name = "filter-dropout"
    summary = "Forgetting an object: maps that draw it are dropped, an independent detector judges"
    question = "Does a generator stop drawing an object when the feature maps that speak for it are dropped?"
    reference = "Radford, Metz, Chintala 2016, section 6.3.1: https://arxiv.org/abs/1511.06434"
    config_type = FilterDropoutConfig
    needs = Needs(checkpoint="bedrooms64", generator=True)
    demo = Demo(checkpoint="cifar10-dcgan32-w64", settings={"samples": 32, "draws": 3, "doses": 3})

    def run(self, context: RunContext, config: FilterDropoutConfig) -> Result:
        """Find the maps of the object, drop them and others, and look at what is left."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.filter_dropout.forgetting import (
            CHOSEN,
            AblatedGenerator,
            boxed_scene,
            chosen_layer,
            dose_figure,
            measure_changes,
            measure_shares,
            new_scene,
            outcome_table,
            sample_figures,
            weights_table,
        )
        from dcgan_analysis_plugins.filter_dropout.objects import find_boxes, make_detector
        from dcgan_analysis_plugins.filter_dropout.positions import fit_positions, grouped_auc

        checkpoint, layer = context.checkpoint, chosen_layer(context, config.layer)
        sampler = Sampler(checkpoint, context.device)
        check_samples_vary(context, sampler)
        with context.stage("boxes"):
            boxes, source = find_boxes(
                checkpoint, config.boxes, config.object, n=config.n, seed=context.seed, label=config.label
            )
            boxed = boxed_scene(context, boxes)
            new = new_scene(context, config.samples, boxes.label if config.label is None else config.label)
        generator = AblatedGenerator(context, sampler, layer)
        with context.stage(f"probe of {layer}"):
            positions, activations = generator.positions(boxed, config.negatives)
            probe = fit_positions(activations, positions.inside, positions.rows, c=config.C)
            orders = draw_orders(probe.weights, config.draws, context)
        with context.stage("detector"):
            images = generator.draw(boxed)
            detector = make_detector(
                checkpoint,
                images,
                boxed.labels,
                boxed.boxes,
                kind=config.detector,
                device=context.device,
                rng=context.rng("detector"),
            )
        with context.stage("new samples with and without maps"):
            shares = measure_shares(generator, new, detector, orders, config.doses)
            changes = measure_changes(generator, boxed, images, orders)
        with context.stage("figures"):
            dose_figure(context, shares, len(orders[CHOSEN][0]))
            sample_figures(context, generator, boxed, new, shares, orders)
            context.save_arrays("forgetting", weights=probe.weights, dropped=orders[CHOSEN][0], before=shares.before)
        aucs = {
            "probe_auc": (probe, positions, f"probe of {layer}, samples held out whole"),
            "detector_auc": (
                detector.probe,
                detector.positions,
                f"detector on {detector.kind}, samples held out whole",
            ),
        }
        metrics = outcome_metrics(context, shares, orders, changes)
        for name, (judge, where, text) in aucs.items():
            ends = grouped_auc(where.inside, judge.held_out, where.rows, context.rng(name))
            metrics[name] = Metric(
                value=ends[0],
                low=ends[1],
                high=ends[2],
                interval="95 % bootstrap over samples",
                n=len(boxed.z),
                description=text,
            )
        context.note(
            f"Boxes of '{boxes.object}': {len(boxes.boxes)} on {len(boxed.z)} of {boxes.n} samples of seed "
            f"{boxes.seed}, {source}."
        )
        context.note(
            f"The object counts as seen where the detector ({detector.kind}) scores above a threshold that 1 % of "
            "held-out positions outside of boxes exceed; it sees images alone, never the generator's maps."
        )
        return context.result(
            title=f"Forgetting to draw: {boxes.object}, {checkpoint.name}",
            headline="object_removed",
            metrics=metrics,
            tables=[outcome_table(shares, orders, changes), weights_table(probe.weights)],
        )


def outcome_metrics(
    context: RunContext, shares: Shares, orders: Orders, changes: Mapping[str, tuple[float, float]]
) -> dict[str, Metric]:
    """Return the numbers to quote."""
    from dcgan_analysis_plugins.filter_dropout.forgetting import CHOSEN, NEGATIVE, RANDOM, removed

    most, n = len(orders[CHOSEN][0]), len(shares.before)
    after = shares.by_dose[CHOSEN][most][0]
    value, low, high = removed(shares.before, after, context.rng("bootstrap"))
    mean, least, largest = spread_interval(shares.removed(RANDOM, most))
    few = len(orders[NEGATIVE][0])
    metrics = {
        "object_removed": Metric(
            value=value,
            low=low,
            high=high,
            interval="95 % bootstrap over samples",
            n=n,
            description="share of the object that is gone from new samples, maps of weight > 0 dropped",
        ),
        "object_removed_random": Metric(
            value=mean,
            low=least,
            high=max(mean, min(largest, 1.0)),
            interval="1.96 std over draws of maps",
            n=len(orders[RANDOM]),
            higher_is_better=None,
            description="the same, as many random maps dropped",
        ),
        "maps_dropped": Metric(
            value=most, unit="number", higher_is_better=None, description="maps whose weight is positive"
        ),
        "object_before": Metric(
            value=float(shares.before.mean()), n=n, higher_is_better=None, description="positions that show the object"
        ),
        "object_after": Metric(
            value=float(after.mean()), n=n, higher_is_better=False, description="the same without the maps"
        ),
        "change_inside": Metric(
            value=changes[CHOSEN][0], higher_is_better=None, description="mean change of pixels inside boxes"
        ),
        "change_outside": Metric(
            value=changes[CHOSEN][1], higher_is_better=False, description="mean change of pixels outside of boxes"
        ),
    }
    if largest >= low:
        context.warn(
            f"Some draws of {most} random maps take about as much of the object away as the {most} of positive weight: "
            "that it is gone says little about these maps. The dose curve compares smaller numbers."
        )
    for kind, name in ((CHOSEN, "maps_to_halve"), (RANDOM, "maps_to_halve_random")):
        if (halving := shares.maps_to_halve(kind)) is not None:
            metrics[name] = Metric(
                value=halving,
                unit="number",
                higher_is_better=None,
                description=f"{kind}: fewest maps of the dose curve that take half of the object away",
            )
    if few:
        metrics["object_removed_negative"] = Metric(
            value=shares.removed(NEGATIVE, few)[0],
            n=n,
            higher_is_better=None,
            description=f"the same, the {few} maps of the most negative weights dropped",
        )
    return metrics
