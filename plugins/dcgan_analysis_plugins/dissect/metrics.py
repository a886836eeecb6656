"""Numbers to quote: how well units agree with an object, and what changing them does, beside their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import mean_metric
from dcgan_analysis.api.result import Metric
from dcgan_analysis_plugins.dissect.agreement import best_layer
from dcgan_analysis_plugins.dissect.scenes import removed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.experiments import Experiments
    from dcgan_analysis_plugins.dissect.interventions import Intervention
    from dcgan_analysis_plugins.dissect.scenes import Looked

__all__ = ["agreement_metrics", "change_metrics"]

_OTHERS = "the same, other units as active"
_PAINTED = "the same, their mean change of colour painted there instead"


def agreement_metrics(layers: Sequence[Layer], looked: Looked) -> dict[str, Metric]:
    """Return how well the best unit of each network agrees, and what chance is worth."""
    measured = int((~looked.choosing).sum())
    metrics = {}
    for network in ("generator", "discriminator"):
        best = best_layer(layers, network)
        if best is None:
            continue
        shuffles = range(1, best.agreement.chosen.shape[1])
        others = [best_layer(layers, network, concept) or best for concept in shuffles]
        shuffled = [
            float(other.agreement.measured[other.agreement.ranked(concept)[0], concept])
            for other, concept in zip(others, shuffles, strict=True)
        ]
        unit = f"unit {best.best} of {best.name}"
        for name, (value, low, high), text in (
            ("iou", best.iou, f"intersection over union with {looked.places}"),
            ("precision", best.precision, f"average precision as a score of {looked.places}"),
        ):
            metrics[f"{network}_{name}"] = Metric(
                value=value,
                low=low,
                high=high,
                interval="95 % bootstrap over samples",
                n=measured,
                description=f"{network}, {unit}: {text}",
            )
        elsewhere = "the same choice by the places of other samples"
        for name, values, over, text in (
            ("iou_shuffled", shuffled, "shuffles", elsewhere),
            ("iou_random", best.random_iou, "units", f"the same, any unit of {best.name}"),
            ("precision_shuffled", best.shuffled_precision, "shuffles", elsewhere),
            ("precision_random", best.random_precision, "units", f"the same, random units of {best.name}"),
        ):
            metrics[f"{network}_{name}"] = mean_metric(
                values,
                f"{network}: {text}",
                over=over,
                higher_is_better=None,
                unit="fraction",
                bounds=(0, 1),
            )
    metrics["object_share"] = Metric(
        value=float(looked.masks[~looked.choosing].double().mean()),
        n=measured,
        higher_is_better=None,
        description=f"share of {'samples' if looked.whole else 'places'} that show it: the average precision of chance",
    )
    return metrics


def change_metrics(looked: Looked, experiments: Experiments) -> dict[str, Metric]:
    """Return what taking the units away and putting them in does, and what other units do."""
    (removal, *other_removals), (insertion, *other_insertions) = experiments.removals, experiments.insertions
    units = f"{len(experiments.units)} units of {experiments.layer}"
    metrics = {
        "object_seen": mean_metric(
            removal.before,
            "share of the object's places in which it is seen, no unit changed",
            over="samples",
            higher_is_better=None,
            unit="fraction",
            bounds=(0, 1),
        ),
        "removed": _removed(removal, f"share of the object that is gone from its places without {units}", True),
        "removed_random": _of_draws([removed(one.before, one.after)[0] for one in other_removals], _OTHERS),
        "removed_painted": _removed(
            experiments.paled, "the same, their mean change of colour painted there instead", None
        ),
        "inserted": _inserted(
            insertion, f"share of a place without the object that shows it once {units} are put in, less before", True
        ),
        "inserted_random": _of_draws([float((one.after - one.before).mean()) for one in other_insertions], _OTHERS),
        "inserted_painted": _inserted(experiments.painted, _PAINTED, None),
    }
    for name, one, others in (
        ("removal", removal, other_removals),
        ("insertion", insertion, other_insertions),
    ):
        for where in ("inside",) if looked.whole else ("inside", "outside"):
            metrics[f"{name}_change_{where}"] = mean_metric(
                getattr(one, where).tolist(),
                f"{name}: mean change of pixels {where} of the place",
                over="samples",
                higher_is_better=None,
                unit="fraction",
                bounds=(0, 1),
            )
            metrics[f"{name}_change_{where}_random"] = _of_draws(
                [float(getattr(other, where).mean()) for other in others], _OTHERS
            )
    metrics |= _walk_metrics(experiments.correlations)
    return metrics


def _removed(one: Intervention, description: str, better: bool | None) -> Metric:
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
