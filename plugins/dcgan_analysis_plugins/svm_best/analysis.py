"""svm-best: how much can be gained over the paper's protocol without changing the weights?

1. The ``paper`` preset: the features of svm-cifar, all layers, max-pooled to 4x4, nothing done to them.
2. The ``best`` preset starts from it and tries, one after the other: signed square roots, per-dimension
   standardisation, the mean over an image and its mirror image, other pooling grids, leaving out one layer at a time.
   Each step is kept if held-out training images are classified better with it, with a C of its own.
3. Ablation: what is lost on held-out images when each kept step is taken back.
4. Both presets are refitted on all training images, and the test set is used once: the gain, paired image by image.

Every choice, and while choosing every mean and standard deviation, comes from training images alone: the scaler is
learned on those that are not held out, for the refit on all of them, never on test images. Features are transformed as
they are read, so that memory does not grow with them.

Consumes a checkpoint with a discriminator and a labelled dataset with a training and a test split.
Produces ``accuracy``, ``paper_accuracy``, ``gain``, and predictions.npz with both presets.

Reference: beyond arXiv 1511.06434, whose section 5.1 is the ``paper`` preset. Signed square roots: Perronnin, Sanchez,
Mensink, ECCV 2010. Standardised features before a linear SVM: Coates, Lee, Ng, AISTATS 2011.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt

from dcgan_analysis.api import Demo, Metric, Needs, Table, accuracy_metric, paired_metric
from dcgan_analysis.probing import (
    AUTHORS_GRID,
    classes_table,
    labelled_images,
    note_grid,
    save_class_figures,
    save_grid_figure,
    save_predictions,
)
from dcgan_analysis_plugins.svm_best.recipes import Recipe, RecipeProbes, RecipeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.probing import LabelledImages
    from dcgan_analysis_plugins.svm_best.recipes import RecipeChoice

PAPER, BEST = "paper", "best"


class SvmBestConfig(RecipeSettings):
    """Settings; ``grid`` is that of the ``paper`` preset, few-label settings are not used."""

    best_C: tuple[PositiveFloat, ...] = Field(
        default=(1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
        min_length=1,
        description="grid of C of the 'best' preset, wider: transformed features have another scale",
    )
    C: tuple[PositiveFloat, ...] = Field(default=AUTHORS_GRID, min_length=1, description="grid of C of 'paper'")
    root: bool = Field(default=True, description="whether signed square roots are tried")
    standardise: bool = Field(default=True, description="whether per-dimension standardisation is tried")
    mirror: bool = Field(default=True, description="whether the mean with the mirror image's features is tried")
    grids: tuple[PositiveInt, ...] = Field(default=(2, 6), description="other pooling grids to try, cells per side")
    layers: bool = Field(default=True, description="whether leaving out single layers is tried")
    ablation: bool = Field(default=True, description="whether each kept step is taken back once")


@dataclass(frozen=True)
class Step:
    """One change to a recipe, and its effect on held-out images.

    Attributes:
        name: The change, for people.
        change: Fields of the recipe; ``without`` is added to.
        choice: C and held-out accuracies with it.
        gain: Held-out accuracy against the recipe before.
        kept: Whether later steps build on it.
    """

    name: str
    change: Mapping[str, Any]
    choice: RecipeChoice
    gain: float
    kept: bool


def choose_steps(probes: RecipeProbes, config: SvmBestConfig) -> list[Step]:
    """Try one change after the other on held-out training images; keep what helps."""
    taps = probes.taps() if config.layers else []
    changes: list[tuple[str, dict[str, Any]]] = [
        *([("signed square root", {"root": True})] if config.root else []),
        *([("standardised", {"standardise": True})] if config.standardise else []),
        *([("mean with the mirror image", {"mirror": True})] if config.mirror else []),
        *((f"pooled to {grid}x{grid}", {"grid": grid}) for grid in config.grids if grid != config.grid),
        *((f"without {tap}", {"without": (tap,)}) for tap in taps),
    ]
    recipe = Recipe(config.grid)
    steps = [Step(PAPER, {}, probes.choose(recipe, config.C), 0.0, kept=True)]
    best = steps[0].choice.accuracy
    for number, (name, change) in enumerate(changes):
        probes.context.progress("steps of the best preset", number, len(changes))
        tried = recipe.changed(change)
        if taps and len(tried.without) == len(taps):
            continue  # one layer must stay
        choice = probes.choose(tried, config.best_C)
        gain = choice.accuracy - best
        steps.append(Step(name, change, choice, gain, kept=gain > 0))
        if gain > 0:
            recipe, best = tried, choice.accuracy
    return steps


def ablate(probes: RecipeProbes, config: SvmBestConfig, steps: Sequence[Step]) -> dict[str, float]:
    """Return the held-out accuracy without each kept step, by its name."""
    kept = [step for step in steps[1:] if step.kept]
    return {
        step.name: probes.choose(
            Recipe(config.grid).changed(*(other.change for other in kept if other is not step)),
            config.best_C if len(kept) > 1 else config.C,
        ).accuracy
        for step in kept
    }


class SvmBest:
    """The best of a frozen discriminator beside the paper's protocol."""

    name = "svm-best"
    summary = "What a frozen discriminator gives beyond the paper's protocol: presets 'paper' and 'best', paired"
    question = "How much more do the same frozen features tell if only what is done with them is chosen better?"
    reference = "Beyond Radford, Metz, Chintala 2016, section 5.1: https://arxiv.org/abs/1511.06434"
    config_type = SvmBestConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train", "test"), labels=True, grid=4)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"layers": False, "grids": (2,), "ablation": False},
        limit=300,
    )

    def requires(self, config: SvmBestConfig) -> Needs:
        """Return what it consumes on this grid."""
        return replace(config.needs(self.needs), grid=config.grid, fit=config.fit)

    def checks(self, context: RunContext, config: SvmBestConfig) -> list[Callable[[], object]]:
        """Hold images out, of which there may be too few."""
        return [partial(labelled_images, context, test=config.test, validation=config.validation)]

    def run(self, context: RunContext, config: SvmBestConfig) -> Result:
        """Choose on held-out training images, then test both presets once."""
        with context.stage("images"):
            images = labelled_images(context, test=config.test, validation=config.validation)
        probes = RecipeProbes(context, config, images)
        with context.stage("steps on held-out images"):
            steps = choose_steps(probes, config)
        with context.stage("ablation on held-out images"):
            ablated = ablate(probes, config, steps) if config.ablation else {}
        kept = [step for step in steps if step.kept]
        recipes = {BEST: Recipe(config.grid).changed(*(step.change for step in kept)), PAPER: Recipe(config.grid)}
        choices = {BEST: kept[-1].choice, PAPER: kept[0].choice}
        shown = choices if len(kept) > 1 else {PAPER: choices[PAPER]}
        with context.stage("refit and test"):
            predictions = {name: probes.predict(recipe, choices[name].c) for name, recipe in recipes.items()}
        with context.stage("figures"):
            save_predictions(context, images, predictions)
            save_grid_figure(context, shown)
            _save_steps(context, steps)
            save_class_figures(context, images, predictions[BEST])
        for name, choice in shown.items():
            note_grid(
                context, config if name == PAPER else config.model_copy(update={"C": config.best_C}), {name: choice}
            )
        if len(kept) == 1:
            context.note("No step did better on held-out images: 'best' is 'paper' here, and the gain is 0.")
        context.note(
            f"Every choice was made on {int(images.held_out.sum()):,} held-out training images; the best of many "
            "held-out accuracies is too high by chance, the test accuracies are not."
        )
        return context.result(
            title=f"The best of {context.checkpoint.name} features on {context.dataset.name}",
            headline="accuracy",
            metrics=_metrics(images, predictions, choices),
            tables=[_steps_table(steps, ablated), classes_table(images, predictions)],
        )


