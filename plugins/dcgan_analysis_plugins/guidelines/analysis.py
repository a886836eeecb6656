"""guidelines: what is each guideline for stable DCGANs worth? (section 3 as an experiment).

1. The paper's networks as layer tables (convolutions of 5x5, strides of 2), and the same with one guideline broken:
   pooling and upsampling for strides; no batch normalisation, or everywhere; fully connected hidden layers; ReLU in the
   discriminator; sigmoid output. And one setting of section 4: step size 1e-3 for 2e-4, beta1 0.9 for 0.5.
2. Each is trained alike on the same images, with several seeds, through joblib. Each training is kept in the cache.
3. Each is judged at its end: whether something failed, by the rules of ``stability``; how far samples lie apart
   (collapse); how near they come to real images, by the sliced Wasserstein distance of patches (fidelity); how well
   the discriminator's features classify (L2-SVM).
4. Control: the paper's recipe with other seeds, which nothing distinguishes. Floor of the distance: other real images.

Consumes a dataset, small and quick to learn. What it finds holds for short trainings of small networks.
Produces every measure of every variant, ``worse`` and ``better``, the numbers of variants that differ from the paper's
recipe in some measure (intervals that do not meet), and histories.json.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, sections 3 and 4; the distance: Karras et al. 2018,
arXiv 1710.10196, section 5.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, Table, mean_metric, share_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis_plugins.guidelines.trainings import Outcome, TrainingTask

__all__ = ["Guidelines", "GuidelinesConfig"]

_READINGS = 6
_FEWEST_LABELLED = 50
_SAMPLES, _SEEDS_SHOWN = 8, 2


class _Measure(NamedTuple):
    """A number of the last reading: its name in a history, in words, and whether more is better."""

    name: str
    words: str
    more: bool


_MEASURES = (
    _Measure("sample_distance", "distance of samples to real images", False),
    _Measure("diversity", "distance between samples, over real images", True),
    _Measure("nearest_sample", "distance to the nearest other sample, over real images", True),
    _Measure("collapsed_filters", "maps of the worst layer without the latent vector", False),
    _Measure("feature_accuracy", "accuracy of an L2-SVM on the discriminator's features", True),
)
_SHARES = ("collapsed_filters", "feature_accuracy")
_ALONE, _ALIKE = "one training", "alike"


class GuidelinesConfig(AnalysisConfig):
    """Settings."""

    width: int = Field(
        default=16, ge=2, description="maps of the discriminator's first layer; each stride doubles them"
    )
    z_size: PositiveInt = Field(default=100, description="Z")
    epochs: PositiveInt = Field(default=12, description="passes over the images; of digits 972 steps")
    batch_size: int = Field(default=16, ge=2, description="images per minibatch")
    seeds: int = Field(default=3, ge=2, description="trainings of each variant")
    probe_images: int = Field(default=1000, ge=50, description="labelled training images of the feature accuracy")
    n_jobs: int | None = Field(
        default=None,
        description="trainings at the same time, -1: one a core; none given: as joblib's back end says, or 1",
    )

    @field_validator("n_jobs")
    @classmethod
    def _some_trainings_run(cls, value: int | None) -> int | None:
        if value == 0:
            msg = "must be 1 or more, or -1 for one training a core"
            raise ValueError(msg)
        return value


class Guidelines:
    """Trainings with one guideline broken, beside the paper's recipe."""

    name = "guidelines"
    summary = (
        "The networks with each guideline of section 3 broken, trained alike: stability, collapse, fidelity, features"
    )
    question = "What is each guideline for stable DCGANs worth?"
    reference = "Radford, Metz, Chintala 2016, section 3: https://arxiv.org/abs/1511.06434"
    config_type = GuidelinesConfig
    needs = Needs(dataset="digits", splits=("train",))
    demo = Demo(
        dataset="digits",
        settings={"width": 4, "z_size": 16, "epochs": 1, "batch_size": 16, "seeds": 2, "probe_images": 60},
        limit=96,
    )

    def checks(self, context: RunContext, config: GuidelinesConfig) -> list[Callable[[], object]]:
        """Build the networks of all variants, and look whether the images suffice."""
        from dcgan_analysis_plugins.guidelines.trainings import check_task

        return [partial(check_task, task) for task in _tasks(context, config)[:: config.seeds]]

    def run(self, context: RunContext, config: GuidelinesConfig) -> Result:
        """Train all variants with all seeds, and compare them at their ends."""
        from dcgan_analysis_plugins.guidelines.trainings import run_trainings
        from dcgan_analysis_plugins.guidelines.variants import CONTROL, PAPER, VARIANTS

        tasks = _tasks(context, config)
        with context.stage(f"{len(tasks)} trainings") as stage:
            outcomes, computed = run_trainings(context, tasks, config.n_jobs)
            stage.note = f"{computed} computed, {len(tasks) - computed} were in the cache already"
        seeds = config.seeds
        by_variant = {
            variant.name: outcomes[number * seeds : (number + 1) * seeds] for number, variant in enumerate(VARIANTS)
        }
        measured = {name: _measured(of_variant, name) for name, of_variant in by_variant.items()}
        papers = measured[PAPER]
        others = {name: metrics for name, metrics in measured.items() if name != PAPER}
        worse = {name: _worse_in(metrics, papers) for name, metrics in others.items()}
        better = {name: _worse_in(papers, metrics) for name, metrics in others.items()}
        broken = [name for name in others if name != CONTROL]
        metrics = {
            direction: Metric(
                value=sum(bool(measures[name]) for name in broken),
                unit="number",
                n=len(broken),
                higher_is_better=None,
                description=f"variants {direction} than the paper's recipe in some measure "
                "(95 % intervals do not meet)",
            )
            for direction, measures in {"worse": worse, "better": better}.items()
        }
        metrics["control_differs"] = Metric(
            value=float(bool(worse[CONTROL] or better[CONTROL])),
            unit="number",
            n=1,
            higher_is_better=None,
            description="whether the paper's recipe with other seeds is worse or better, likewise",
        )
        ended = [
            [outcome.history[-1] for outcome in of_variant if outcome.history] for of_variant in by_variant.values()
        ]
        floor = [row["real_distance"] for row in next(filter(None, ended), [])]
        if floor:
            metrics["real_distance"] = _over_seeds(floor, "floor: distance of other real images")
        for variant in VARIANTS:
            metrics |= {f"{variant.key}_{name}": metric for name, metric in measured[variant.name].items()}
        with context.stage("figures"):
            _save_bars(context, measured, metrics.get("real_distance"))
            _save_samples(context, by_variant)
        context.save_json(
            "histories",
            {name: [outcome.history for outcome in of_variant] for name, of_variant in by_variant.items()},
        )
        epochs = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
        return context.result(
            title=f"Guidelines of section 3 on {context.dataset.name}: {epochs}, width {config.width}, {seeds} seeds",
            headline="worse",
            metrics=metrics,
            tables=[_table(measured, by_variant), _verdicts(worse, better)],
        )


