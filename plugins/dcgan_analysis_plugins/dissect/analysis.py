"""dissect: which units of the two networks answer to an object, and does the generator draw it by them?

1. Boxes around the object on generated samples: drawn by hand, or found by a rule (docs/annotating.md). Or an attribute
   or a class of the dataset: attribute classifiers, trained on real images, say which samples show it. Half of the
   samples chooses, the other half measures.
2. Every unit of every layer with maps, of the generator while it draws and of the discriminator while it looks:
   intersection over union of the places where the unit exceeds a threshold with the boxes, average precision of its
   activation (of an attribute the places are whole images). Threshold and unit are chosen on one half and measured on
   the other.
3. Controls: the same choice where each sample has the boxes of another one, and units drawn at random.
4. The units of one layer of the generator that agree best are taken away (set to 0 everywhere), and put in (set to the
   level of their strongest places, in a place without the object). A detector that knows images alone says whether the
   object goes and comes; pixels say what changes inside and outside of that place. Controls: as many other units, each
   of about the activation of a chosen one, several draws; and the mean change of colour painted there.
5. Along walks in latent space: whether the units are active where the detector sees the object.

Consumes a checkpoint with a generator, and boxes, or a dataset that knows the attribute.
Produces ``generator_iou``, ``discriminator_iou``, ``..._precision`` with their ``_shuffled`` and ``_random`` controls,
``removed``, ``inserted``, changes of pixels, ``walk_correlation``; units.npz, what was measured of every unit.

Reference: Bau et al. 2019, arXiv 1811.10597 (GAN Dissection); Bau et al. 2017, arXiv 1704.05796 (Network Dissection).
Beyond them: halves, shuffled boxes, units matched in activation, a detector that was not trained on segmentations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from dcgan_analysis.api import AnalysisConfig, Demo, Needs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.api import Metric, Result, RunContext
    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.scenes import Examined

__all__ = ["Dissect", "DissectConfig"]


class DissectConfig(AnalysisConfig):
    """Settings."""

    boxes: str = Field(
        default="",
        description="file of boxes (our JSON or COCO), or rule:red, yellow, green, blue, bright, dark; "
        "empty: boxes-OBJECT.json beside the checkpoint",
    )
    object: str | None = Field(default=None, description="which object, where there are boxes of several")
    attribute: str = Field(
        default="", description="attribute or class of the dataset that whole samples show; empty: boxes are looked at"
    )
    samples: int = Field(default=400, ge=16, description="samples that are looked at for an attribute")
    classifier_steps: PositiveInt | None = Field(
        default=None, description="minibatches that train an attribute classifier; none given: by the dataset's size"
    )
    n: int = Field(default=150, ge=10, description="samples that a rule looks at; files say it themselves")
    label: NonNegativeInt | None = Field(default=None, description="class of a conditional generator; none: in turn")
    layer: str | None = Field(
        default=None, description="layer of the generator whose units are changed; none: that of the best unit"
    )
    units: PositiveInt | None = Field(
        default=None, description="units that are taken away and put in; none: an eighth of the layer's"
    )
    shuffles: int = Field(default=5, ge=2, description="how often boxes are given to other samples, the control")
    draws: int = Field(default=5, ge=2, description="draws of other units, the control")
    detector: Literal["auto", "discriminator", "pixels"] = Field(
        default="auto", description="what sees the object; auto: the discriminator where there is one"
    )
    judges: int = Field(
        default=5, ge=2, description="detectors, each fitted on other draws of the boxed samples; or classifiers"
    )
    walks: int = Field(default=12, ge=2, description="walks between random points")
    steps: int = Field(default=8, ge=2, description="steps of a walk")


class Dissect:
    """Units that answer to an object, and what they do to it."""

    name = "dissect"
    summary = "Units of both networks that answer to an object; what taking them away and putting them in does"
    question = "Which units answer to an object, and does the generator draw it by them?"
    reference = "Bau et al. 2019: https://arxiv.org/abs/1811.10597; Bau et al. 2017: https://arxiv.org/abs/1704.05796"
    config_type = DissectConfig
    needs = Needs(checkpoint="bedrooms64", generator=True)
    demo = Demo(checkpoint="digits-dcgan32", settings={"shuffles": 3, "draws": 3, "walks": 4, "judges": 3})

    def requires(self, config: DissectConfig) -> Needs:
        """Return what it consumes with this detector, or for an attribute."""
        if config.attribute:
            return replace(self.needs, checkpoint="digits-dcgan32", dataset="digits", splits=("train",))
        return replace(self.needs, discriminator=config.detector == "discriminator")

    def checks(self, context: RunContext, config: DissectConfig) -> list[Callable[[], object]]:
        """Look for the boxes or the attribute, for the layer, and at a few samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.dissect.scenes import check_layers, check_object

        return [
            lambda: check_object(context, config),
            lambda: check_layers(context, config.layer),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
        ]

    def run(self, context: RunContext, config: DissectConfig) -> Result:
        """Compare units with boxes, change the best ones, and walk."""
        import numpy as np

        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.dissect import scenes, showing
        from dcgan_analysis_plugins.dissect.experiments import change_units
        from dcgan_analysis_plugins.dissect.metrics import agreement_metrics, change_metrics

        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, label=config.label)
        check_samples_vary(context, sampler)
        examined, sight, label = scenes.examine(context, config, sampler)
        with context.stage("units"):
            layers = _dissected(context, config, sampler, examined)
        with context.stage("units changed"):
            experiments = change_units(context, config, sampler, examined, sight, layers, label)
        with context.stage("figures"):
            showing.save_layers(context, examined, layers)
            showing.save_units(context, sampler, examined, layers, experiments.layer)
            showing.save_changes(context, examined, experiments)
            showing.save_walks(context, experiments)
        context.save_arrays(
            "units",
            **{f"{layer.network}_{layer.name}_iou": np.array(layer.random_iou) for layer in layers},
            changed=np.array(experiments.units),
        )
        context.note("Half of the samples chooses thresholds and units, the other half measures.")
        context.note(
            f"Units of '{experiments.layer}' that were changed: {', '.join(map(str, experiments.units))}. Whether "
            f"'{examined.object}' is there is said by {experiments.seen_by}."
        )
        metrics = agreement_metrics(layers, examined) | change_metrics(examined, experiments)
        _warn_of_colour(context, metrics)
        return context.result(
            title=f"Units of '{examined.object}' in {checkpoint.name}",
            headline="generator_iou",
            metrics=metrics,
            tables=[
                showing.layers_table(examined, layers),
                showing.units_table(layers),
                showing.changes_table(experiments),
            ],
        )


