"""A number of the checkpoint beside that of its random twin: metrics with intervals, and bars in pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dcgan_analysis.api.result import Metric
from dcgan_analysis.probing.study import LEARNED, TWIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.core.statistics import Estimate


def compared_metrics(
    context: RunContext,
    name: str,
    values: Mapping[str, NDArray[np.float64]],
    description: str,
    *,
    groups: str = "filters",
    unit: Literal["fraction", "number"] = "number",
    higher_is_better: bool | None = True,
) -> dict[str, Metric]:
    """Return a number for the checkpoint and for its twin, and how far they are apart.

    Args:
        context: Gives the randomness of the bootstrap.
        name: ``"stability"`` becomes ``stability``, ``twin_stability`` and ``stability_gain``.
        values: For ``LEARNED`` and ``TWIN``: one row for each group (G, M), NaN where there is no value.
        description: One line for the report.
        groups: What a row is, in the plural.
        unit: Whether values are fractions.
        higher_is_better: Which direction is better, if any.

    Returns:
        Three metrics by name; none where a side has no value at all.
    """
    import numpy as np

    from dcgan_analysis.core.statistics import bootstrap_difference, bootstrap_mean

    def metric(estimate: Estimate, text: str) -> Metric:
        return Metric(
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            interval=f"95 % bootstrap over {groups}",
            n=estimate.groups,
            higher_is_better=higher_is_better,
            description=text,
            unit=unit,
        )

    learned, random = values[LEARNED], values[TWIN]
    if np.isnan(learned).all() or np.isnan(random).all():
        return {}
    rng = context.rng("bootstrap", name)
    return {
        name: metric(bootstrap_mean(learned, rng), f"{LEARNED}: {description}"),
        f"twin_{name}": metric(bootstrap_mean(random, rng), f"{TWIN}: {description}"),
        f"{name}_gain": metric(bootstrap_difference(learned, random, rng), f"learned less random: {description}"),
    }


def save_pairs(
    context: RunContext,
    name: str,
    title: str,
    caption: str,
    pairs: Mapping[str, tuple[Metric, Metric]],
    *,
    x_label: str,
    fractions: bool = False,
    baseline: tuple[str, float] | None = None,
) -> None:
    """Draw two bars for each number, the checkpoint's and below it, pale, the twin's, with intervals.

    Args:
        context: The run.
        name: Name of the figure.
        title: Its title.
        caption: Its caption.
        pairs: What is measured -> metric of the checkpoint, metric of the twin.
        x_label: What the bars are.
        fractions: Whether they are fractions.
        baseline: Name and value of a vertical line.
    """
    from dcgan_analysis import figures

    shown = {
        f"{quantity}, {network}": metric
        for quantity, pair in pairs.items()
        for network, metric in zip(("learned", "random"), pair, strict=True)
    }
    figure = figures.bars(
        list(shown),
        [metric.value for metric in shown.values()],
        low=[metric.low for metric in shown.values()],
        high=[metric.high for metric in shown.values()],
        highlight=[text for text in shown if text.endswith(", learned")],
        baseline=baseline,
        x_label=x_label,
        fractions=fractions,
    )
    context.save_figure(figure, name, title, caption)