def _metrics(
    images: LabelledImages, predictions: Mapping[str, NDArray[np.int64]], choices: Mapping[str, RecipeChoice]
) -> dict[str, Metric]:
    metrics = {
        "accuracy" if name == BEST else "paper_accuracy": accuracy_metric(
            images.correct(predicted), len(images.test), f"preset {name}, C = {choices[name].c:g}"
        )
        for name, predicted in predictions.items()
    }
    correct = {name: predicted == images.test_labels for name, predicted in predictions.items()}
    metrics["gain"] = paired_metric(correct[BEST], correct[PAPER], "accuracy, best minus paper, on the same images")
    return metrics


def _steps_table(steps: Sequence[Step], ablated: Mapping[str, float]) -> Table:
    columns = ["step", "features", "C", "held-out accuracy", "gain", "kept", "best without it"]
    rows: list[list[Cell]] = [
        [s.name, s.choice.features, s.choice.c, s.choice.accuracy, s.gain, s.kept, ablated.get(s.name)] for s in steps
    ]
    return Table(
        name="steps",
        title="From paper to best, on held-out training images",
        columns=columns,
        rows=rows,
        percent=["held-out accuracy", "gain", "best without it"],
        note="Each step is tried on top of those kept before. Last column: held-out accuracy of the whole 'best' "
        "preset with this step alone taken back.",
    )


def _save_steps(context: RunContext, steps: Sequence[Step]) -> None:
    from dcgan_analysis import figures

    context.save_figure(
        figures.bars(
            [step.name for step in steps],
            [step.choice.accuracy for step in steps],
            highlight=[step.name for step in steps if step.kept],
            x_label="held-out accuracy",
        ),
        "steps",
        "From paper to best",
        "Held-out training images; marked: kept.",
    )
