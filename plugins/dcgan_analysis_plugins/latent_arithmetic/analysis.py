"""latent-arithmetic: does a - b + c in latent space mean what it means in words? (section 6.3.2, Figure 7).

1. The figure: the latent vectors of three exemplars of each concept are averaged; the image of a - b + c in the middle,
   around it 8 neighbours with uniform noise of +-0.25; beside it the same sum on pixels. Exemplars come from a JSON
   file (docs/exemplars.md), by default ``exemplars.json`` beside the checkpoint's weights, or else from step 2.
2. The measure: attribute classifiers are trained on real images, from several seeds, and tested on held-out ones.
   Together they choose samples that clearly show a, b and c; each by itself says what results show, and intervals hold
   their disagreement. For many triples of exemplars that clearly show a, b and c: does the result show what the
   expression asks for? With three exemplars and with one, in latent space and on pixels.
3. Controls: plain samples, and the average of c alone, which is the result without the vector a - b; one exemplar's
   vector brought back to the length of a sample, since part of what averaging gains is length. A blend of pixels
   may satisfy the classifier and look like nothing: the discriminator says how real the results are.

Consumes a checkpoint with a generator and a dataset with attributes, or with classes; then the measured properties
brightness and slant are what is moved from one class to another. In a conditional generator all is of one class.
Produces ``success`` (latent, averaged), ``one_exemplar_success``, ``one_exemplar_rescaled_success``,
``pixel_success``, ``pixel_one_exemplar_success``, ``c_alone``, ``chance``, ``averaging_gain``,
``averaging_gain_rescaled``, ``realism``, ``pixel_realism``; exemplars.json, which repeats the figure; judges.npz, which
repeats the judgement; outcomes.npz: which triples, and what each judge says of each.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 6.3.2 and Figure 7.
Beyond the paper: everything in 2 and 3. In the paper exemplars were picked by eye and results looked at.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, Table, mean_metric, share_metric
from dcgan_analysis_plugins.latent_arithmetic.arithmetic import (
    C_ALONE,
    LATENT,
    ONE_LATENT,
    ONE_PIXELS,
    ONE_RESCALED,
    PIXELS,
    compute_triples,
    draw_triples,
    save_arithmetic,
)
from dcgan_analysis_plugins.latent_arithmetic.expressions import find_candidates, matches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis_plugins.latent_arithmetic.exemplars import Exemplars
    from dcgan_analysis_plugins.latent_arithmetic.expressions import Candidates

__all__ = ["LatentArithmetic", "LatentArithmeticConfig"]

AUTO = "auto"
PLAIN = "plain samples"
# In the order of the report: way of computing -> its metric.
_WAYS = {
    LATENT: "success",
    ONE_LATENT: "one_exemplar_success",
    ONE_RESCALED: "one_exemplar_rescaled_success",
    PIXELS: "pixel_success",
    ONE_PIXELS: "pixel_one_exemplar_success",
    C_ALONE: "c_alone",
    PLAIN: "chance",
}
_PLAIN_SHOWN = 256


class LatentArithmeticConfig(AnalysisConfig):
    """Settings; three exemplars and +-0.25 are the paper's."""

    exemplars: str = Field(default=AUTO, description="JSON file; auto: exemplars.json beside the checkpoint, if any")
    averaged: PositiveInt = Field(default=3, description="exemplars whose latent vectors are averaged")
    noise: float = Field(default=0.25, ge=0, description="uniform noise of the neighbours, on either side")
    moved: str = Field(default=AUTO, description="property that a has and b lacks; auto: the best supported")
    contrast: tuple[str, ...] = Field(
        default=(), max_length=2, description="what c has and a, b lack: an attribute; or two classes, a's and c's"
    )
    samples: int = Field(default=2000, ge=8, description="samples among which exemplars are looked for")
    margin: float = Field(
        default=0.5, ge=0, description="how clearly they show it: 2 p - 1, or standard deviations of a number"
    )
    triples: PositiveInt = Field(default=200, description="triples of exemplars that are tried")
    label: int = Field(default=0, ge=0, description="class, for a conditional generator")
    classifier_steps: PositiveInt | None = Field(
        default=None, description="minibatches that train an attribute classifier; none given: by the dataset's size"
    )
    judges: int = Field(default=5, ge=2, description="attribute classifiers, trained from as many seeds")


