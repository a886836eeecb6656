"""latent-walk: does the image change smoothly on the way from one latent vector to another? (section 6.1).

1. 9 random points in z, joined in turn: straight, as in the paper, and along great circles. Rows of images, and an
   animation.
2. Each step is measured: root mean square difference of pixels, and distance of the discriminator's activations (or of
   VGG-19's), each position's scaled to length one.
3. A step is a sharp transition if it covers more than half of what two unrelated samples differ by (their median).
   The paper reads sharp transitions as a sign of memorisation.
4. Control: the same walk, each image replaced by the nearest of some hundred samples, which is what a generator would
   show that had memorised these and knew nothing else.

Consumes a checkpoint with generator and discriminator; no dataset. A conditional generator walks within one class.
Produces ``sharp_steps``, ``spherical_sharp_steps``, ``memorising_sharp_steps``, ``roughness`` (largest step over mean
step of a leg) of each, ``step_distance``, ``unrelated_distance``, and walks.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 6.1 and Figure 4.
Beyond the paper: great circles, the measure, the threshold and the control.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs, Table, mean_metric, share_metric
from dcgan_analysis.latents import (
    LINEAR,
    MEMORISING,
    SPHERICAL,
    JudgeSettings,
    choose_judge,
    measure_walks,
    roughness,
    sharp_steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.latents import WalkSteps

_PREFIX = {LINEAR: "", SPHERICAL: "spherical_", MEMORISING: "memorising_"}
_PAIRS = 128
_SHOWN_COLUMNS = 9
_SHARP_FRAME = "#d55e00"


class LatentWalkConfig(JudgeSettings):
    """Settings; nine points are the paper's number."""

    points: int = Field(default=9, ge=2, description="random points of a walk")
    steps: int = Field(default=16, ge=2, description="steps from one point to the next")
    walks: PositiveInt = Field(default=2, description="walks that are measured; the first is shown")
    bank: int = Field(default=256, ge=2, description="samples that the memorising control knows")
    sharp: float = Field(
        default=0.5, gt=0, description="a step is sharp beyond this share of the distance of unrelated samples"
    )
    label: int = Field(default=0, ge=0, description="class, for a conditional generator")


class LatentWalk:
    """Interpolations between random points, looked at and measured."""

    name = "latent-walk"
    summary = "Walks between random latent points: images, animation, smoothness, sharp transitions (6.1)"
    question = "Does the image change smoothly on a walk through latent space, or does it jump?"
    reference = "Radford, Metz, Chintala 2016, section 6.1: https://arxiv.org/abs/1511.06434"
    config_type = LatentWalkConfig
    needs = Needs(checkpoint="cifar10-dcgan32-w64", generator=True)
    demo = Demo(checkpoint="digits-dcgan32", settings={"walks": 1})

    def requires(self, config: LatentWalkConfig) -> Needs:
        """Return what it consumes with this judge."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: LatentWalkConfig) -> list[Callable[[], object]]:
        """Look for the judge and for the class."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary

        return [
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
            partial(choose_judge, context, config),
        ]

    def run(self, context: RunContext, config: LatentWalkConfig) -> Result:
        """Walk, measure, compare with a generator that had memorised."""
        import numpy as np
        import torch

        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, unrelated_distances

        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, context.progress, label=config.label)
        check_samples_vary(context, sampler)
        embed = choose_judge(context, config)
        used = config.points * config.walks
        drawn = checkpoint.latents(used + max(config.bank, 2 * _PAIRS), context.seed)
        with context.stage("unrelated samples"):
            distances = unrelated_distances(sampler, embed, drawn[used:][: 2 * _PAIRS])
            unrelated = float(np.median(distances))
        with context.stage(f"{config.walks} walks of {config.points} points"):
            points = torch.split(drawn[:used], config.points)
            walks = measure_walks(
                sampler,
                embed,
                points,
                config.steps,
                drawn[used:][: config.bank],
                lambda done: context.progress("walks", done, config.walks),
            )
        with context.stage("figures"):
            _save_walks(context, config, walks, unrelated)
            _save_steps(context, config, walks, unrelated)
        if sampler.label is not None:
            context.note(f"The generator is conditional: all images are of class {sampler.label}.")
        return context.result(
            title=f"Walks in the latent space of {checkpoint.name}",
            headline="sharp_steps",
            metrics=_metrics(config, walks, distances),
            tables=[_legs(config, walks)],
        )


def _joined(walks: list[WalkSteps]) -> np.ndarray:
    import numpy as np

    return np.concatenate([walk.perceptual for walk in walks])


