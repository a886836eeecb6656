"""turn-vector: does one direction in latent space turn a face, and leave the rest alone? (section 6.3.2, Figure 8).

1. Attribute classifiers are trained on real images, from several seeds, and tested on held-out ones: yaw where the
   dataset knows it, or any other attribute, class, number or measured property (``--set attribute=...``). Together they
   judge many samples; each by itself judges what vectors do, and intervals hold their disagreement.
2. The vector: the mean latent vector of four samples at the high end of the attribute less that of four at the low end.
3. Multiples of it are added to new samples. Measured on each: the rank correlation of the multiple with the predicted
   attribute; how far the attribute moves from end to end, in standard deviations among samples; how far all other
   attributes move; how different the two ends look.
4. Control: as long a difference of the means of four random samples each. Both are repeated for several draws.

Consumes a checkpoint with generator and discriminator and a dataset with attributes, numbers or classes.
Produces ``monotonicity``, ``effect``, ``others_moved``, ``selectivity``, ``image_change``, each with its ``random_``
control; turn.npz, what each judge says of each image, from which all of them follow; judges.npz, which repeats the
judgement.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 6.3.2 and Figure 8.
Beyond the paper: everything measured. There the four samples were picked by eye.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis.api import Demo, Metric, Needs, Table, mean_metric
from dcgan_analysis.core import mean_interval, rank_correlations
from dcgan_analysis.latents import JudgeSettings, choose_judge
from dcgan_analysis_plugins.turn_vector.directions import (
    RANDOM,
    TURN,
    draw_directions,
    end_size,
    images_along,
    measure_directions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis.latents import Judge
    from dcgan_analysis_plugins.turn_vector.directions import Moves

AUTO = "auto"
# In this order one is taken where nothing is asked for.
_PREFERRED = ("yaw", "Smiling", "slant")
_SHOWN = 8


class TurnVectorConfig(JudgeSettings):
    """Settings; four samples at either end are the paper's."""

    attribute: str = Field(default=AUTO, description="what is turned; auto: yaw where known, or Smiling, or slant")
    ends: PositiveInt = Field(default=4, description="samples averaged at either end")
    tail: float = Field(default=0.05, gt=0, le=0.5, description="share of the samples that counts as an end")
    samples: int = Field(default=2000, ge=16, description="samples among which the ends are looked for")
    new: int = Field(default=32, ge=2, description="new samples that the vector is added to")
    multiples: int = Field(default=9, ge=3, description="multiples from -reach to reach")
    reach: float = Field(default=1.0, gt=0, description="largest multiple of the vector that is added")
    vectors: int = Field(default=5, ge=1, description="vectors, each of samples of its own, and as many controls")
    label: int = Field(default=0, ge=0, description="class, for a conditional generator")
    classifier_steps: PositiveInt | None = Field(
        default=None, description="minibatches that train an attribute classifier; none given: by the dataset's size"
    )
    judges: int = Field(default=5, ge=2, description="attribute classifiers, trained from as many seeds")


def multiples(config: TurnVectorConfig) -> Tensor:
    """Return the multiples (T,)."""
    import torch

    return torch.linspace(-config.reach, config.reach, config.multiples)


