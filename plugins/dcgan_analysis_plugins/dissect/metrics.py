"""Numbers to quote: how well units agree with an object, and what changing them does, beside their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import mean_metric
from dcgan_analysis.api.result import Metric
from dcgan_analysis.units.changes import draws_range, removed_metric
from dcgan_analysis.units.detector import removed
from dcgan_analysis_plugins.dissect.agreement import best_layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis_plugins.dissect.agreement import Layer
    from dcgan_analysis_plugins.dissect.experiments import Experiments
    from dcgan_analysis_plugins.dissect.interventions import Intervention
    from dcgan_analysis_plugins.dissect.scenes import Examined

__all__ = ["agreement_metrics", "change_metrics"]

_OTHERS = "the same, other units as active"
_PAINTED = "the same, their mean change of colour painted there instead"


def agreement_metrics(layers: Sequence[Layer], examined: Examined) -> dict[str, Metric]:
    """Return how well the best unit of each network agrees, and what chance is worth."""
    measured = int((~examined.choosing).sum())
    metrics = {}
    for network in ("generator", "discriminator"):
        best = best_layer(layers, network)
        if best is None:
            continue
        shuffled = [(best_layer(layers, network, concept) or best).measured(concept) for concept in best.shuffles]
        unit = f"unit {best.best} of {best.name}"
        for name, (value, low, high), text in (
            ("iou", best.iou, f"intersection over union with {examined.places}"),
            ("precision", best.precision, f"average precision as a score of {examined.places}"),
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
        value=float(examined.masks[~examined.choosing].double().mean()),
        n=measured,
        higher_is_better=None,
        description=f"share of {'samples' if examined.whole else 'places'} that show it: average precision of chance",
    )
    return metrics


def change_metrics(examined: Examined, experiments: Experiments) -> dict[str, Metric]:
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
        "removed": removed_metric(
            removal.before,
            removal.after,
            f"share of the object that is gone from its places without {units}",
            higher_is_better=True,
        ),
        "removed_random": draws_range([removed(other.before, other.after)[0] for other in other_removals], _OTHERS),
        "removed_painted": removed_metric(
            experiments.paled.before, experiments.paled.after, _PAINTED, higher_is_better=None
        ),
        "inserted": _inserted(
            insertion, f"share of a place without the object that shows it once {units} are put in, less before", True
        ),
        "inserted_random": draws_range(
            [float((other.after - other.before).mean()) for other in other_insertions], _OTHERS
        ),
        "inserted_painted": _inserted(experiments.painted, _PAINTED, None),
    }
    for name, change, others in (("removal", removal, other_removals), ("insertion", insertion, other_insertions)):
        for where in ("inside",) if examined.whole else ("inside", "outside"):
            metrics[f"{name}_change_{where}"] = mean_metric(
                getattr(change, where),
                f"{name}: mean change of pixels {where} the place",
                over="samples",
                higher_is_better=None,
                unit="fraction",
                bounds=(0, 1),
            )
            metrics[f"{name}_change_{where}_random"] = draws_range(
                [float(getattr(other, where).mean()) for other in others], _OTHERS
            )
    metrics |= _walk_metrics(experiments.correlations)
    return metrics


def _inserted(insertion: Intervention, description: str, better: bool | None) -> Metric:
    return mean_metric(
        insertion.after - insertion.before,
        description,
        over="samples",
        higher_is_better=better,
        unit="fraction",
        bounds=(-1, 1),
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