def _metrics(
    config: LatentWalkConfig, walks: Mapping[str, list[WalkSteps]], distances: np.ndarray
) -> dict[str, Metric]:
    metrics, unrelated = {}, _median(distances)
    for kind, measured in walks.items():
        steps = _joined(measured)
        metrics[f"{_PREFIX[kind]}sharp_steps"] = share_metric(
            sharp_steps(steps, unrelated.value, config.sharp),
            f"{kind}: steps that cover over {config.sharp:g} of the distance of unrelated samples",
            higher_is_better=None if kind == MEMORISING else False,
        )
        metrics[f"{_PREFIX[kind]}roughness"] = mean_metric(
            roughness(steps, config.steps).tolist(),
            f"{kind}: largest step over mean step of a leg; 1 is even, {config.steps} is one jump",
            over="legs",
            higher_is_better=None if kind == MEMORISING else False,
            bounds=(1.0, float(config.steps)),
        )
    metrics["step_distance"] = mean_metric(
        _joined(walks[LINEAR]).reshape(-1, config.steps).mean(axis=1).tolist(),
        "linear: mean perceptual distance of a step",
        over="legs",
        higher_is_better=None,
    )
    metrics["unrelated_distance"] = unrelated
    return metrics


def _median(distances: np.ndarray) -> Metric:
    """Return the median of independent distances, with the 95 % interval between two of them (the sign test's)."""
    import numpy as np
    from scipy.stats import binom

    n, ordered = len(distances), np.sort(distances)
    outside = max(1, int(binom.ppf(0.025, n, 0.5)))
    return Metric(
        value=float(np.median(distances)),
        low=float(ordered[outside - 1]),
        high=float(ordered[n - outside]),
        interval="95 % by order statistics",
        n=n,
        higher_is_better=None,
        unit="number",
        description="median perceptual distance of two unrelated samples",
    )


def _legs(config: LatentWalkConfig, walks: Mapping[str, list[WalkSteps]]) -> Table:
    """List the legs of the first walk."""
    rows: list[list[Cell]] = []
    for leg in range(config.points - 1):
        steps = slice(leg * config.steps, (leg + 1) * config.steps)
        largest = [float(walks[kind][0].perceptual[steps].max()) for kind in (LINEAR, SPHERICAL, MEMORISING)]
        rows.append([f"{leg + 1} to {leg + 2}", *largest, float(walks[LINEAR][0].pixel[steps].max())])
    columns = ["points", LINEAR, SPHERICAL, MEMORISING, "linear, pixels"]
    note = "Perceptual distances; for pixels the root mean square difference, pixels in [0, 1]."
    return Table(name="legs", title="Largest step of each leg, first walk", columns=columns, rows=rows, note=note)


def _save_walks(
    context: RunContext, config: LatentWalkConfig, walks: Mapping[str, list[WalkSteps]], unrelated: float
) -> None:
    import numpy as np

    from dcgan_analysis import figures

    shown = np.unique(np.linspace(0, config.steps, min(_SHOWN_COLUMNS, config.steps + 1)).round().astype(int))
    rows = [leg * config.steps + shown for leg in range(config.points - 1)]
    for kind, measured in walks.items():
        sharp = sharp_steps(measured[0].perceptual, unrelated, config.sharp)
        # An image is framed if a sharp step lies between it and the one shown before it.
        borders = [
            _SHARP_FRAME if position and sharp[row[position - 1] : at].any() else None
            for row in rows
            for position, at in enumerate(row)
        ]
        grid = figures.image_grid(measured[0].images[np.concatenate(rows)], len(shown), borders=borders)
        caption = "Each row leads from one random point to the next. Framed: reached by a sharp transition."
        if kind == MEMORISING:
            caption += f" Each image is the nearest of {config.bank} samples."
        context.save_figure(grid, kind.split()[0], f"The walk, {kind}", caption)
    frames = [
        figures.tiled(np.stack(images), columns=3)
        for images in zip(*(measured[0].images for measured in walks.values()), strict=True)
    ]
    size = frames[0].shape[2]
    context.save_animation(
        np.stack(frames),
        "animation",
        "The walk as an animation",
        "Left: linear. Middle: spherical. Right: the memorising control on the linear walk.",
        scale=max(1, 300 // size),
    )


def _save_steps(
    context: RunContext, config: LatentWalkConfig, walks: Mapping[str, list[WalkSteps]], unrelated: float
) -> None:
    import numpy as np

    from dcgan_analysis import figures

    x = [(step + 1) / config.steps for step in range(len(walks[LINEAR][0].perceptual))]
    series = {kind: figures.Series(x, walks[kind][0].perceptual.tolist()) for kind in (LINEAR, MEMORISING, SPHERICAL)}
    figure = figures.curve(
        series,
        x_label="points passed",
        y_label="perceptual distance of a step",
        log_x=False,
        fractions=False,
        published={"sharp beyond": config.sharp * unrelated},
    )
    context.save_figure(figure, "steps", "How far each step of the first walk moves the image")
    context.save_arrays(
        "walks",
        unrelated=np.array(unrelated),
        **{
            f"{kind.split()[0]}_{measure}": _stacked(measured, measure)
            for kind, measured in walks.items()
            for measure in ("pixel", "perceptual")
        },
    )


def _stacked(walks: list[WalkSteps], measure: str) -> np.ndarray:
    import numpy as np

    return np.stack([getattr(walk, measure) for walk in walks])


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(LatentWalk())