class TurnVector:
    """One direction, its effect and its side effects."""

    name = "turn-vector"
    summary = "A direction between averages of samples at either end of an attribute, added to new samples (6.3.2)"
    question = "Does adding a direction in latent space turn new samples, and does it leave everything else alone?"
    reference = "Radford, Metz, Chintala 2016, section 6.3.2: https://arxiv.org/abs/1511.06434"
    config_type = TurnVectorConfig
    needs = Needs(checkpoint="digits-dcgan32", dataset="digits", splits=("train",), generator=True)
    demo = Demo(settings={"samples": 1000, "new": 16, "vectors": 3, "classifier_steps": 100})

    def requires(self, config: TurnVectorConfig) -> Needs:
        """Return what it consumes with this judge."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: TurnVectorConfig) -> list[Callable[[], object]]:
        """Look for the judge, the class and the attribute, and count the samples at the ends."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, judged_names

        return [
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device, label=config.label)),
            partial(choose_judge, context, config),
            lambda: judged_names(context.split("train"), () if config.attribute == AUTO else (config.attribute,)),
            lambda: end_size(config.samples, config.tail, config.ends),
        ]

    def run(self, context: RunContext, config: TurnVectorConfig) -> Result:
        """Train the judge, find the ends, add the vectors, compare with random directions."""
        import numpy as np

        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary, judge_table, train_judge

        checkpoint = context.checkpoint
        sampler = Sampler(checkpoint, context.device, context.progress, label=config.label)
        check_samples_vary(context, sampler, context.split("train").images)
        embed = choose_judge(context, config)
        with context.stage("attribute classifier"):
            judge = train_judge(context, steps=config.classifier_steps, networks=config.judges)
            attribute = _chosen(judge, config.attribute)
        with context.stage("ends of the attribute"):
            drawn = checkpoint.latents(config.samples + config.new, context.seed)
            z, new = drawn[: config.samples], drawn[config.samples :]
            each = judge.each(sampler(z, what="samples to choose from"))
            margins, spread = each.mean(axis=0), np.maximum(each.std(axis=1), 1e-9)
            column = judge.column(attribute)
            vectors = draw_directions(
                context, z, margins[:, column], directions=config.vectors, averaged=config.ends, tail=config.tail
            )
        with context.stage("turn vectors and random directions"):

            def done(number: int) -> None:
                context.progress("vectors", number, config.vectors)

            steps = multiples(config)
            moves = {
                kind: measure_directions(sampler, judge, embed, new, directions, steps, spread, done)
                for kind, directions in vectors.items()
            }
        with context.stage("figures"):
            _save_turns(context, config, sampler, new, vectors, attribute)
            _save_curve(context, config, moves, column, attribute)
            _save_moves(context, config, moves, judge.names)
        if sampler.label is not None:
            context.note(f"The generator is conditional: all images are of class {sampler.label}.")
        context.note("Standard deviations are those among plain samples, as the attribute classifier judges them.")
        return context.result(
            title=f"The direction of {attribute} in {checkpoint.name}",
            headline="monotonicity",
            metrics=_metrics(moves, column, attribute),
            tables=[_side_effects(judge, moves, column), judge_table(judge)],
        )


def _chosen(judge: Judge, attribute: str) -> str:
    if attribute == AUTO:
        return next(name for name in _PREFERRED if name in judge.names)
    judge.column(attribute)
    return attribute


def _metrics(moves: dict[str, list[Moves]], column: int, attribute: str) -> dict[str, Metric]:
    import numpy as np

    metrics = {}
    for kind, directions in moves.items():
        prefix, better = ("", True) if kind == TURN else ("random_", None)
        # The sign of a random direction means nothing: its size is what any direction does.
        sign = np.abs if kind == RANDOM else np.asarray

        def by_judge(of_one: Callable[[Moves], np.ndarray], directions: list[Moves] = directions) -> np.ndarray:
            """What each judge says of each direction, (J, V)."""
            return np.stack([of_one(one) for one in directions], axis=1)

        effects = sign(by_judge(lambda one: one.ends[..., column].mean(axis=1)))
        others = by_judge(lambda one: np.abs(np.delete(one.ends, column, axis=2)).mean(axis=(1, 2)))
        sizes = by_judge(lambda one: np.abs(one.ends[..., column]).mean(axis=1))
        ratios = sizes / np.maximum(others, 1e-9)
        correlations = sign(
            by_judge(lambda one: np.array([rank_correlations(said[..., column]).mean() for said in one.margins]))
        )
        changes = np.array([one.change.mean() for one in directions])
        for name, values, direction, text in (
            ("monotonicity", correlations, better, f"mean rank correlation of multiple and predicted {attribute}"),
            ("effect", effects, better, f"{attribute} moves from end to end, in standard deviations"),
            ("others_moved", others, None, "mean absolute move of the other attributes, in standard deviations"),
            ("selectivity", ratios, better, f"absolute move of {attribute} over that of the others"),
            ("image_change", changes, None, "perceptual distance of the two ends"),
        ):
            metrics[f"{prefix}{name}"] = mean_metric(
                values,
                f"{kind}: {text}",
                over="vectors",
                higher_is_better=direction,
                bounds=(-1.0, 1.0) if name == "monotonicity" else None,
            )
    return metrics


