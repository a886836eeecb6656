"""label-curve: how does accuracy grow with the number of labels, on learned and on random features?

1. Features as in svm-cifar, extracted once for the checkpoint and once for its random-weight twin.
2. For each number of labels per class the protocol of svm-svhn: 10,000 training images are held out, photo by photo
   where photos are known; C is chosen by its mean held-out accuracy over some random draws from the rest; other draws
   are tested with it. Both networks see the same draws.
3. Reported are, for each number of labels, mean and 1.96 standard deviations over the tested draws.

Consumes a checkpoint with a discriminator and a labelled dataset with a training and a test split.
Produces ``accuracy_N`` and ``twin_accuracy_N`` for N labels per class, and draws.npz with the predictions of every
tested draw at the largest N.

Reference: the protocol of Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 5.2, at more than one number of
labels. Beyond the paper: the curve, the twin, a longer grid of C.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveFloat, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing import (
    AUTHORS_GRID,
    LEARNED,
    LabelSettings,
    label_curve_table,
    label_metrics,
    labelled_images,
    learned_and_twin,
    make_draws,
    probe_by_labels,
    save_draws,
    save_label_curve,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.api import Analysis, Result, RunContext
    from dcgan_analysis.linear import FewLabelProbe
    from dcgan_analysis.probing import Draws, LabelledImages

_USUAL = (1, 4, 10, 40, 100, 400)
_SHOWN_FROM = 10


class LabelCurveConfig(LabelSettings):
    """Settings; the draws are fewer than svm-svhn's, for there are several numbers of labels."""

    labels: tuple[PositiveInt, ...] = Field(
        default=(),
        description="numbers of labels per class; none given: 10, 40, 100, 400, as far as half of each class goes",
    )
    C: tuple[PositiveFloat, ...] = Field(
        default=(*AUTHORS_GRID, 2e-2, 5e-2, 1e-1), min_length=1, description="grid of C (the authors' own, continued)"
    )
    validation: PositiveInt = Field(
        default=10_000, description="training images held out to choose C; at most half of them are"
    )
    choosing_draws: PositiveInt = Field(default=5, description="random draws that choose C, for each number of labels")
    draws: PositiveInt = Field(default=10, description="random draws that are tested with it")


def usual_labels(smallest_class: int) -> tuple[int, ...]:
    """Return the numbers of labels that half of the smallest class can give: 10, 40, ...; fewer if there are none.

    Example:
        >>> usual_labels(4000), usual_labels(100), usual_labels(9)
        ((10, 40, 100, 400), (10, 40), (1, 4))
    """
    possible = tuple(labels for labels in _USUAL if 2 * labels <= smallest_class)
    return tuple(labels for labels in possible if labels >= _SHOWN_FROM) or possible


class LabelCurve:
    """Linear classification with more and more labels, beside the random twin."""

    name = "label-curve"
    summary = "Accuracy against labels per class, learned features beside the random-weight twin"
    question = "How many labels does it take to classify images on learned features, and how many on random ones?"
    reference = "Radford, Metz, Chintala 2016, section 5.2: https://arxiv.org/abs/1511.06434"
    config_type = LabelCurveConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train", "test"), labels=True, grid=4)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"choosing_draws": 2, "draws": 3, "labels": (2, 4, 8)},
        limit=240,
    )

    def requires(self, config: LabelCurveConfig) -> Needs:
        """Return what it consumes on this grid."""
        return replace(self.needs, grid=config.grid, fit=config.fit)

    def checks(self, context: RunContext, config: LabelCurveConfig) -> list[Callable[[], object]]:
        """Draw the subsets that may not be there."""
        return [partial(_images_and_draws, context, config)]

    def run(self, context: RunContext, config: LabelCurveConfig) -> Result:
        """Probe the checkpoint, then its twin, with each number of labels."""
        with context.stage("images and draws"):
            images, draws = _images_and_draws(context, config)
            numbers = [draw.per_class for draw in draws]
        networks = learned_and_twin(context, twin=config.twin, twins=config.twins)
        curves = probe_by_labels(context, config, networks, images, draws)
        with context.stage("figures"):
            save_label_curve(context, curves, "accuracy")
            save_draws(context, images, {name: by_labels[numbers[-1]] for name, by_labels in curves.items()})
        count = int(images.held_out.sum())
        context.note(f"C was chosen on {count:,} training images, held out from every draw.")
        return context.result(
            title=f"{context.checkpoint.name} features on {context.dataset.name}: labels per class",
            headline=f"accuracy_{numbers[-1]}",
            metrics=_metrics(images, curves),
            tables=[label_curve_table(curves, "accuracy")],
        )


def _images_and_draws(context: RunContext, config: LabelCurveConfig) -> tuple[LabelledImages, list[Draws]]:
    images = labelled_images(context, validation=config.validation)
    return images, [
        make_draws(images, labels, context, choosing=config.choosing_draws, tested=config.draws)
        for labels in _numbers(config, images)
    ]


def _numbers(config: LabelCurveConfig, images: LabelledImages) -> list[int]:
    import numpy as np

    sizes = np.bincount(images.labels[~images.held_out], minlength=len(images.classes))
    numbers = sorted(set(config.labels)) or list(usual_labels(int(sizes.min())))
    if not numbers:
        name = images.classes[int(sizes.argmin())]
        msg = f"Class '{name}' has {sizes.min()} training images that are not held out; a curve needs 2 of each class."
        raise AnalysisError(msg)
    return numbers


def _metrics(images: LabelledImages, curves: Mapping[str, Mapping[int, FewLabelProbe]]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for labels in sorted(curves[LEARNED], reverse=True):
        probes = {name: by_labels[labels] for name, by_labels in curves.items()}
        metrics |= label_metrics("accuracy", probes, f"accuracy_{labels}", labels, images)
    # Stable: those of the learned features come first, each by falling numbers of labels.
    return dict(sorted(metrics.items(), key=lambda named: named[0].startswith("twin_")))


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(LabelCurve())
