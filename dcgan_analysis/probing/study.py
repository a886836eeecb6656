"""What analyses that probe features share: their settings, features, fits, and how the choice of C is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from dcgan_analysis.api.analysis import AnalysisConfig
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.core.progress import steps
from dcgan_analysis.probing.classification import save_predictions, tail_size
from dcgan_analysis.probing.few_labels import few_label_study, save_draws

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.features.store import FeatureStore
    from dcgan_analysis.linear import FewLabelProbe, Probe
    from dcgan_analysis.probing.classification import LabelledImages
    from dcgan_analysis.probing.few_labels import Draws

__all__ = [
    "AUTHORS_GRID",
    "LEARNED",
    "TWIN",
    "FeatureSettings",
    "ProbeSettings",
    "Study",
    "extract_features",
    "grid_table",
    "learned_and_twin",
    "note_grid_ends",
    "save_grid_figure",
    "save_studies",
    "study",
]

LEARNED, TWIN = "learned features", "random weights"
"""What the checkpoint and its random twin are called in tables, figures and predictions."""

AUTHORS_GRID = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
"""The grid of C in the authors' code."""


class ProbeSettings(AnalysisConfig):
    """How features are probed; the defaults are the protocol of arXiv 1511.06434, section 5.1."""

    C: tuple[PositiveFloat, ...] = Field(default=AUTHORS_GRID, min_length=1, description="grid of C (the authors' own)")
    validation: float = Field(default=0.2, gt=0, lt=1, description="share of the training images held out to choose C")
    test: str = Field(default="test", description="test set: 'test', or 'last-N' for the last N training images")
    labels_per_class: int | None = Field(
        default=None, ge=0, description="labels per class of the few-label column; 0: none; none given: 400 or fewer"
    )
    draws: PositiveInt = Field(default=10, description="random few-label subsets, for C and again for the test")

    @field_validator("test")
    @classmethod
    def _test_is_a_split_or_a_tail(cls, value: str) -> str:
        if value != "test" and tail_size(value) is None:
            msg = "must be 'test' or 'last-N' with N >= 1"
            raise ValueError(msg)
        return value


class FeatureSettings(AnalysisConfig):
    """Which features of a discriminator are taken, and how exactly."""

    grid: PositiveInt = Field(default=4, description="cells per side of the max-pooling grid")
    batchnorm: Literal["reestimated", "running", "batch"] = Field(
        default="reestimated", description="BatchNorm mode: reestimated, running or batch"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="arithmetic of the forward pass: auto, float32, bfloat16 or float16"
    )
    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16", description="type of stored features: bfloat16, float16 or float32"
    )
    fit: Literal["exact", "resize"] = Field(default="exact", description="images of another shape: exact refuses")

    def spec(self) -> FeatureSpec:
        """Return the specification of all layers under these settings."""
        from dcgan_analysis.features.extractor import FeatureSpec

        return FeatureSpec(grid=self.grid, batchnorm=self.batchnorm, precision=self.precision, dtype=self.dtype)


@dataclass(frozen=True)
class Study:
    """What was found for one set of features.

    Attributes:
        full: The probe on all training images.
        few: The few-label probe, or None.
    """

    full: Probe
    few: FewLabelProbe | None


class Choice(Protocol):
    """A choice of C, as ``Probe`` and ``FewLabelProbe`` hold it."""

    @property
    def c(self) -> float: ...
    @property
    def cs(self) -> NDArray[np.float64]: ...
    @property
    def validation(self) -> NDArray[np.float64]: ...


def learned_and_twin(context: RunContext, *, twin: bool = True) -> dict[str, Checkpoint]:
    """Return the run's checkpoint and, if wanted, its random twin, by the names under which reports show them."""
    networks = {LEARNED: context.checkpoint}
    return networks | {TWIN: context.checkpoint.twin(context.seed)} if twin else networks


def extract_features(
    context: RunContext, settings: FeatureSettings, who: str, checkpoint: Checkpoint, images: LabelledImages
) -> tuple[FeatureStore, FeatureStore]:
    """Return the stores of one network's features of training and test images.

    BatchNorm statistics are re-estimated on all training images, without their labels.
    """
    with context.stage(f"{who}: features") as stage:
        extraction = context.extraction(settings.spec(), images.train, checkpoint=checkpoint, fit=settings.fit)
        train, test = extraction.store("train", images.train), extraction.store("test", images.test)
        stage.note = extraction.summary()
    return train, test


def study(
    context: RunContext, settings: ProbeSettings, who: str, train: Any, test: Any, images: LabelledImages, draws: Draws
) -> Study:
    """Probe features: C on held-out rows, refit on all, the test set once; then the few-label column.

    Args:
        context: The run.
        settings: The grid of C.
        who: Whose features they are.
        train: Features (N, D): array, tensor or ``RowSource``.
        test: Features (N_test, D).
        images: The images.
        draws: The few-label subsets.
    """
    from dcgan_analysis.linear import probe

    step = steps(context.progress, f"{who}: L2-SVM on all features (steps)")
    with context.stage(f"{who}: L2-SVM, {len(settings.C)} C, refit, test"):
        full = probe(train, images.labels, images.held_out, test, settings.C, progress=step)
    few = few_label_study(context, settings.C, who, train, test, images, draws) if draws.per_class else None
    return Study(full, few)


def save_studies(context: RunContext, images: LabelledImages, studies: Mapping[str, Study], draws: Draws) -> None:
    """Save what every test image is taken for, with all labels and with few, for paired comparisons.

    Writes predictions.npz and, where there are few-label probes, draws.npz; comparisons take the first study.
    """
    save_predictions(context, images, {who: found.full.predictions for who, found in studies.items()})
    few = {who: found.few for who, found in studies.items() if found.few is not None}
    if few:
        save_draws(context, images, few, draws)


def _shown(choice: Choice, measure: str) -> list[float]:
    values = 1 - choice.validation if measure == "error" else choice.validation
    return [float(value) for value in values]


def grid_table(choices: Mapping[str, Choice], measure: Literal["accuracy", "error"] = "accuracy") -> Table:
    """Return the held-out accuracy, or error, for each C of a grid that all share; one column for each choice."""
    columns = ["C", *choices]
    grid = next(iter(choices.values())).cs.tolist()
    shown = [_shown(choice, measure) for choice in choices.values()]
    rows: list[list[Cell]] = [[c, *values] for c, *values in zip(grid, *shown, strict=True)]
    return Table(name="grid", title=f"Held-out {measure} against C", columns=columns, rows=rows, percent=columns[1:])


def save_grid_figure(
    context: RunContext,
    choices: Mapping[str, Choice],
    measure: Literal["accuracy", "error"] = "accuracy",
    *,
    caption: str = "The marked C is refitted on all training images.",
) -> None:
    """Draw what ``grid_table`` lists."""
    from dcgan_analysis import figures

    series = {
        who: figures.Series(choice.cs.tolist(), _shown(choice, measure), chosen=choice.c)
        for who, choice in choices.items()
    }
    figure = figures.curve(series, y_label=f"held-out {measure}")
    context.save_figure(figure, "grid", f"Held-out {measure} against C", caption)


def note_grid_ends(context: RunContext, choices: Mapping[str, Choice]) -> None:
    """Say in the result which choices lie at an end of the grid."""
    for who, choice in choices.items():
        if len(choice.cs) > 1 and choice.c in (choice.cs[0], choice.cs[-1]):
            context.note(f"{who}: the best C, {choice.c:g}, lies at an end of the grid; a wider one may do better.")
