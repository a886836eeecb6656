"""What directions do, shown: walks along them, and bars and a table of their effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Table
from dcgan_analysis.report.format import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Cell
    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.latents.attributes import Judge
    from dcgan_analysis_plugins.directions.effects import Effect
    from dcgan_analysis_plugins.directions.finding import Direction

__all__ = ["BOUNDARY", "PCA", "RANDOM", "SEFA", "WORDS", "effect_table", "save_bars", "save_walks"]

SEFA, PCA, BOUNDARY, RANDOM = "sefa", "pca", "boundary", "random"
"""Kinds of directions."""

WORDS = {SEFA: "SeFa", PCA: "PCA", BOUNDARY: "boundaries", RANDOM: "random directions"}
"""Kind -> what reports call it."""

_SHOWN = 2
_MULTIPLES = 7


def _names(judge: Judge, effects: Mapping[str, Sequence[Effect]]) -> dict[str, list[str]]:
    """Name each direction by its number and the attribute of which it brings more, or less."""
    return {
        kind: [
            f"{words(kind)} {number}: {'' if effect.factor.rises else 'less '}{judge.names[effect.factor.column]}"
            for number, effect in enumerate(of_kind, start=1)
        ]
        for kind, of_kind in effects.items()
    }


def effect_table(
    judge: Judge, directions: Mapping[str, Sequence[Direction]], effects: Mapping[str, Sequence[Effect]]
) -> Table:
    """Return what each direction does, one row each."""
    from dcgan_analysis.core.statistics import judged_interval

    rows: list[list[Cell]] = []
    for kind, names in _names(judge, effects).items():
        for name, direction, effect in zip(names, directions[kind], effects[kind], strict=True):
            moved = judged_interval(effect.factor.moved)
            selectivity = float(effect.factor.selectivity.mean())
            rows.append([name, direction.strength, float(effect.change.mean()), *moved, selectivity, effect.outside])
    columns = [
        "direction: attribute",
        "strength",
        "image change",
        "effect",
        "low",
        "high",
        "selectivity",
        "outside prior",
    ]
    return Table(
        name="directions",
        title="What each direction does",
        columns=columns,
        rows=rows,
        percent=["strength", "outside prior"],
        note="Strength: share of the projection's squared singular values (SeFa), of the activations' variance (PCA), "
        "of held-out samples on their own side (boundary). Image change and effect per unit of length; effect in "
        "standard deviations among samples, 95 % over judges and samples. The attribute is the one that is meant "
        "(boundary), or that moves most on half of the samples, measured on the other half. Selectivity: its absolute "
        "move over the mean of all others.",
    )


def save_walks(
    context: RunContext,
    judge: Judge,
    sampler: Sampler,
    new: Tensor,
    directions: Mapping[str, Sequence[Direction]],
    effects: Mapping[str, Sequence[Effect]],
    reach: float,
) -> None:
    """Show the same samples moved along the first directions of each kind."""
    import torch

    from dcgan_analysis import figures
    from dcgan_analysis.latents.moving import images_along

    multiples = torch.linspace(-reach, reach, _MULTIPLES)
    shown = min(len(of_kind) for of_kind in directions.values())
    for kind, names in _names(judge, effects).items():
        panels: dict[str, list[list[figures.Tile]]] = {f"sample {number + 1}": [] for number in range(_SHOWN)}
        for direction in directions[kind][:shown]:
            images = images_along(sampler, new[:_SHOWN], direction.vector, multiples)
            for number, rows in enumerate(panels.values()):
                rows.append([figures.Tile(image) for image in images[number * _MULTIPLES : (number + 1) * _MULTIPLES]])
        context.save_figure(
            figures.image_panels(panels, labels=names[:shown]),
            f"walks-{kind}",
            f"Along {WORDS[kind]}",
            f"The sample is in the middle; {reach:.2f} to either side, the same samples for every kind.",
        )


def save_bars(context: RunContext, judge: Judge, effects: Mapping[str, Sequence[Effect]]) -> None:
    """Draw how much each direction changes images and its attribute, beside the mean of random ones."""
    import numpy as np

    from dcgan_analysis import figures
    from dcgan_analysis.core.statistics import judged_interval, mean_interval

    names = _names(judge, effects)
    shown = {
        name: effect
        for kind in effects
        if kind != RANDOM
        for name, effect in zip(names[kind], effects[kind], strict=True)
    }

    def save(
        name: str,
        title: str,
        x_label: str,
        measure: Callable[[Effect], np.ndarray],
        interval: Callable[[np.ndarray], tuple[float, float, float]],
    ) -> None:
        values, low, high = zip(*(interval(measure(effect)) for effect in shown.values()), strict=True)
        usual = float(np.mean([measure(effect).mean() for effect in effects[RANDOM]]))
        figure = figures.bars(
            list(shown),
            values,
            low=low,
            high=high,
            baseline=("random directions", usual),
            x_label=f"{x_label}, per unit of length",
            fractions=False,
        )
        context.save_figure(figure, name, title, "95 % intervals over new samples, and over judges where they judge.")

    save(
        "image-change",
        "How much images change",
        "perceptual distance",
        lambda effect: effect.change,
        lambda values: mean_interval(values.tolist()),
    )
    save(
        "effect",
        "How far the attribute moves",
        "standard deviations among samples",
        lambda effect: effect.factor.moved,
        judged_interval,
    )
