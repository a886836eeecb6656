"""stability: what failed in a training, and since when (section 7)?

1. The history of the training, reading by reading, judged by the rules that the trainer warns by: collapse of the
   samples, filters that freeze or oscillate, a discriminator that runs ahead, saturates or stands still. A failure has
   an epoch in which it was first seen, and an end or none.
2. The filters of the generators in the states that are kept, where the history is older than the counts of filters.
3. The networks as they are: the same measures on several draws of samples, beside other real images and the random
   twin. Without a history they alone are judged.
4. Samples of the same latent vectors after one epoch, after five, and at the end (figures 2 and 3), which the paper
   shows against memorisation: one pass with small steps can hardly learn images by heart.
5. The discriminator on training images, held-out images and samples. One that tells training images from held-out ones
   knows them by heart (Karras et al. 2020, section 3): the usual reason why it runs ahead.

Consumes a checkpoint with a generator; of a training, its folder: ``--checkpoint runs/svhn``. With a dataset, the one
it was trained on, points 3 and 5 are complete.
Produces a verdict with the numbers behind it, curves over epochs, and readings.json.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 7; Karras et al. 2020, arXiv 2006.06676.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, mean_metric, share_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis.checkpoints import Checkpoint
    from dcgan_analysis_plugins.stability.networks import RealImages
    from dcgan_analysis_plugins.stability.record import TrainingRecord

__all__ = ["Stability", "StabilityConfig"]

_WHOSE = {"": "samples", "real_": "other real images", "twin_": "samples of the random twin"}
_SPREADS = {
    "diversity": ("distance between two, over that of real images", True),
    "nearest_sample": ("distance to the nearest other, over that of real images", True),
    "sample_distance": ("distance of patches to those of real images", False),
}


class StabilityConfig(AnalysisConfig):
    """Settings."""

    draws: int = Field(default=5, ge=2, description="draws of 64 samples, and of as many real images")
    shown: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 5.0), description="epochs whose samples are shown, from the nearest reading, beside the last"
    )
    judged: int = Field(default=500, ge=10, description="images of each kind that the discriminator judges")


class Stability:
    """Failures of GAN training, from the history of a training and from its networks."""

    name = "stability"
    summary = "Filters that freeze or oscillate, a discriminator that runs ahead, collapse: one verdict (7)"
    question = "What failed in the training, and since when?"
    reference = "Radford, Metz, Chintala 2016, section 7: https://arxiv.org/abs/1511.06434"
    config_type = StabilityConfig
    needs = Needs(checkpoint="digits-dcgan32", generator=True)
    demo = Demo(dataset="digits", settings={"draws": 3, "judged": 200})

    def checks(self, context: RunContext, config: StabilityConfig) -> list[Callable[[], object]]:
        """Read the history, and look at the shape of the images."""
        from dcgan_analysis_plugins.stability.networks import real_images
        from dcgan_analysis_plugins.stability.record import training_record

        history: list[Callable[[], object]] = [lambda: training_record(context.checkpoint)]
        return [*history, lambda: real_images(context)] if context.has_dataset else history

    def run(self, context: RunContext, config: StabilityConfig) -> Result:
        """Read what there is, measure the networks, and judge both."""
        from dcgan_analysis_plugins.stability.networks import filters, random_twin, real_images
        from dcgan_analysis_plugins.stability.record import filters_of_states, training_record
        from dcgan_analysis_plugins.stability.verdict import Verdict

        record = training_record(context.checkpoint)
        with context.stage("filters"):
            now: dict[str, Any] = {"filters": filters(context.checkpoint, context.seed)}
            twin = random_twin(context)
            of_states = filters_of_states(record, context.checkpoint, context.seed)
            metrics = _filter_metrics(now["filters"], filters(twin, context.seed))
        if context.has_dataset:
            real = real_images(context)
            with context.stage(f"{config.draws} draws of samples"):
                measured = _spread_metrics(context, twin, real, config.draws)
            now |= {name: measured[name].value for name in _SPREADS}
            metrics |= measured
            if context.checkpoint.has("discriminator"):
                with context.stage("the discriminator's judgement"):
                    metrics |= _judgement_metrics(context, real, config.judged)
        else:
            context.note("Without a dataset, samples are not compared with real images. Give the one trained on.")
        verdict = Verdict.of(record.history, of_states, now, context.checkpoint.metadata.epoch)
        if not record.history:
            context.note(
                "No history lies beside the checkpoint: its networks alone are judged, and nothing is known of before. "
                "Give the folder of the training as checkpoint."
            )
        with context.stage("figures"):
            _save_curves(context, record.history, of_states)
            _save_sheets(context, record, config.shown)
        context.save_json("readings", {"history": record.history, "states": of_states, "now": now})
        failing = Metric(
            value=len(verdict.present),
            unit="number",
            n=max(1, len(record.history)),
            higher_is_better=False,
            description="kinds of failure that are there at the last reading; n: readings",
        )
        passed = failing.model_copy(
            update={
                "value": float(len(verdict.passed)),
                "description": "kinds of failure that came and went; n: readings",
            }
        )
        return context.result(
            title=f"Stability of {context.checkpoint.name}: {verdict.text}",
            headline="failures",
            metrics={"failures": failing, "failures_passed": passed, **metrics},
            tables=[verdict.table(), verdict.limits()],
        )


def _filter_metrics(now: Mapping[str, Any], twin: Mapping[str, Any]) -> dict[str, Metric]:
    def metric(layers: Mapping[str, Any], whose: str) -> Metric:
        collapsed = sum(maps["dead"] + maps["fixed"] for maps in layers.values())
        all_maps = sum(maps["maps"] for maps in layers.values())
        hits = [True] * collapsed + [False] * (all_maps - collapsed)
        description = f"share of the maps of {whose} that do not depend on the latent vector"
        return share_metric(hits, description, higher_is_better=False if layers is now else None)

    # A fully connected generator has no maps.
    named = {"collapsed_filters": (now, "the generator"), "twin_collapsed_filters": (twin, "its random twin")}
    return {name: metric(*each) for name, each in named.items() if each[0]}


def _spread_metrics(context: RunContext, twin: Checkpoint, real: RealImages, draws: int) -> dict[str, Metric]:
    from dcgan_analysis_plugins.stability.networks import spreads

    return {
        f"{prefix}{name}": mean_metric(
            [reading[name] for reading in readings],
            f"{_WHOSE[prefix]}: {description}",
            over="draws",
            higher_is_better=higher if not prefix else None,
        )
        for prefix, readings in spreads(context, twin, real, draws).items()
        for name, (description, higher) in _SPREADS.items()
    }


def _judgement_metrics(context: RunContext, real: RealImages, n: int) -> dict[str, Metric]:
    """Return mean probabilities of being real, and how well the discriminator tells whose images are whose; draw it."""
    from dcgan_analysis import figures
    from dcgan_analysis_plugins.stability.networks import HELD_OUT, SAMPLES, TRAINING, judgements
    from dcgan_analysis_plugins.stability.verdict import probability, told_apart

    logits = judgements(context, real, n)
    metrics = {
        f"probability_{kind.split()[0].replace('-', '_')}": mean_metric(
            probability(values),
            f"{kind}: mean probability of being real, in evaluation mode",
            over="images",
            higher_is_better=None,
            unit="fraction",
            bounds=(0, 1),
        )
        for kind, values in logits.items()
    }
    for name, others in {"told_from_samples": SAMPLES, "told_from_held_out": HELD_OUT}.items():
        if others in logits and TRAINING in logits:
            metrics[name] = told_apart(logits[others], logits[TRAINING], f"{TRAINING} and {others}")
    if HELD_OUT not in logits:
        context.note("The dataset holds no images that were kept out of the training: what it knows by heart is open.")
    figure = figures.cumulative(logits, x_label="the discriminator's logit")
    context.save_figure(
        figure, "judgement", "What the discriminator says", "Above 0: real. Evaluation mode, statistics of real images."
    )
    context.save_arrays(
        "logits", **{kind.replace(" ", "_").replace("-", "_"): values for kind, values in logits.items()}
    )
    return metrics


def _save_curves(
    context: RunContext, history: Sequence[Mapping[str, Any]], of_states: Sequence[Mapping[str, Any]]
) -> None:
    from dcgan_analysis_plugins.stability.curves import curves

    for name, (title, caption, figure) in curves(history, of_states).items():
        context.save_figure(figure, name, title, caption)


def _save_sheets(context: RunContext, record: TrainingRecord, epochs: Sequence[float]) -> None:
    from dcgan_analysis.core import number

    seed = context.checkpoint.metadata.training.get("seed", 0)
    for epoch, sheet in record.sheets(epochs):
        context.save_image(
            sheet,
            f"samples-{number(epoch)}",
            f"Samples after {number(epoch)} epoch{'' if epoch == 1 else 's'}",
            f"Of the training's own latent vectors (seed {seed}), the same every time, not selected.",
        )
