"""Recipes for transforming a frozen discriminator's features before a linear classifier, and their probes.

``RecipeProbes`` opens the feature stores that a ``Recipe`` needs, each once for all recipes, chooses C on held-out
training images and predicts the test images. Features are transformed as they are read, so memory does not grow with
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.core.progress import steps
from dcgan_analysis.probing.study import FeatureSettings, ProbeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.features.store import FeatureStore
    from dcgan_analysis.linear import RowSource
    from dcgan_analysis.probing.classification import LabelledImages

Side = Literal["train", "test"]


class RecipeSettings(FeatureSettings, ProbeSettings):
    """Which features are extracted, and the grid of C."""


@dataclass(frozen=True)
class Recipe:
    """Transformations of the features of all layers, after max-pooling to ``grid`` x ``grid``; by default none.

    Attributes:
        grid: Cells per side of the pooling grid.
        root: Whether signed square roots are taken.
        standardise: Whether each feature gets mean 0 and deviation 1, learned on training images.
        mirror: Whether the mean over an image and its mirror image is taken, before the root.
        without: Layers that are left out.
    """

    grid: int
    root: bool = False
    standardise: bool = False
    mirror: bool = False
    without: tuple[str, ...] = ()

    def changed(self, *changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some fields replaced; layers to leave out are added to those left out already.

        Example:
            >>> Recipe(4).changed({"root": True}, {"without": ("conv1",)}, {"without": ("conv2",)}).without
            ('conv1', 'conv2')
        """
        recipe = self
        for change in changes:
            recipe = replace(recipe, **{**change, "without": recipe.without + tuple(change.get("without", ()))})
        return recipe


@dataclass(frozen=True)
class RecipeChoice:
    """C chosen for one recipe.

    Attributes:
        c: The chosen C, the smallest of the best.
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


@dataclass
class RecipeProbes:
    """L2-SVMs on features of the run's checkpoint under any recipe; results are cached.

    Attributes:
        context: The run.
        settings: How features are extracted; a recipe's ``grid`` takes the place of theirs.
        images: Training images, those of them held out, and test images.

    Example:
        >>> probes = RecipeProbes(context, RecipeSettings(), labelled_images(context))  # doctest: +SKIP
        >>> recipe = Recipe(grid=4, standardise=True)  # doctest: +SKIP
        >>> probes.predict(recipe, probes.choose(recipe, (1e-5, 1e-4, 1e-3)).c)  # doctest: +SKIP
    """

    context: RunContext
    settings: RecipeSettings
    images: LabelledImages
    _stores: dict[tuple[Side, int, bool], FeatureStore] = field(default_factory=dict)
    _choices: dict[tuple[Recipe, tuple[float, ...]], RecipeChoice] = field(default_factory=dict)
    _predictions: dict[tuple[Recipe, float], NDArray[np.int64]] = field(default_factory=dict)

    def taps(self) -> list[str]:
        """Return the layers of the network, first to last."""
        return list(self._store("train", self.settings.grid, mirror=False).taps)

    def rows(self, recipe: Recipe, side: Side) -> RowSource:
        """Return the features (N, D) of the training or test images, as they are before standardisation."""
        from dcgan_analysis.linear.scaling import JoinedRows, MeanRows, RootRows

        sources = []
        for mirror in (False, True) if recipe.mirror else (False,):
            store = self._store(side, recipe.grid, mirror=mirror)
            columns = [part for tap, part in store.taps.items() if tap not in recipe.without]
            sources.append(JoinedRows(*map(store.rows, columns)) if recipe.without else store.rows())
        rows = MeanRows(*sources) if recipe.mirror else sources[0]
        return RootRows(rows) if recipe.root else rows

    def choose(self, recipe: Recipe, cs: Sequence[float]) -> RecipeChoice:
        """Choose C on held-out images; standardisation is learned on the training images that are not held out."""
        from dcgan_analysis.linear import learn_standardisation
        from dcgan_analysis.linear.selection import held_out_accuracies, search_grid

        grid = tuple(sorted(cs))
        if (recipe, grid) not in self._choices:
            held_out, labels = self.images.held_out, self.images.labels
            rows = self.rows(recipe, "train")
            if recipe.standardise:
                rows = learn_standardisation(rows, used=~held_out)(rows)
            step = steps(self.context.progress, "held-out accuracy of one recipe (steps)")

            def judge(values: list[float]) -> NDArray[np.float64]:
                return held_out_accuracies(rows, labels, held_out, values, progress=step)

            extended, accuracies = search_grid({"": judge}, grid, decades=self.settings.decades)
            validation = accuracies[""]
            choice = RecipeChoice(float(extended[validation.argmax()]), extended, validation, rows.shape[1])
            self._choices[recipe, grid] = choice
        return self._choices[recipe, grid]

    def predict(self, recipe: Recipe, c: float) -> NDArray[np.int64]:
        """Fit SVM and standardisation to all training images, and predict the test images (N_test,)."""
        from dcgan_analysis.linear import L2SVM, learn_standardisation

        if (recipe, c) not in self._predictions:
            train, test = self.rows(recipe, "train"), self.rows(recipe, "test")
            if recipe.standardise:
                standardise = learn_standardisation(train)
                train, test = standardise(train), standardise(test)
            fitted = L2SVM(C=c, progress=steps(self.context.progress, "refit (steps)")).fit(train, self.images.labels)
            self._predictions[recipe, c] = fitted.predict(test)
        return self._predictions[recipe, c]

    def _store(self, side: Side, grid: int, *, mirror: bool) -> FeatureStore:
        if (side, grid, mirror) not in self._stores:
            split = self.images.train if side == "train" else self.images.test
            name = f"{side}-mirrored" if mirror else side
            spec = self.settings.model_copy(update={"grid": grid}).spec()
            with self.context.stage(f"features, {grid}x{grid}, {name}") as stage:
                extraction = self.context.extraction(spec, self.images.train, fit=self.settings.fit)
                store = extraction.store(name, mirrored(split) if mirror else split)
                stage.note = extraction.summary()
            self._stores[side, grid, mirror] = store
        return self._stores[side, grid, mirror]


def mirrored(split: DatasetSplit) -> DatasetSplit:
    """Return the images of a split with left and right exchanged."""
    import numpy as np

    return replace(
        split,
        images=np.ascontiguousarray(split.images[..., ::-1]),
        source=f"{split.source}, mirrored",
        known_sha256=None,  # that of the images as they were
    )