class LatentArithmetic:
    """Vector arithmetic on latent vectors, shown and measured."""

    name = "latent-arithmetic"
    summary = "a - b + c on latent vectors: figure, and success over many triples against pixels (6.3.2)"
    question = "Does arithmetic on latent vectors give the image that it gives in words?"
    reference = "Radford, Metz, Chintala 2016, section 6.3.2: https://arxiv.org/abs/1511.06434"
    config_type = LatentArithmeticConfig
    needs = Needs(checkpoint="digits-dcgan32", dataset="digits", splits=("train",), generator=True)
    demo = Demo(settings={"samples": 1500, "triples": 100, "classifier_steps": 100})

    def checks(self, context: RunContext, config: LatentArithmeticConfig) -> list[Callable[[], object]]:
        """Look for the exemplars, the class and the attributes."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, judged_names

        asked = [*config.contrast, *([] if config.moved == AUTO else [config.moved])]
        return [
            partial(_picked, context, config),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
            lambda: judged_names(context.split("train"), asked),
        ]

    def run(self, context: RunContext, config: LatentArithmeticConfig) -> Result:
        """Train the judge, find exemplars, try many triples, and draw one."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, judge_table, train_judge
        from dcgan_analysis_plugins.latent_arithmetic.realism import realism

        picked = _picked(context, config)
        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, context.progress, label=config.label)
        check_samples_vary(context, sampler, context.split("train").images)
        with context.stage("attribute classifier"):
            judge = train_judge(context, steps=config.classifier_steps, networks=config.judges)
        with context.stage("exemplars"):
            z = checkpoint.latents(config.samples, context.seed)
            candidates = find_candidates(
                judge,
                sampler(z, what="samples to choose from"),
                moved=None if config.moved == AUTO else config.moved,
                contrast=config.contrast,
                margin=config.margin,
                needed=config.averaged,
                classes=sampler.label is None,
            )
        with context.stage(f"{config.triples} triples"):
            triples = draw_triples(candidates.pools, config.averaged, config.triples, context.rng("triples"))
            images = compute_triples(sampler, z, triples)
            wanted = candidates.expression.result
            judge = candidates.judge
            right = {way: matches(judge, judge.each(page), wanted) for way, page in images.items()}
            right[PLAIN] = matches(judge, candidates.margins, wanted)
            real = realism(checkpoint, context.device, images, sampler(z[:_PLAIN_SHOWN]), sampler.label)
            _save_outcomes(context, right, real, triples)
        with context.stage("figures"):
            shown = picked or _drawn(context, config, candidates, sampler.label)
            context.save_json("exemplars", shown.document())
            save_arithmetic(context, sampler, shown, config.noise)
            _save_success(context, right)
        _notes(context, config, sampler.label)
        a, b, c = (f"({name})" for name, _ in candidates.named())
        return context.result(
            title=f"{a} - {b} + {c} in {context.checkpoint.name}",
            headline="success",
            metrics=_metrics(config, right, candidates, real),
            tables=[
                _ways(right, real),
                _pools(candidates),
                judge_table(judge, [*candidates.expression.a, *candidates.expression.c]),
            ],
        )


def _picked(context: RunContext, config: LatentArithmeticConfig) -> Exemplars | None:
    """Read the exemplars that the user or the checkpoint brings, before anything long starts."""
    from dcgan_analysis_plugins.latent_arithmetic.exemplars import read_expression

    given = read_expression(context.checkpoint, None if config.exemplars == AUTO else config.exemplars)
    if given is None:
        return None
    exemplars, path = given
    context.note(f"The figure shows the exemplars of '{path.name}'; the measure chooses its own by the classifier.")
    return exemplars


def _drawn(context: RunContext, config: LatentArithmeticConfig, candidates: Candidates, label: int | None) -> Exemplars:
    """Draw exemplars of each concept."""
    from dcgan_analysis_plugins.latent_arithmetic.exemplars import make_exemplars

    rng = context.rng("figure")
    concepts = {name: rng.choice(pool, config.averaged, replace=False).tolist() for name, pool in candidates.named()}
    return make_exemplars(context.checkpoint, context.seed, concepts, label)