def _dissected(context: RunContext, config: DissectConfig, sampler: Sampler, examined: Examined) -> list[Layer]:
    """Compare every unit of both networks with where the object is, and with where it is on other samples."""
    import torch

    from dcgan_analysis_plugins.dissect import scenes
    from dcgan_analysis_plugins.dissect.agreement import dissect_layer, shuffled

    concepts = torch.cat([examined.masks[None], shuffled(examined.masks, config.shuffles, context.rng("shuffled"))])
    names = [("generator", name) for name in scenes.generator_layers(sampler, config.layer)]
    names += [("discriminator", name) for name in scenes.discriminator_layers(context.checkpoint)]
    layers = []
    for network, name in names:
        if network == "generator":
            values = scenes.generator_values(sampler, examined.scene, name, examined.grid)
        else:
            values = scenes.discriminator_values(context.checkpoint, examined, name, context.device)
        rng = context.rng("units", network, name)
        layers.append(dissect_layer(network, name, values, concepts, examined.choosing, rng))
        context.progress("layers", len(layers), len(names))
    return layers


def _warn_of_colour(context: RunContext, metrics: Mapping[str, Metric]) -> None:
    """Say where a change of colour alone does what the units do."""
    from dcgan_analysis.core import percent

    for name, what in (("removed", "takes the object away"), ("inserted", "puts the object in")):
        ours, painted = metrics[name], metrics[f"{name}_painted"]
        if ours.low is not None and 0 < ours.low <= painted.value:
            context.warn(
                f"The mean change of colour, painted without touching a unit, {what} about as well "
                f"({percent(painted.value, 1)} against {percent(ours.value, 1)}): these units may carry brightness, "
                "not the object."
            )
