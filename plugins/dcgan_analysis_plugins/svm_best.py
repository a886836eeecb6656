"""svm-best: what can be gained over the paper's protocol without touching the weights?

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

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs, Table, accuracy_metric
from dcgan_analysis.api.classification import classes_table, labelled_images, save_class_figures, save_predictions
from dcgan_analysis.api.probing import (
    AUTHORS_GRID,
    FeatureSettings,
    ProbeSettings,
    note_grid_ends,
    save_grid_figure,
)
from dcgan_analysis.progress import steps
from dcgan_analysis.statistics import mcnemar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.api.classification import LabelledImages
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.linear import RowSource
    from dcgan_analysis.stores.features import FeatureStore

__all__ = ["Recipe", "Selection", "SvmBest", "SvmBestConfig"]

PAPER, BEST = "paper", "best"
_TOLERANCE = 1e-4  # of fits that choose, as in linear.probe


class SvmBestConfig(FeatureSettings, ProbeSettings):
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
class Recipe:
    """What is done to the features; the defaults are the ``paper`` preset, but for ``grid``."""

    grid: int
    root: bool = False
    standardise: bool = False
    mirror: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """C chosen for one recipe.

    Attributes:
        c: The chosen C.
        cs: (G,) the grid, ascending.
        validation: (G,) held-out accuracy for each C.
        features: Number of features.
    """

    c: float
    cs: NDArray[np.float64]
    validation: NDArray[np.float64]
    features: int

    @property
    def accuracy(self) -> float:
        """Held-out accuracy at the chosen C."""
        return float(self.validation.max())


@dataclass(frozen=True)
class Step:
    """One change to a recipe, and what held-out images say of it.

    Attributes:
        name: The change in words.
        change: Fields of the recipe; ``without`` is added to.
        choice: C and held-out accuracies with it.
        gain: Held-out accuracy against the recipe before.
        kept: Whether it is part of what follows.
    """

    name: str
    change: Mapping[str, Any]
    choice: Choice
    gain: float
    kept: bool


def changed(recipe: Recipe, changes: Iterable[Mapping[str, Any]]) -> Recipe:
    """Return the recipe after some changes.

    Example:
        >>> changed(Recipe(4), [{"root": True}, {"without": ("conv1",)}, {"without": ("conv2",)}]).without
        ('conv1', 'conv2')
    """
    for change in changes:
        recipe = replace(recipe, **{**change, "without": recipe.without + tuple(change.get("without", ()))})
    return recipe


@dataclass
class Selection:
    """Features under any recipe, and how they do on held-out images; stores are opened when first asked for."""

    context: RunContext
    config: SvmBestConfig
    images: LabelledImages
    _stores: dict[tuple[str, int, bool], FeatureStore] = field(default_factory=dict)
    _choices: dict[Recipe, Choice] = field(default_factory=dict)

    @property
    def paper(self) -> Recipe:
        """The recipe of the ``paper`` preset."""
        return Recipe(self.config.grid)

    def taps(self) -> list[str]:
        """Return the layers of the network, first to last."""
        return list(self._store("train", self.config.grid, mirrored=False).taps)

    def rows(self, recipe: Recipe, side: str) -> RowSource:
        """Return the features of a side, ``train`` or ``test``, as they are before standardisation."""
        from dcgan_analysis.linear import JoinedRows, MeanRows, RootRows

        sources = []
        for mirrored in (False, True) if recipe.mirror else (False,):
            store = self._store(side, recipe.grid, mirrored=mirrored)
            kept = [columns for tap, columns in store.taps.items() if tap not in recipe.without]
            sources.append(JoinedRows(*map(store.rows, kept)) if recipe.without else store.rows())
        rows = MeanRows(*sources) if recipe.mirror else sources[0]
        return RootRows(rows) if recipe.root else rows

    def choose(self, recipe: Recipe) -> Choice:
        """Choose C on held-out images; a scaler is learned on the training images that are not held out."""
        from dcgan_analysis.linear import l2svm_path, learn_standardisation

        if recipe not in self._choices:
            held, labels = self.images.held_out, self.images.labels
            rows = self.rows(recipe, "train")
            if recipe.standardise:
                rows = learn_standardisation(rows, used=~held)(rows)
            grid = sorted(self.config.C if recipe == self.paper else self.config.best_C)
            step = steps(self.context.progress, "held-out accuracy of one recipe (steps)")
            path = l2svm_path(rows, labels, grid, sample_weight=~held, tol=_TOLERANCE, progress=step)
            validation = (path.predict(held) == labels[held]).mean(axis=1)
            self._choices[recipe] = Choice(grid[validation.argmax()], path.cs, validation, rows.shape[1])
        return self._choices[recipe]

    def predict(self, recipe: Recipe) -> NDArray[np.int64]:
        """Refit on all training images, by which a scaler is learned anew, and predict the test images."""
        from dcgan_analysis.linear import L2SVM, learn_standardisation

        labels = self.images.labels
        train, test = self.rows(recipe, "train"), self.rows(recipe, "test")
        if recipe.standardise:
            standardise = learn_standardisation(train)
            train, test = standardise(train), standardise(test)
        step = steps(self.context.progress, "refit (steps)")
        predicted: NDArray[np.int64] = L2SVM(C=self.choose(recipe).c, progress=step).fit(train, labels).predict(test)
        return predicted

    def _store(self, side: str, grid: int, *, mirrored: bool) -> FeatureStore:
        if (side, grid, mirrored) not in self._stores:
            split = self.images.train if side == "train" else self.images.test
            name = f"{side}-mirrored" if mirrored else side
            spec = self.config.model_copy(update={"grid": grid}).spec()
            with self.context.stage(f"features, {grid}x{grid}, {name}") as stage:
                extraction = self.context.extraction(spec, self.images.train, fit=self.config.fit)
                store = extraction.store(name, mirror(split) if mirrored else split)
                stage.note = extraction.summary()
            self._stores[side, grid, mirrored] = store
        return self._stores[side, grid, mirrored]


def mirror(split: DatasetSplit) -> DatasetSplit:
    """Return the images of a split with left and right exchanged."""
    import numpy as np

    return replace(split, images=np.ascontiguousarray(split.images[..., ::-1]), source=f"{split.source}, mirrored")


def choose_steps(selection: Selection, config: SvmBestConfig) -> list[Step]:
    """Try one change after the other on held-out training images; keep what helps."""
    taps = selection.taps() if config.layers else []
    changes: list[tuple[str, dict[str, Any]]] = [
        *([("signed square root", {"root": True})] if config.root else []),
        *([("standardised", {"standardise": True})] if config.standardise else []),
        *([("mean with the mirror image", {"mirror": True})] if config.mirror else []),
        *((f"pooled to {grid}x{grid}", {"grid": grid}) for grid in config.grids if grid != config.grid),
        *((f"without {tap}", {"without": (tap,)}) for tap in taps),
    ]
    recipe, found = selection.paper, [Step("paper", {}, selection.choose(selection.paper), 0.0, kept=True)]
    best = found[0].choice.accuracy
    for number, (name, change) in enumerate(changes):
        selection.context.progress("steps of the best preset", number, len(changes))
        tried = changed(recipe, [change])
        if taps and len(tried.without) == len(taps):
            continue  # one layer must stay
        choice = selection.choose(tried)
        gain = choice.accuracy - best
        found.append(Step(name, change, choice, gain, kept=gain > 0))
        if gain > 0:
            recipe, best = tried, choice.accuracy
    return found


def ablate(selection: Selection, found: Sequence[Step]) -> dict[str, float]:
    """Take each kept step back alone; return its name -> held-out accuracy without it."""
    kept = [step for step in found[1:] if step.kept]
    return {
        step.name: selection.choose(
            changed(selection.paper, [other.change for other in kept if other is not step])
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
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train",), labels=True, discriminator=True)
    demo = Demo(dataset="digits", settings={"layers": False, "grids": (2,), "ablation": False}, limit=300)

    def run(self, context: RunContext, config: SvmBestConfig) -> Result:
        """Choose on held-out training images, then test both presets once."""
        with context.stage("images"):
            images = labelled_images(context, test=config.test, validation=config.validation)
        selection = Selection(context, config, images)
        with context.stage("steps on held-out images"):
            found = choose_steps(selection, config)
        with context.stage("ablation on held-out images"):
            taken_back = ablate(selection, found) if config.ablation else {}
        recipes = {BEST: changed(selection.paper, [step.change for step in found if step.kept]), PAPER: selection.paper}
        with context.stage("refit and test"):
            predictions = {name: selection.predict(recipe) for name, recipe in recipes.items()}
        choices = {name: selection.choose(recipe) for name, recipe in recipes.items()}
        table = _steps_table(found, taken_back)
        with context.stage("figures"):
            save_predictions(context, images, predictions)
            save_grid_figure(context, choices)
            _save_steps(context, found)
            save_class_figures(context, images, predictions[BEST])
        note_grid_ends(context, choices)
        context.note(
            f"Every choice was made on {int(images.held_out.sum()):,} held-out training images; the best of many "
            "held-out accuracies is too high by chance, the test accuracies are not."
        )
        return context.result(
            self,
            config,
            title=f"The best of {context.checkpoint.name} features on {context.dataset.name}",
            headline="accuracy",
            metrics=_metrics(images, predictions, choices),
            tables=[table, classes_table(images, predictions)],
        )


def _metrics(
    images: LabelledImages, predictions: Mapping[str, NDArray[np.int64]], choices: Mapping[str, Choice]
) -> dict[str, Metric]:
    metrics = {
        "accuracy" if name == BEST else "paper_accuracy": accuracy_metric(
            images.correct(predicted), len(images.test), f"preset {name}, C = {choices[name].c:g}"
        )
        for name, predicted in predictions.items()
    }
    right = {name: predicted == images.test_labels for name, predicted in predictions.items()}
    only_best, only_paper = (int((right[a] & ~right[b]).sum()) for a, b in ((BEST, PAPER), (PAPER, BEST)))
    gain = mcnemar(only_best, only_paper, len(images.test))
    metrics["gain"] = Metric(
        value=gain.value,
        low=gain.low,
        high=gain.high,
        interval="95 %, paired",
        n=len(images.test),
        description=f"accuracy, best minus paper, on the same images; McNemar's exact test: p = {gain.p:.2g}",
    )
    return metrics


def _steps_table(found: Sequence[Step], taken_back: Mapping[str, float]) -> Table:
    columns = ["step", "features", "C", "held-out accuracy", "gain", "kept", "best without it"]
    rows: list[list[Cell]] = [
        [s.name, s.choice.features, s.choice.c, s.choice.accuracy, s.gain, s.kept, taken_back.get(s.name)]
        for s in found
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


def _save_steps(context: RunContext, found: Sequence[Step]) -> None:
    from dcgan_analysis import figures

    context.save_figure(
        figures.bars(
            [step.name for step in found],
            [step.choice.accuracy for step in found],
            highlight=[step.name for step in found if step.kept],
            x_label="held-out accuracy",
        ),
        "steps",
        "From paper to best",
        "Held-out training images; marked: kept.",
    )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(SvmBest())
