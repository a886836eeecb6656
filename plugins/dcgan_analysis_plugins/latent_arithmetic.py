"""latent-arithmetic: does a - b + c in latent space mean what it means in words? (section 6.3.2, Figure 7).

1. The figure: the latent vectors of three exemplars of each concept are averaged; the image of a - b + c in the middle,
   around it 8 neighbours with uniform noise of +-0.25; beside it the same sum on pixels. Exemplars come from a JSON
   file (docs/exemplars.md), by default ``exemplars.json`` beside the checkpoint's weights, or else from step 2.
2. The measure: an attribute classifier is trained on real images and tested on held-out ones; it says what each of many
   samples shows. For many triples of exemplars that clearly show a, b and c: does the result show what the
   expression asks for? With three exemplars and with one, in latent space and on pixels.
3. Controls: plain samples, and the average of c alone, which is the result without the vector a - b. A blend of pixels
   may satisfy the classifier and look like nothing: the discriminator says how real the results are.

Consumes a checkpoint with a generator and a dataset with attributes, or with classes; then the measured properties
brightness and slant are what is moved from one class to another. In a conditional generator all is of one class.
Produces ``success`` (latent, averaged), ``one_exemplar_success``, ``pixel_success``, ``pixel_one_exemplar_success``,
``c_alone``, ``chance``, ``averaging_gain``, ``realism``, ``pixel_realism``, and exemplars.json, which repeats the
figure.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 6.3.2 and Figure 7.
Beyond the paper: everything in 2 and 3. In the paper exemplars were picked by eye and results looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, Table
from dcgan_analysis.api.expressions import Expression, best_supported, matches, pools
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.statistics import mean_interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.api.attributes import Judge
    from dcgan_analysis.api.exemplars import Exemplars
    from dcgan_analysis.api.sampling import Sampler

__all__ = ["LatentArithmetic", "LatentArithmeticConfig"]

AUTO = "auto"
_PLAIN = 256
_CENTRE_FRAME = "#0072b2"


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
        default=None, description="minibatches that train the attribute classifier; none given: by the dataset's size"
    )


@dataclass(frozen=True)
class Found:
    """Exemplars found by the classifier.

    Attributes:
        judge: The classifier, centred on the samples.
        expression: What was asked for.
        pools: Indices of samples that clearly show a, b, c.
        margins: (N, A) what the classifier said of all samples.
    """

    judge: Judge
    expression: Expression
    pools: list[np.ndarray]
    margins: np.ndarray


def find(context: RunContext, config: LatentArithmeticConfig, judge: Judge, sampler: Sampler, z: Tensor) -> Found:
    """Judge samples (N, Z) and take those that clearly show a, b and c.

    Raises:
        AnalysisError: If there are too few of one.
        UnknownNameError: If an attribute is unknown.
    """
    conditional = bool(context.checkpoint.architecture.classes)
    images = sampler(z, _labels(context, config, len(z)), what="samples to choose from")
    judge = judge.centred_on(judge(images))
    margins = judge(images)
    if config.moved == AUTO:
        expression = best_supported(judge, margins, config.margin, classes=not conditional)
    else:
        expression = Expression.of(config.moved, config.contrast)
    found = pools(judge, margins, expression, config.margin)
    for part, pool in zip((expression.a, expression.b, expression.c), found, strict=True):
        if len(pool) < config.averaged:
            msg = (
                f"Only {len(pool)} of {len(z):,} samples of '{context.checkpoint.name}' clearly show "
                f"'{expression.name(part)}', {config.averaged} are needed. Draw more (--set samples=...), ask for less "
                "clarity (--set margin=...), or choose other attributes (--set moved=..., contrast=...)."
            )
            raise AnalysisError(msg)
    return Found(judge, expression, found, margins)


def try_triples(
    context: RunContext, config: LatentArithmeticConfig, sampler: Sampler, z: Tensor, found: Found
) -> dict[str, np.ndarray]:
    """Compute many expressions: way of computing -> (triples, C, H, W), uint8."""
    import numpy as np
    import torch

    from dcgan_analysis.models.arithmetic import combine, combine_pixels

    rng = context.rng("triples")
    chosen = [
        torch.from_numpy(np.stack([rng.choice(pool, config.averaged, replace=False) for _ in range(config.triples)]))
        for pool in found.pools
    ]
    labels = _labels(context, config, config.triples)
    many = [z[indices] for indices in chosen]  # (triples, E, Z) each
    one = [vectors[:, :1] for vectors in many]
    images = {
        "latent": sampler(combine(*many), labels),
        "latent, one exemplar": sampler(combine(*one), labels),
        "c alone, averaged": sampler(many[2].mean(1), labels),
    }
    drawn = np.unique(torch.cat(chosen).numpy())
    shown = sampler(z[torch.from_numpy(drawn)], _labels(context, config, len(drawn)), what="exemplars")
    places = [np.searchsorted(drawn, indices.numpy()) for indices in chosen]
    rows = list(zip(*places, strict=True))
    images["pixels"] = np.stack([combine_pixels(*(shown[place] for place in row)) for row in rows])
    images["pixels, one exemplar"] = np.stack([combine_pixels(*(shown[place[:1]] for place in row)) for row in rows])
    return images


class LatentArithmetic:
    """Vector arithmetic on latent vectors, shown and measured."""

    name = "latent-arithmetic"
    summary = "a - b + c on latent vectors: figure, and success over many triples against pixels (6.3.2)"
    question = "Does arithmetic on latent vectors give the image that it gives in words?"
    reference = "Radford, Metz, Chintala 2016, section 6.3.2: https://arxiv.org/abs/1511.06434"
    config_type = LatentArithmeticConfig
    needs = Needs(checkpoint="digits-dcgan32", dataset="digits", splits=("train",), generator=True)
    demo = Demo(settings={"samples": 1500, "triples": 100, "classifier_steps": 300})

    def run(self, context: RunContext, config: LatentArithmeticConfig) -> Result:
        """Train the judge, find exemplars, try many triples, and draw one."""
        from dcgan_analysis.api.attributes import judge_table, train_judge
        from dcgan_analysis.api.sampling import Sampler, realism

        picked = _given(context, config)
        checkpoint = context.checkpoint
        label = config.label if checkpoint.architecture.classes else None
        sampler = Sampler(checkpoint, context.device, context.progress)
        with context.stage("attribute classifier"):
            judge = train_judge(context, steps=config.classifier_steps)
        with context.stage("exemplars"):
            z = context.checkpoint.latents(config.samples, context.seed)
            found = find(context, config, judge, sampler, z)
        with context.stage(f"{config.triples} triples"):
            images = try_triples(context, config, sampler, z, found)
            right = {
                way: matches(found.judge, found.judge(page), found.expression.result) for way, page in images.items()
            }
            plain = z[:_PLAIN]
            real = realism(
                checkpoint, context.device, images, sampler(plain, _labels(context, config, len(plain))), label
            )
            right["plain samples"] = matches(found.judge, found.margins, found.expression.result)
        shown = picked or _first(context, config, found)
        with context.stage("figures"):
            context.save_json("exemplars", shown.document())
            _save_arithmetic(context, config, sampler, shown)
            _save_success(context, right)
        _notes(context, config, found, picked)
        asked = found.expression
        a, b, c = (f"({asked.name(part)})" for part in (asked.a, asked.b, asked.c))
        return context.result(
            self,
            config,
            title=f"{a} - {b} + {c} in {context.checkpoint.name}",
            headline="success",
            metrics=_metrics(config, right, found, real),
            tables=[_ways(right, real), _pools(found), judge_table(judge, [*asked.a, *asked.c])],
        )


def _labels(context: RunContext, config: LatentArithmeticConfig, n: int) -> Tensor | None:
    from dcgan_analysis.api.sampling import class_labels

    return class_labels(context.checkpoint, n, config.label if context.checkpoint.architecture.classes else None)


def _given(context: RunContext, config: LatentArithmeticConfig) -> Exemplars | None:
    """Read the exemplars that the user or the checkpoint brings, before anything long starts."""
    from dcgan_analysis.api.exemplars import find_exemplars, read_exemplars

    path = find_exemplars(context.checkpoint) if config.exemplars == AUTO else Path(config.exemplars).expanduser()
    if path is None:
        return None
    exemplars = read_exemplars(path)
    exemplars.check(context.checkpoint, path)
    if exemplars.expression is None:
        msg = f"Exemplars '{path}' have no expression. Add \"expression\": [a, b, c], three names of concepts."
        raise AnalysisError(msg)
    context.note(f"The figure shows the exemplars of '{path.name}'; the measure chooses its own by the classifier.")
    return exemplars


def _first(context: RunContext, config: LatentArithmeticConfig, found: Found) -> Exemplars:
    """Return the clearest exemplars of each concept as a document."""
    import numpy as np

    from dcgan_analysis.api.exemplars import Exemplars

    asked = found.expression
    parts = (asked.a, asked.b, asked.c)
    rng = context.rng("figure")
    concepts: dict[str, list[int | list[float]]] = {
        asked.name(part): [int(i) for i in np.sort(rng.choice(pool, config.averaged, replace=False))]
        for part, pool in zip(parts, found.pools, strict=True)
    }
    names = [asked.name(part) for part in parts]
    return Exemplars(
        checkpoint=context.checkpoint.name,
        checkpoint_sha256=context.checkpoint.sha256(),
        seed=context.seed,
        z_prior=context.checkpoint.metadata.z_prior,
        label=config.label if context.checkpoint.architecture.classes else None,
        concepts=concepts,
        expression=(names[0], names[1], names[2]),
    )


_WAYS = {
    "latent": "success",
    "latent, one exemplar": "one_exemplar_success",
    "pixels": "pixel_success",
    "pixels, one exemplar": "pixel_one_exemplar_success",
    "c alone, averaged": "c_alone",
    "plain samples": "chance",
}


def _metrics(
    config: LatentArithmeticConfig, right: dict[str, np.ndarray], found: Found, real: dict[str, float]
) -> dict[str, Metric]:
    asked = found.expression.name(found.expression.result)
    metrics = {}
    for way, name in _WAYS.items():
        hits, n = int(right[way].sum()), len(right[way])
        low, high = wilson_interval(hits, n)
        metrics[name] = Metric(
            value=hits / n,
            low=low,
            high=high,
            interval="95 % Wilson",
            n=n,
            higher_is_better=None if name in ("chance", "c_alone") else True,
            description=f"{way}: results that show '{asked}'",
        )
    difference = right["latent"].astype(float) - right["latent, one exemplar"]
    mean, low, high = mean_interval(difference.tolist())
    metrics["averaging_gain"] = Metric(
        value=mean,
        low=low,
        high=high,
        interval="1.96 standard errors, paired",
        n=len(difference),
        description=f"success of {config.averaged} exemplars less that of one, the same triples",
    )
    for way, name in (("latent", "realism"), ("pixels", "pixel_realism")):
        if way in real:
            text = f"{way}: share of plain samples that the discriminator takes for less real; 50 % is as real as these"
            metrics[name] = Metric(value=real[way], n=len(right[way]), higher_is_better=True, description=text)
    return metrics


def _ways(right: dict[str, np.ndarray], real: dict[str, float]) -> Table:
    rows: list[list[Cell]] = []
    for way in _WAYS:
        hits, n = int(right[way].sum()), len(right[way])
        rows.append([way, hits / n, *wilson_interval(hits, n), n, real.get(way)])
    columns = ["computed by", "as asked", "low", "high", "n", "realism"]
    note = (
        "Low and high: 95 % Wilson interval. Triples share exemplars where pools are small. Realism: share of plain "
        "samples that the discriminator takes for less real."
    )
    return Table(
        name="ways",
        title="Results that show what was asked for",
        columns=columns,
        rows=rows,
        percent=[*columns[1:4], columns[5]],
        note=note,
    )


def _pools(found: Found) -> Table:
    asked = found.expression
    rows: list[list[Cell]] = [
        [part, asked.name(wanted), len(pool)]
        for part, wanted, pool in zip("abc", (asked.a, asked.b, asked.c), found.pools, strict=True)
    ]
    rows.append(["a - b + c", asked.name(asked.result), None])
    return Table(name="pools", title="What was asked for", columns=["", "shows", "exemplars to draw from"], rows=rows)


def _notes(context: RunContext, config: LatentArithmeticConfig, found: Found, picked: Exemplars | None) -> None:
    if config.moved == AUTO and picked is None:
        context.note("The expression was chosen as the one with the most exemplars; choose: --set moved=, contrast=.")
    if context.checkpoint.architecture.classes:
        context.note(f"The generator is conditional: the measure works within class {config.label}.")
    context.note(
        "The sum of three single vectors lies further from the origin than any sample; averages of three bring it back "
        "to about the length that the prior gives."
    )


def _save_success(context: RunContext, right: dict[str, np.ndarray]) -> None:
    from dcgan_analysis import figures

    values = [float(right[way].mean()) for way in _WAYS]
    ends = [wilson_interval(int(right[way].sum()), len(right[way])) for way in _WAYS]
    low, high = zip(*ends, strict=True)
    figure = figures.bars(list(_WAYS), values, low=low, high=high, highlight=["latent"], x_label="results as asked")
    context.save_figure(figure, "success", "How often the result shows what was asked for", "With 95 % intervals.")


def _save_arithmetic(
    context: RunContext, config: LatentArithmeticConfig, sampler: Sampler, exemplars: Exemplars
) -> None:
    import numpy as np
    import torch

    from dcgan_analysis import figures
    from dcgan_analysis.models.arithmetic import NEIGHBOURS, combine, combine_pixels, with_neighbours

    names: Sequence[str] = exemplars.expression or ()
    vectors = [exemplars.latents(name, context.checkpoint) for name in names]
    labels = [exemplars.labels(name, context.checkpoint) for name in names]
    images = [sampler(z, label) for z, label in zip(vectors, labels, strict=True)]
    means = [
        sampler(z.mean(0, keepdim=True), None if label is None else label[:1])
        for z, label in zip(vectors, labels, strict=True)
    ]
    columns = max(map(len, images)) + 1
    blank = np.full((columns, *images[0].shape[1:]), 255, np.uint8)
    rows = [
        np.concatenate([mine, blank[: columns - 1 - len(mine)], mean]) for mine, mean in zip(images, means, strict=True)
    ]
    titles = [
        title
        for sign, name in zip(("a", "- b", "+ c"), names, strict=True)
        for title in [f"{sign}: {name}", *[""] * (columns - 2), "average z"]
    ]
    grid = figures.image_grid(np.concatenate(rows), columns, titles=titles, scale=max(2, 192 // images[0].shape[3]))
    context.save_figure(grid, "exemplars", "Exemplars, and the image of their averaged latent vectors")
    z = with_neighbours(combine(*vectors), config.noise, context.rng("neighbours"))
    label = None if labels[0] is None else torch.full((len(z),), int(labels[2][0] if labels[2] is not None else 0))
    around = sampler(z, label)
    pixels = combine_pixels(*images)
    frames = [_CENTRE_FRAME if i == NEIGHBOURS // 2 else None for i in range(len(z))]
    context.save_figure(
        figures.image_grid(around, 3, borders=frames, scale=max(2, 192 // around.shape[3])),
        "arithmetic",
        f"{names[0]} - {names[1]} + {names[2]}",
        f"Framed: the image of a - b + c. Around it: uniform noise of +-{config.noise:g} added to the latent vector.",
    )
    context.save_image(
        pixels,
        "pixels",
        "Control: the same sum on pixels",
        "Mean images, cut to the range of pixels.",
        scale=max(2, 384 // pixels.shape[2]),
    )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(LatentArithmetic())
