"""dissect: which units of the two networks answer to an object, and does the generator draw it by them?

1. Boxes around the object on generated samples: drawn by hand, or found by a rule (docs/annotating.md). Half of the
   samples that were looked at chooses, the other half measures.
2. Every unit of every layer with maps, of the generator while it draws and of the discriminator while it looks:
   intersection over union of the places where the unit exceeds a threshold with the boxes, average precision of its
   activation. Threshold and unit are chosen on one half and measured on the other.
3. Controls: the same choice where each sample has the boxes of another one, and units drawn at random.
4. The units of one layer of the generator that agree best are taken away (set to 0 everywhere), and put in (set to the
   level of their strongest places, in a place without the object). A detector that knows images alone says whether the
   object goes and comes; pixels say what changes inside and outside of that place. Controls: as many other units, each
   of about the activation of a chosen one, several draws; and the mean change of colour painted there.
5. Along walks in latent space: whether the units are active where the detector sees the object.

Consumes a checkpoint with a generator, and boxes; no dataset.
Produces ``generator_iou``, ``discriminator_iou``, ``..._precision`` with their ``_shuffled`` and ``_random`` controls,
``removed``, ``inserted``, changes of pixels, ``walk_correlation``; units.npz, what was measured of every unit.

Reference: Bau et al. 2019, arXiv 1811.10597 (GAN Dissection); Bau et al. 2017, arXiv 1704.05796 (Network Dissection).
Beyond them: halves, shuffled boxes, units matched in activation, a detector that was not trained on segmentations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, mean_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.experiments import Experiments
    from dcgan_analysis_plugins.dissect.interventions import Intervention
    from dcgan_analysis_plugins.dissect.scenes import Looked

__all__ = ["Dissect", "DissectConfig"]

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


class DissectConfig(AnalysisConfig):
    """Settings."""

    boxes: str = Field(
        default="",
        description="file of boxes (our JSON or COCO), or rule:red, yellow, green, blue, bright, dark; "
        "empty: boxes-OBJECT.json beside the checkpoint",
    )
    object: str | None = Field(default=None, description="which object, where there are boxes of several")
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
    judges: int = Field(default=5, ge=2, description="detectors, each fitted on other draws of the boxed samples")
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
        """Return what it consumes with this detector."""
        return replace(self.needs, discriminator=config.detector == "discriminator")

    def checks(self, context: RunContext, config: DissectConfig) -> list[Callable[[], object]]:
        """Look for boxes, for the layer, and at a few samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.dissect.scenes import check_boxes, chosen_layer

        calls: list[Callable[[], object]] = [
            lambda: check_boxes(context.checkpoint, config.boxes, config.object),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
        ]
        if config.layer is not None:
            calls.append(lambda: chosen_layer(context, config.layer))
        return calls

    def run(self, context: RunContext, config: DissectConfig) -> Result:
        """Compare units with boxes, change the best ones, and walk."""
        import numpy as np

        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.dissect import showing
        from dcgan_analysis_plugins.dissect.experiments import change_units
        from dcgan_analysis_plugins.dissect.scenes import find_boxes, look

        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, label=config.label)
        check_samples_vary(context, sampler)
        with context.stage("boxes"):
            boxes, source = find_boxes(
                checkpoint, config.boxes, config.object, n=config.n, seed=context.seed, label=config.label
            )
            looked = look(context, sampler, boxes)
        with context.stage("units"):
            layers = _dissected(context, config, sampler, looked)
        with context.stage("units changed"):
            done = change_units(context, config, sampler, looked, layers, boxes.label)
        with context.stage("figures"):
            showing.save_layers(context, layers)
            showing.save_units(context, sampler, looked, layers, done.layer)
            showing.save_changes(context, looked, done)
            showing.save_walks(context, done)
        context.save_arrays(
            "units",
            **{f"{one.network}_{one.name}_iou": np.array(one.random_iou) for one in layers},
            changed=np.array(done.units),
        )
        context.note(
            f"Boxes of '{boxes.object}': {len(boxes.boxes)} on {len(boxes.by_sample())} of {len(looked.scene.z)} "
            f"samples of seed {boxes.seed}, {source}. Half of the samples chooses thresholds and units, the other half "
            "measures."
        )
        context.note(
            f"Units of '{done.layer}' that were changed: {', '.join(map(str, done.units))}. Whether the object is "
            f"there is said by {config.judges} detectors ({done.detector}), fitted on the half that chooses."
        )
        metrics = _agreement_metrics(layers, looked) | _change_metrics(done)
        _warn_of_colour(context, metrics)
        return context.result(
            title=f"Units of '{boxes.object}' in {checkpoint.name}",
            headline="generator_iou",
            metrics=metrics,
            tables=[showing.layers_table(layers), showing.units_table(layers), showing.changes_table(done)],
        )