def _tasks(context: RunContext, config: GuidelinesConfig) -> list[TrainingTask]:
    """Return the trainings of the variants, the seeds of each one after the other."""
    import numpy as np

    from dcgan_analysis_plugins.guidelines.trainings import TrainingTask
    from dcgan_analysis_plugins.guidelines.variants import VARIANTS

    split = context.split("train")
    labelled = split.labels is not None and len(np.unique(split.labels)) > 1 and len(split) >= _FEWEST_LABELLED
    settings = {
        "dataset": context.dataset.name,
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "sample_every": max(1, config.epochs // _READINGS),
        "probe_every": config.epochs if labelled else 0,
        "probe_images": config.probe_images,
    }
    return [
        TrainingTask(
            variant,
            split,
            settings | {"seed": context.seed + seed},
            config.width,
            config.z_size,
            context.output_dir / f"training-{variant.key}-{seed}",
        )
        for variant in VARIANTS
        for seed in range(config.seeds)
    ]


def _measured(outcomes: Sequence[Outcome], name: str) -> dict[str, Metric]:
    """Return the measures of one variant at the end of its trainings, mean over seeds."""
    last = [outcome.history[-1] for outcome in outcomes if outcome.history]
    metrics = {
        "failed": share_metric(
            [bool(outcome.failed) for outcome in outcomes],
            f"{name}: trainings that end in a failure",
            higher_is_better=None,
        )
    }
    for measure in _MEASURES:
        values = [row[measure.name] for row in last if measure.name in row]
        if values:
            cases = [_cases(row, measure.name) for row in last] if measure.name in _SHARES else None
            metrics[measure.name] = _over_seeds(values, f"{name}: {measure.words}", cases)
    return metrics


def _over_seeds(values: Sequence[float], description: str, cases: Sequence[int] | None = None) -> Metric:
    """Return the mean over seeds; ``cases``, those of each training, where the values are shares.

    Alike with all seeds, a share has the interval of one training, and a number has none: a few that are alike do not
    say how far others would lie.
    """
    metric = mean_metric(
        values,
        description,
        over="seeds",
        higher_is_better=None,
        unit="number" if cases is None else "fraction",
        bounds=(0, math.inf if cases is None else 1),
        cases=None if cases is None else min(cases),
    )
    if len(values) == 1:
        return metric.model_copy(update={"low": None, "high": None, "n": 1, "interval": f"none: {_ALONE}"})
    if metric.low == metric.high:
        return metric.model_copy(update={"low": None, "high": None, "interval": f"none: the trainings are {_ALIKE}"})
    return metric


def _cases(row: Mapping[str, Any], share: str) -> int:
    """Return of how many images, or maps of the worst layer, a reading's share is; the fewest of layers as bad."""
    if share == "feature_accuracy":
        return int(row["feature_images"])
    layers = [(-(each["dead"] + each["fixed"]) / each["maps"], each["maps"]) for each in row["filters"].values()]
    return int(min(layers)[1])


def _worse_in(ours: Mapping[str, Metric], theirs: Mapping[str, Metric]) -> list[str]:
    """Return the measures, in words, in which we are worse than they."""
    return [measure.words for measure in _MEASURES if _is_worse(ours, theirs, measure)]


def _is_worse(ours: Mapping[str, Metric], theirs: Mapping[str, Metric], measure: _Measure) -> bool:
    """Whether our interval lies on the bad side of theirs; of networks that never came to an end it does."""
    if measure.name not in theirs:
        return False
    if measure.name not in ours:
        return True
    our, their = ours[measure.name], theirs[measure.name]
    below, above = (our, their) if measure.more else (their, our)
    return below.high is not None and above.low is not None and below.high < above.low


def _table(measured: Mapping[str, Mapping[str, Metric]], outcomes: Mapping[str, Sequence[Outcome]]) -> Table:
    rows: list[list[Cell]] = []
    for name, metrics in measured.items():
        failed = [failure for outcome in outcomes[name] for failure in outcome.failed]
        words = ", ".join(f"{failure} {failed.count(failure)}x" for failure in dict.fromkeys(failed))
        cells: list[Cell] = [name, words or "none"]
        for measure in _MEASURES:
            metric = metrics.get(measure.name)
            cells.append(None if metric is None else _with_interval(metric))
        rows.append(cells)
    return Table(
        name="variants",
        title="Each guideline broken, at the end of its trainings",
        columns=["networks", "failures", *(measure.name.replace("_", " ") for measure in _MEASURES)],
        rows=rows,
        note="Means over seeds with 95 % intervals by Student's t; of shares that are alike with all seeds Wilson's, "
        "over the images or maps of one training. Failures by the limits of the analysis stability.",
    )


def _with_interval(metric: Metric) -> str:
    from dcgan_analysis.core import number

    if metric.low is None or metric.high is None:
        return f"{number(metric.value)} ({_ALONE if metric.n == 1 else _ALIKE})"
    return f"{number(metric.value)} [{number(metric.low)}, {number(metric.high)}]"


def _verdicts(worse: Mapping[str, Sequence[str]], better: Mapping[str, Sequence[str]]) -> Table:
    return Table(
        name="differences",
        title="Differences from the paper's recipe",
        columns=["networks", "worse in", "better in"],
        rows=[[name, "; ".join(worse[name]) or None, "; ".join(better[name]) or None] for name in worse],
        note="Where 95 % intervals do not meet, or all trainings diverged; of several measures of several variants one "
        "may do so by chance.",
    )


def _save_bars(context: RunContext, measured: Mapping[str, Mapping[str, Metric]], floor: Metric | None) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis_plugins.guidelines.variants import PAPER

    for measure in _MEASURES:
        shown = {name: metrics[measure.name] for name, metrics in measured.items() if measure.name in metrics}
        if not shown:
            continue
        figure = figures.bars(
            list(shown),
            [metric.value for metric in shown.values()],
            low=[metric.low for metric in shown.values()],
            high=[metric.high for metric in shown.values()],
            highlight=[PAPER],
            baseline=("other real images", floor.value) if floor and measure.name == "sample_distance" else None,
            x_label=measure.words,
            fractions=measure.name in _SHARES,
        )
        better = "More is better." if measure.more else "Less is better."
        title = f"{measure.words[0].upper()}{measure.words[1:]}"
        context.save_figure(figure, measure.name, title, f"Mean over seeds, 95 % intervals. {better}")


def _save_samples(context: RunContext, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    """Show samples of the first seeds, one row for each variant; those of a training that diverged are gray."""
    import numpy as np

    from dcgan_analysis import figures

    blank = np.full((_SAMPLES, *context.split("train").image_shape), 0xEE, np.uint8)

    def row(outcome: Outcome) -> list[figures.Tile]:
        return [figures.Tile(image) for image in (outcome.samples[:_SAMPLES] if len(outcome.samples) else blank)]

    panels = {
        f"seed {context.seed + seed}": [row(of_variant[seed]) for of_variant in outcomes.values()]
        for seed in range(_SEEDS_SHOWN)
    }
    context.save_figure(
        figures.image_panels(panels, labels=list(outcomes)),
        "samples",
        "Samples at the end",
        "One row for each variant; a column is one latent vector. Gray: the training diverged.",
    )
