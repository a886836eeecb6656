"""directions: which directions of latent space change images most, and which change one thing alone?

1. Directions of length one, by three methods: right singular vectors of the projection from z (SeFa); principal
   components of the projection's activations over samples, regressed to z (GANSpace); normals of linear SVMs between
   the samples of lowest and of highest attribute scores (InterFaceGAN). Attribute classifiers, trained on real images
   from several seeds, give the scores.
2. New samples are moved by ``reach`` standard deviations of the prior to either side. Measured per unit of length: how
   different the two ends look; how far an attribute moves; how far all others do. Beside it, which share of the ends
   lies outside of the prior. A boundary is meant to move its attribute. Of a direction that is meant for none it is the
   one that moves most on half of the samples, measured on the other half.
3. Controls: random directions of the same length, and boundaries of shuffled scores.

Consumes a checkpoint with a generator and a dataset with attributes, numbers or classes.
Produces ``image_change``, ``effect``, ``selectivity``, ``outside_prior`` of each method and of random directions,
``boundary_separation``; directions.npz, the directions and what each judge says; judges.npz.

Reference: Shen and Zhou 2021, arXiv 2007.06600 (SeFa); Härkönen et al. 2020, arXiv 2004.02546 (GANSpace); Shen et al.
2020, arXiv 1907.10786 (InterFaceGAN). Beyond them: the controls, and several judges.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from dcgan_analysis.api import Demo, Needs, mean_metric
from dcgan_analysis.latents import JudgeSettings, choose_judge
from dcgan_analysis_plugins.directions.showing import (
    BOUNDARY,
    PCA,
    RANDOM,
    SEFA,
    WORDS,
    effect_table,
    save_bars,
    save_walks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Metric, Result, RunContext
    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis.latents import Judge
    from dcgan_analysis_plugins.directions.effects import Effect
    from dcgan_analysis_plugins.directions.finding import Boundaries, Direction

__all__ = ["DirectionsAnalysis", "DirectionsConfig"]


class DirectionsConfig(JudgeSettings):
    """Settings."""

    methods: tuple[Literal["sefa", "pca", "boundary"], ...] = Field(
        default=("sefa", "pca", "boundary"), min_length=1, description="which methods: sefa, pca, boundary"
    )
    k: PositiveInt = Field(default=5, description="directions of each method; of boundaries where none are named")
    layer: str | None = Field(
        default=None, description="layer of the generator whose activations PCA takes; none: the projection's"
    )
    attributes: tuple[str, ...] = Field(
        default=(), description="attributes whose boundaries are fitted; none named: the k that are separated best"
    )
    samples: int = Field(default=4000, ge=16, description="samples for PCA and boundaries")
    tail: float = Field(default=0.2, gt=0, le=0.5, description="share of the samples at either end of an attribute")
    new: int = Field(default=64, ge=4, description="new samples that are moved")
    reach: float = Field(
        default=3.0, gt=0, description="how far to either side, in standard deviations of the prior along a direction"
    )
    random: int = Field(default=10, ge=2, description="random directions, the control")
    label: int = Field(default=0, ge=0, description="class, for a conditional generator")
    classifier_steps: PositiveInt | None = Field(
        default=None, description="minibatches that train an attribute classifier; none given: by the dataset's size"
    )
    judges: int = Field(default=5, ge=2, description="attribute classifiers, trained from as many seeds")


class DirectionsAnalysis:
    """Directions of latent space, found by three methods, beside random ones."""

    name = "directions"
    summary = "Directions by SeFa, PCA and boundaries of attributes: effect and selectivity against random directions"
    question = "Which directions of latent space change images most, and which change one thing alone?"
    reference = (
        "Shen and Zhou 2021: https://arxiv.org/abs/2007.06600; Shen et al. 2020: https://arxiv.org/abs/1907.10786"
    )
    config_type = DirectionsConfig
    needs = Needs(checkpoint="digits-dcgan32", dataset="digits", splits=("train",), generator=True)
    demo = Demo(settings={"samples": 1000, "new": 16, "k": 3, "random": 5, "classifier_steps": 100})

    def requires(self, config: DirectionsConfig) -> Needs:
        """Return what it consumes with this judge."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: DirectionsConfig) -> list[Callable[[], object]]:
        """Look for the projection, the layer, the judge, the class and the attributes, and count samples at ends."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, judged_names
        from dcgan_analysis_plugins.directions import finding

        calls: list[Callable[[], object]] = [
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
            partial(choose_judge, context, config),
            lambda: judged_names(context.split("train"), config.attributes),
        ]
        if SEFA in config.methods:
            calls.append(lambda: finding.sefa_directions(context, config.k, config.label))
        if PCA in config.methods:
            calls.append(lambda: finding.check_layer(context, config.layer, config.label, config.k, config.samples))
        if BOUNDARY in config.methods:
            calls.append(partial(finding.check_ends, config.samples, config.tail))
        return calls

    def run(self, context: RunContext, config: DirectionsConfig) -> Result:
        """Find the directions, move new samples along them and along random ones, and let the judges look."""
        import numpy as np

        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, judge_table, train_judge
        from dcgan_analysis_plugins.directions.effects import measure_effects

        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, context.progress, label=config.label)
        check_samples_vary(context, sampler, context.split("train").images)
        embed = choose_judge(context, config)
        with context.stage("attribute classifier"):
            judge = train_judge(context, steps=config.classifier_steps, networks=config.judges)
        with context.stage("directions"):
            drawn = checkpoint.latents(config.samples + config.new, context.seed)
            z, new = drawn[: config.samples], drawn[config.samples :]
            each = judge.each(sampler(z))
            directions, boundaries = _find(context, config, judge, z, each.mean(axis=0))
        with context.stage("new samples moved"):
            reach = config.reach * checkpoint.metadata.z_deviation
            units = np.maximum(each.std(axis=1), 1e-9)
            effects = {
                kind: measure_effects(
                    sampler, judge, embed, new, of_kind, reach, units, partial(_progress, context, kind, len(of_kind))
                )
                for kind, of_kind in directions.items()
            }
        with context.stage("figures"):
            save_walks(context, judge, sampler, new, directions, effects, reach)
            save_bars(context, judge, effects)
        context.save_arrays(
            "directions",
            **{f"{kind}_vectors": np.stack([each.vector for each in of_kind]) for kind, of_kind in directions.items()},
            **{f"{kind}_ends": np.stack([effect.ends for effect in of_kind]) for kind, of_kind in effects.items()},
        )
        _notes(context, sampler, reach)
        return context.result(
            title=f"Directions of the latent space of {checkpoint.name}",
            headline=f"{BOUNDARY}_effect" if BOUNDARY in effects else f"{config.methods[0]}_image_change",
            metrics=_metrics(checkpoint.metadata.z_prior, effects, boundaries),
            tables=[effect_table(judge, directions, effects), judge_table(judge)],
        )


def _progress(context: RunContext, kind: str, directions: int, done: int) -> None:
    context.progress(f"{WORDS[kind]} measured", done, directions)


def _find(
    context: RunContext, config: DirectionsConfig, judge: Judge, z: Tensor, scores: np.ndarray
) -> tuple[dict[str, list[Direction]], Boundaries | None]:
    """Return the directions of each kind, the random ones last, and the boundaries where they are asked for."""
    from dcgan_analysis_plugins.directions import finding

    directions: dict[str, list[Direction]] = {}
    boundaries = None
    if SEFA in config.methods:
        directions[SEFA] = finding.sefa_directions(context, config.k, config.label)
    if PCA in config.methods:
        directions[PCA] = finding.pca_directions(context, z, config.k, config.layer, config.label)
    if BOUNDARY in config.methods:
        boundaries = finding.fit_boundaries(context, judge, z, scores, config.tail, config.k, config.attributes)
        directions[BOUNDARY] = boundaries.directions
    directions[RANDOM] = finding.random_directions(context, config.random)
    return directions, boundaries


def _metrics(prior: str, effects: Mapping[str, Sequence[Effect]], boundaries: Boundaries | None) -> dict[str, Metric]:
    """Return what directions of each kind do, per unit of length, and what random ones do."""
    import numpy as np

    outside = "numbers outside of [-1, 1]" if prior == "uniform" else "vectors longer than 99 % of the prior's"
    metrics = {}
    for kind, of_kind in effects.items():
        better = None if kind == RANDOM else True
        factor = f"the attribute that {'is meant' if kind == BOUNDARY else 'moves most'}"
        for name, values, direction, text in (
            (
                "image_change",
                np.array([effect.change.mean() for effect in of_kind]),
                None,
                "perceptual distance of the ends",
            ),
            (
                "effect",
                _by_judge(of_kind, lambda effect: effect.factor.moved.mean(axis=1)),
                better,
                f"move of {factor}, std",
            ),
            (
                "selectivity",
                _by_judge(of_kind, lambda effect: effect.factor.selectivity),
                better,
                f"{factor} over all others",
            ),
            ("outside_prior", np.array([effect.outside for effect in of_kind]), None, f"share of the ends' {outside}"),
        ):
            share = name == "outside_prior"
            per = ", per unit of length" if name in ("image_change", "effect") else ""
            metrics[f"{kind}_{name}"] = mean_metric(
                values,
                f"{WORDS[kind]}: {text}{per}",
                over="directions",
                higher_is_better=direction,
                unit="fraction" if share else "number",
                bounds=(0, 1) if share else None,
            )
    if boundaries is not None:
        metrics |= _boundary_metrics(effects, boundaries)
    return metrics


def _by_judge(effects: Sequence[Effect], measure: Callable[[Effect], np.ndarray]) -> np.ndarray:
    """Return what each judge says of each direction, (J, V)."""
    import numpy as np

    return np.stack([measure(effect) for effect in effects], axis=1)


def _boundary_metrics(effects: Mapping[str, Sequence[Effect]], boundaries: Boundaries) -> dict[str, Metric]:
    """Return how well boundaries separate samples, and how far random directions move the attributes of boundaries."""
    import numpy as np

    meant = [effect.factor.column for effect in effects[BOUNDARY]]
    moved = _by_judge(effects[RANDOM], lambda effect: np.abs(effect.ends.mean(axis=1)[:, meant]).mean(axis=1))
    share = partial(mean_metric, over="attributes", unit="fraction", bounds=(0, 1))
    return {
        "random_effect_meant": mean_metric(
            moved,
            "random directions: absolute move of the attributes of the boundaries, std, per unit of length",
            over="directions",
            higher_is_better=None,
        ),
        "boundary_separation": share(
            boundaries.separated, "held-out samples on their own side of the boundary", higher_is_better=True
        ),
        "shuffled_separation": share(boundaries.shuffled, "the same, scores of other samples", higher_is_better=None),
    }


def _notes(context: RunContext, sampler: Sampler, reach: float) -> None:
    context.note(f"Directions have length one; new samples are moved by {reach:.3g} to either side.")
    if sampler.label is not None:
        context.note(f"The generator is conditional: all images are of class {sampler.label}.")