def _dissected(context: RunContext, config: DissectConfig, sampler: Sampler, looked: Looked) -> list[Layer]:
    """Compare every unit of both networks with the boxes, and with those of other samples."""
    import torch

    from dcgan_analysis_plugins.dissect import scenes
    from dcgan_analysis_plugins.dissect.agreement import dissect_layer, shuffled

    concepts = torch.cat([looked.masks[None], shuffled(looked.masks, config.shuffles, context.rng("shuffled"))])
    names = [(GENERATOR, name) for name in scenes.generator_layers(sampler, config.layer)]
    names += [(DISCRIMINATOR, name) for name in scenes.discriminator_layers(context.checkpoint)]
    layers = []
    for network, name in names:
        if network == GENERATOR:
            values = scenes.generator_values(sampler, looked.scene, name, looked.grid)
        else:
            values = scenes.discriminator_values(context.checkpoint, looked, name, context.device)
        rng = context.rng("units", network, name)
        layers.append(dissect_layer(network, name, values, concepts, looked.choosing, rng))
        context.progress("layers", len(layers), len(names))
    return layers


def best_layer(layers: Sequence[Layer], network: str, concept: int = 0) -> Layer | None:
    """Return the layer of a network with the unit that agrees best on the half that chooses; None: it has none."""
    of_network = [one for one in layers if one.network == network]
    return max(of_network, key=lambda one: one.chosen(concept), default=None)


def _agreement_metrics(layers: Sequence[Layer], looked: Looked) -> dict[str, Metric]:
    """Return how well the best unit of each network agrees, and what chance is worth."""
    measured = int((~looked.choosing).sum())
    metrics = {}
    for network in (GENERATOR, DISCRIMINATOR):
        best = best_layer(layers, network)
        if best is None:
            continue
        shuffles = range(1, best.found.chosen.shape[1])
        others = [best_layer(layers, network, concept) or best for concept in shuffles]
        shuffled = [
            float(other.found.measured[other.found.ranked(concept)[0], concept])
            for other, concept in zip(others, shuffles, strict=True)
        ]
        unit = f"unit {best.best} of {best.name}"
        share = {"unit": "fraction", "bounds": (0, 1), "higher_is_better": None}
        for name, (value, low, high), text in (
            ("iou", best.iou, "intersection over union with the boxes"),
            ("precision", best.precision, "average precision as a score of the boxes"),
        ):
            metrics[f"{network}_{name}"] = Metric(
                value=value,
                low=low,
                high=high,
                interval="95 % bootstrap over samples",
                n=measured,
                description=f"{network}, {unit}: {text}",
            )
        metrics[f"{network}_iou_shuffled"] = mean_metric(
            shuffled,
            f"{network}: the same choice, boxes of other samples",
            over="shuffles",
            **share,  # type: ignore[arg-type]
        )
        metrics[f"{network}_iou_random"] = mean_metric(
            best.random_iou,
            f"{network}: the same, any unit of {best.name}",
            over="units",
            **share,  # type: ignore[arg-type]
        )
        metrics[f"{network}_precision_shuffled"] = mean_metric(
            best.shuffled_precision,
            f"{network}: the same choice, boxes of other samples",
            over="shuffles",
            **share,  # type: ignore[arg-type]
        )
        metrics[f"{network}_precision_random"] = mean_metric(
            best.random_precision,
            f"{network}: the same, random units of {best.name}",
            over="units",
            **share,  # type: ignore[arg-type]
        )
    metrics["object_share"] = Metric(
        value=float(looked.masks[~looked.choosing].double().mean()),
        n=measured,
        higher_is_better=None,
        description="share of all places that lie in boxes: the average precision of chance",
    )
    return metrics