def _side_effects(judge: Judge, moves: dict[str, list[Moves]], column: int) -> Table:
    import numpy as np

    signed, random = (
        np.stack([(one.ends if kind == TURN else np.abs(one.ends)).mean(axis=(0, 1)) for one in directions]).mean(
            axis=0
        )
        for kind, directions in moves.items()
    )
    order = [column, *(i for i in np.argsort(-np.abs(signed), kind="stable").tolist() if i != column)]
    rows: list[list[Cell]] = [[judge.names[i], float(signed[i]), float(random[i])] for i in order]
    columns = ["attribute", TURN, "random direction, absolute"]
    note = "Standard deviations among plain samples, from end to end; the largest side effects first."
    return Table(name="moved", title="What moves", columns=columns, rows=rows, note=note)


def _save_turns(
    context: RunContext,
    config: TurnVectorConfig,
    sampler: Sampler,
    new: Tensor,
    vectors: dict[str, list[Tensor]],
    attribute: str,
) -> None:
    import numpy as np

    from dcgan_analysis import figures

    shown = new[:_SHOWN]
    pages = {}
    for kind, directions in vectors.items():
        pages[kind] = images_along(sampler, shown, directions[0], multiples(config))
        caption = (
            f"Each row is a new sample in the middle, with multiples from -{config.reach:g} to {config.reach:g} added."
        )
        title = f"Along the {kind}, {attribute}" if kind == TURN else f"Control: along a {kind} of the same length"
        context.save_figure(figures.image_grid(pages[kind], config.multiples), kind.replace(" ", "-"), title, caption)
    forth = list(range(config.multiples))
    frames = [figures.tiled(pages[TURN][at :: config.multiples], 4) for at in (*forth, *forth[-2:0:-1])]
    context.save_animation(
        np.stack(frames),
        "animation",
        "The same samples, moving",
        milliseconds=120,
        scale=max(1, 480 // frames[0].shape[2]),
    )


def _save_curve(
    context: RunContext, config: TurnVectorConfig, moves: dict[str, list[Moves]], column: int, attribute: str
) -> None:
    import numpy as np

    from dcgan_analysis import figures

    series = {}
    for kind, directions in moves.items():
        values = np.concatenate([one.margins[..., column].mean(axis=0) for one in directions])
        # From where the sample itself stands.
        values = values - values[:, config.multiples // 2, None]
        intervals = [mean_interval(at.tolist()) for at in values.T]
        mean, low, high = (list(part) for part in zip(*intervals, strict=True))
        series[kind] = figures.Series(multiples(config).tolist(), mean, low, high)
    figure = figures.curve(
        series, x_label="multiple added", y_label=f"{attribute}, moved by (std)", log_x=False, fractions=False
    )
    context.save_figure(
        figure, "response", f"How {attribute} follows", "Mean over new samples and vectors, 95 % intervals."
    )


def _save_moves(
    context: RunContext, config: TurnVectorConfig, moves: dict[str, list[Moves]], attributes: Sequence[str]
) -> None:
    """Save what J judges say of S samples at T multiples of V vectors and as many controls, (V, J, S, T, A).

    Beside it, as ``..._change``, (V, S), how different the two ends look.
    """
    import numpy as np

    arrays = {"attributes": np.array(attributes), "multiples": multiples(config).numpy()}
    for kind, of_kind in moves.items():
        prefix = kind.split()[0]
        arrays[f"{prefix}_said"] = np.stack([move.margins for move in of_kind])
        arrays[f"{prefix}_change"] = np.stack([move.change for move in of_kind])
    context.save_arrays("turn", **arrays)
