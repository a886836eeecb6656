"""Numbers to quote: how much of an object is gone without maps, beside controls, and how well it was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.api.metrics import mean_metric
from dcgan_analysis.api.result import Metric
from dcgan_analysis.units.changes import draws_range, removed_metric
from dcgan_analysis.units.positions import grouped_auc
from dcgan_analysis_plugins.filter_dropout.forgetting import BRIGHT, CHOSEN, NEGATIVE, RANDOM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.units.detector import Positions
    from dcgan_analysis_plugins.filter_dropout.forgetting import Changes, Shares

__all__ = ["auc_metrics", "outcome_metrics"]


def outcome_metrics(context: RunContext, shares: Shares, changes: Changes, maps: int) -> dict[str, Metric]:
    """Return what dropping maps does, and warn where controls do as much.

    Args:
        context: The run.
        shares: What is left of the object.
        changes: How much the pixels of the boxed samples change.
        maps: All maps of the layer.
    """
    most, before = shares.most, shares.before
    (outcome,) = shares.by_dose[CHOSEN][most]
    gone = removed_metric(
        before,
        outcome.share,
        "share of the object that is gone from new samples, maps of weight > 0 dropped",
        higher_is_better=True,
    )
    metrics = {
        "object_removed": gone,
        "maps_dropped": Metric(
            value=most, n=maps, unit="number", higher_is_better=None, description="maps whose weight is positive, of n"
        ),
    }
    for name, values, over, better, text in (
        ("object_before", before, "samples", None, "positions that show the object"),
        ("object_after", outcome.share, "samples", False, "the same without the maps"),
        ("change_inside", changes[CHOSEN][0], "boxed samples", None, "mean change of pixels inside boxes"),
        ("change_outside", changes[CHOSEN][1], "boxed samples", False, "mean change of pixels outside of boxes"),
    ):
        metrics[name] = mean_metric(
            values, text, over=over, higher_is_better=better, unit="fraction", bounds=(0.0, 1.0)
        )
    if RANDOM in shares.by_dose:
        random = draws_range(
            shares.removed(RANDOM, most), "the same, random other maps dropped that change the picture as much"
        )
        metrics["object_removed_random"] = random
        _warn_of_controls(context, shares, gone, random)
    if (halving := shares.maps_to_halve()) is not None:
        metrics["maps_to_halve"] = Metric(
            value=halving[1],
            low=min(halving[0] + 1, halving[1]),
            high=halving[1],
            interval="resolution of the doses",
            n=len(shares.by_dose[CHOSEN]),
            unit="number",
            higher_is_better=None,
            description=f"fewest chosen maps, of n doses, that take half of the object away; {halving[0]} do not",
        )
    if falls := shares.falls():
        context.warn(
            "The dose curve is not monotone: the object comes back in part when the maps up to number "
            f"{', '.join(map(str, falls))} are dropped too."
        )
    for kind, name in ((NEGATIVE, "object_removed_negative"), (BRIGHT, "object_removed_bright")):
        if kind in shares.by_dose:
            (control,) = shares.by_dose[kind][most]
            text = f"the same, {kind}: {control.maps} maps"
            metrics[name] = removed_metric(before, control.share, text, higher_is_better=None)
    return metrics


def _warn_of_controls(context: RunContext, shares: Shares, gone: Metric, random: Metric) -> None:
    """Say where random maps take as much of the object away, and where they change the picture less."""
    (outcome,), draws = (shares.by_dose[kind][shares.most] for kind in (CHOSEN, RANDOM))
    if random.high is not None and gone.low is not None and random.high >= gone.low:
        context.warn(
            "Some draws of other maps that change the picture as much take about as much of the object away as "
            f"the {shares.most} of positive weight: that it is gone says little about these maps."
        )
    short = sum(draw.distance < 0.9 * outcome.distance for draw in draws)
    if short:
        context.warn(
            f"{short} of {len(draws)} draws of all other maps change the picture less than nine tenths of what the "
            f"{shares.most} chosen ones do: as controls they are too mild."
        )


def auc_metrics(
    context: RunContext, scored: Mapping[str, tuple[NDArray[np.float64], Positions, str]], samples: int
) -> dict[str, Metric]:
    """Return how well scores tell positions inside boxes from those outside, by the name of the metric.

    Args:
        context: The run.
        scored: Name -> held-out scores (P,), NaN where there is none; their positions; whose scores they are.
        samples: How many samples have boxes.
    """
    metrics = {}
    for name, (scores, positions, text) in scored.items():
        known = ~np.isnan(scores)
        value, low, high = grouped_auc(positions.inside[known], scores[known], positions.rows[known], context.rng(name))
        metrics[name] = Metric(
            value=value,
            low=low,
            high=high,
            interval="95 % bootstrap over samples",
            n=samples,
            description=f"{text}, samples held out whole",
        )
    return metrics