def _change_metrics(done: Experiments) -> dict[str, Metric]:
    """Return what taking the units away and putting them in does, and what other units do."""
    from dcgan_analysis_plugins.dissect.scenes import removed

    (removal, *other_removals), (insertion, *other_insertions) = done.removals, done.insertions
    units = f"{len(done.units)} units of {done.layer}"
    metrics = {
        "object_seen": mean_metric(
            removal.before,
            "share of the places in boxes that the detector takes for the object, samples as they are",
            over="samples",
            higher_is_better=None,
            unit="fraction",
            bounds=(0, 1),
        ),
        "removed": _removed(removal, f"share of the object that is gone from the boxes without {units}", True),
        "removed_random": _of_draws(
            [removed(one.before, one.after)[0] for one in other_removals], "the same, other units as active"
        ),
        "removed_painted": _removed(done.paled, "the same, their mean change of colour in boxes painted", None),
        "inserted": _inserted(
            insertion, f"share of a place without the object that shows it once {units} are put in, less before", True
        ),
        "inserted_random": _of_draws(
            [float((one.after - one.before).mean()) for one in other_insertions], "the same, other units as active"
        ),
        "inserted_painted": _inserted(done.painted, "the same, their mean change of colour in the place painted", None),
    }
    for name, one, others in (
        ("removal", removal, other_removals),
        ("insertion", insertion, other_insertions),
    ):
        for where in ("inside", "outside"):
            metrics[f"{name}_change_{where}"] = mean_metric(
                getattr(one, where).tolist(),
                f"{name}: mean change of pixels {where} of the place",
                over="samples",
                higher_is_better=None,
                unit="fraction",
                bounds=(0, 1),
            )
            metrics[f"{name}_change_{where}_random"] = _of_draws(
                [float(getattr(other, where).mean()) for other in others], "the same, other units as active"
            )
    metrics |= _walk_metrics(done.correlations)
    return metrics


def _warn_of_colour(context: RunContext, metrics: Mapping[str, Metric]) -> None:
    """Say where a change of colour alone does what the units do."""
    for name, what in (("removed", "takes the object away"), ("inserted", "puts the object in")):
        ours, painted = metrics[name], metrics[f"{name}_painted"]
        if ours.low is not None and 0 < ours.low <= painted.value:
            context.warn(
                f"The mean change of colour, painted without touching a unit, {what} about as well "
                f"({painted.value:.1%} against {ours.value:.1%}): these units may carry brightness, not the object."
            )


def _removed(one: Intervention, description: str, better: bool | None) -> Metric:
    from dcgan_analysis_plugins.dissect.scenes import removed

    value, low, high = removed(one.before, one.after)
    return Metric(
        value=value,
        low=low,
        high=high,
        interval="95 % over judges and samples",
        n=one.before.shape[1],
        higher_is_better=better,
        description=description,
    )


def _inserted(one: Intervention, description: str, better: bool | None) -> Metric:
    return mean_metric(
        one.after - one.before,
        description,
        over="samples",
        higher_is_better=better,
        unit="fraction",
        bounds=(-1, 1),
    )


def _of_draws(values: Sequence[float], description: str) -> Metric:
    return Metric(
        value=sum(values) / len(values),
        low=min(values),
        high=max(values),
        interval="least and most of the draws",
        n=len(values),
        higher_is_better=None,
        description=description,
    )


def _walk_metrics(correlations: Mapping[str, Sequence[float]]) -> dict[str, Metric]:
    words = {
        "walk_correlation": "correlation along a walk of the units' activation with the share that shows the object",
        "walk_correlation_random": "the same, other units as active, mean of the draws",
    }
    return {
        name: mean_metric(values, words[name], over="walks", higher_is_better=None, bounds=(-1, 1))
        for name, values in correlations.items()
        if values
    }
