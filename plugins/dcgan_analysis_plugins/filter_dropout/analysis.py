"""filter-dropout: can a generator be made to forget an object?

1. Boxes around the object on generated samples: drawn by hand, or found by a rule (docs/annotating.md).
2. Logistic regression on the activations of the generator's second-highest convolutional layer, the highest being the
   one that makes the image: positions inside boxes against random positions of the same samples outside of them.
3. Every feature map whose weight is positive is dropped at all positions; the same latent vectors are drawn again.
4. Success is measured on new samples by a detector that knows neither these maps nor these weights: probes of the
   discriminator's features over each place of the image (or of its pixels), fitted on the same boxes. Several judges,
   each fitted on other draws of the boxed samples, say it, and intervals hold their disagreement. Neither brightness
   nor contrast counts: samples without maps are brought back to the mean and spread that they had with them where the
   object was not, the detector sees every image at one mean and spread, and is fitted under changing light.
5. Controls are maps that were not chosen, as many as change the picture as much: random ones, several draws; those of
   the most negative weights; those that brighten most. A dose curve drops maps one after another, largest weight first.

The paper drops about 200 maps. Its second-highest layer has 128 maps by our count, the one before 256: choose that by
``layer=deconv2`` of a ``dcgan64``.

Consumes a checkpoint with a generator, and boxes; no dataset.
Produces ``object_removed``, its controls, ``maps_to_halve``, ``probe_auc``, ``detector_auc``, ``maps_dropped``, the
change inside and outside of the boxes, and forgetting.npz, which holds what each judge saw of each new sample at every
dose of the chosen maps and of each control.

Reference: Radford, Metz, Chintala 2016, section 6.3.1 and figure 6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat

from dcgan_analysis.api import AnalysisConfig, Demo, Needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Result, RunContext

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
    judges: int = Field(default=5, ge=2, description="detectors, each fitted on other draws of the boxed samples")
    samples: int = Field(default=128, ge=2, description="new samples on which success is measured")
    draws: int = Field(default=6, ge=2, description="draws of random maps")
    doses: int = Field(default=6, ge=2, description="numbers of maps on the dose curve")


class FilterDropout:
    """Forgetting an object by dropping feature maps of the generator."""

    name = "filter-dropout"
    summary = "Forgetting an object: maps that draw it are dropped, an independent detector judges"
    question = "Does a generator stop drawing an object when the feature maps that speak for it are dropped?"
    reference = "Radford, Metz, Chintala 2016, section 6.3.1: https://arxiv.org/abs/1511.06434"
    config_type = FilterDropoutConfig
    needs = Needs(checkpoint="bedrooms64", generator=True)
    demo = Demo(checkpoint="cifar10-dcgan32-w64", settings={"samples": 32, "draws": 3, "doses": 3})

    def requires(self, config: FilterDropoutConfig) -> Needs:
        """Return what it consumes with this detector."""
        return replace(self.needs, discriminator=config.detector == "discriminator")

    def checks(self, context: RunContext, config: FilterDropoutConfig) -> list[Callable[[], object]]:
        """Look for the layer, for boxes, and at a few samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.filter_dropout.forgetting import check_boxes, chosen_layer

        return [
            lambda: chosen_layer(context, config.layer),
            lambda: check_boxes(context.checkpoint, config.boxes, config.object),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
        ]

    def run(self, context: RunContext, config: FilterDropoutConfig) -> Result:
        """Find the maps of the object, drop them and others, and look at what is left."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.filter_dropout.forgetting import (
            CHOSEN,
            AblatedGenerator,
            boxed_scene,
            chosen_layer,
            control_orders,
            dose_figure,
            dose_table,
            find_boxes,
            fit_positions,
            make_detector,
            measure_changes,
            measure_shares,
            new_scene,
            outcome_table,
            sample_figures,
            weights_table,
        )
        from dcgan_analysis_plugins.filter_dropout.metrics import auc_metrics, outcome_metrics

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
            orders = control_orders(generator, new, probe.weights, config.draws)
        with context.stage("detector"):
            images = generator.draw(boxed)
            detector = make_detector(
                checkpoint,
                images,
                boxed.labels,
                boxed.boxes,
                kind=config.detector,
                judges=config.judges,
                device=context.device,
                rng=context.rng("detector"),
            )
        with context.stage("new samples with and without maps"):
            shares = measure_shares(generator, new, detector, orders, config.doses)
            changes = measure_changes(generator, boxed, images, orders, shares)
        with context.stage("figures"):
            dose_figure(context, shares)
            sample_figures(context, generator, boxed, new, shares, orders)
            context.save_arrays("forgetting", weights=probe.weights, dropped=orders[CHOSEN][0], **shares.arrays())
        metrics = outcome_metrics(context, shares, changes, maps=len(probe.weights)) | auc_metrics(
            context,
            {
                "probe_auc": (probe.held_out, positions, f"probe of {layer}"),
                "detector_auc": (
                    detector.held_out,
                    detector.positions,
                    f"detector on {detector.kind}, mean of {config.judges} judges",
                ),
            },
            samples=len(boxed.z),
        )
        context.note(
            f"Boxes of '{boxes.object}': {len(boxes.boxes)} on {len(boxed.z)} of {boxes.n} samples of seed "
            f"{boxes.seed}, {source}."
        )
        context.note(
            f"The object counts as seen where the detector ({detector.kind}) scores above a threshold that 1 % of "
            "held-out positions outside of boxes exceed; it sees images alone, never the generator's maps, and each at "
            f"the same mean and spread of pixels. {config.judges} judges, fitted on other draws of the boxed samples."
        )
        return context.result(
            title=f"Forgetting to draw: {boxes.object}, {checkpoint.name}",
            headline="object_removed",
            metrics=metrics,
            tables=[outcome_table(shares, changes), dose_table(shares), weights_table(probe.weights)],
        )