def _metrics(
    config: LatentArithmeticConfig,
    right: Mapping[str, np.ndarray],
    candidates: Candidates,
    real: Mapping[str, np.ndarray],
) -> dict[str, Metric]:
    metrics = {
        name: share_metric(
            right[way],
            f"{way}: results that show '{candidates.asked}'",
            higher_is_better=None if way in (PLAIN, C_ALONE) else True,
        )
        for way, name in _WAYS.items()
    }
    for way, name in ((ONE_LATENT, "averaging_gain"), (ONE_RESCALED, "averaging_gain_rescaled")):
        metrics[name] = mean_metric(
            right[LATENT].astype(float) - right[way],
            f"success of {config.averaged} exemplars less that of '{way}', the same triples",
            over="triples",
            higher_is_better=True,
            unit="fraction",
            bounds=(-1.0, 1.0),
        )
    for way, name in ((LATENT, "realism"), (PIXELS, "pixel_realism")):
        if way in real:
            text = f"{way}: share of plain samples that the discriminator takes for less real; 50 % is as real as these"
            metrics[name] = mean_metric(
                real[way], text, over="triples", higher_is_better=True, unit="fraction", bounds=(0.0, 1.0)
            )
    return metrics


def _share(hits: np.ndarray) -> tuple[float, float, float]:
    metric = share_metric(hits, "", higher_is_better=None)
    return metric.value, metric.low or 0.0, metric.high or 0.0


def _ways(right: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]) -> Table:
    rows: list[list[Cell]] = []
    for way in _WAYS:
        each = right[way].mean(axis=1)
        ends = (float(each.min()), float(each.max()))
        mean_realism = float(real[way].mean()) if way in real else None
        rows.append([way, *_share(right[way]), *ends, right[way].shape[1], mean_realism])
    columns = ["computed by", "as asked", "low", "high", "lowest judge", "highest judge", "n", "realism"]
    note = (
        "Low and high: 95 % over judges and triples. Triples share exemplars where pools are small. Realism: share of "
        "plain samples that the discriminator takes for less real."
    )
    return Table(
        name="ways",
        title="Results that show what was asked for",
        columns=columns,
        rows=rows,
        percent=[*columns[1:6], columns[7]],
        note=note,
    )


def _pools(candidates: Candidates) -> Table:
    rows: list[list[Cell]] = [
        [part, name, len(pool)] for part, (name, pool) in zip("abc", candidates.named(), strict=True)
    ]
    rows.append(["a - b + c", candidates.asked, None])
    return Table(name="pools", title="What was asked for", columns=["", "shows", "exemplars to draw from"], rows=rows)


def _notes(context: RunContext, config: LatentArithmeticConfig, label: int | None) -> None:
    if config.moved == AUTO:
        context.note(
            "What is measured is the expression with the most exemplars; the settings moved and contrast name another."
        )
    if label is not None:
        context.note(f"The generator is conditional: the measure works within class {label}.")
    if not context.checkpoint.has("discriminator"):
        context.note(
            f"Realism is not measured: checkpoint '{context.checkpoint.name}' holds no discriminator. An installation "
            "leaves some networks out of the shipped checkpoints; those of the repository are whole."
        )
    context.note(
        "The sum of three single vectors lies further from the origin than any sample; averages of three bring it back "
        "to about the length that the prior gives."
    )


def _save_outcomes(
    context: RunContext, right: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray], triples: Sequence[Tensor]
) -> None:
    """Save which triples there were, (3, T, E) indices of samples, and by way what each judge says, (J, T).

    Beside them, as ``..._realism``, (T,), how real the discriminator takes each result to be.
    """
    import numpy as np

    outcomes = {_WAYS[way]: hits for way, hits in right.items()}
    outcomes |= {f"{_WAYS[way]}_realism": ranks for way, ranks in real.items()}
    context.save_arrays("outcomes", triples=np.stack([one.numpy() for one in triples]), **outcomes)


def _save_success(context: RunContext, right: Mapping[str, np.ndarray]) -> None:
    from dcgan_analysis import figures

    values, low, high = zip(*(_share(right[way]) for way in _WAYS), strict=True)
    figure = figures.bars(list(_WAYS), values, low=low, high=high, highlight=[LATENT], x_label="results as asked")
    context.save_figure(figure, "success", "How often the result shows what was asked for", "With 95 % intervals.")
