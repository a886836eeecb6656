"""What analyses that probe features share: their settings, features and fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis.api.analysis import AnalysisConfig
from dcgan_analysis.core.progress import steps
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing.classification import save_predictions, tail_size
from dcgan_analysis.probing.few_labels import few_label_study, save_draws
from dcgan_analysis.probing.grids import GridSettings, tell_grid

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
    "LEARNED",
    "TWIN",
    "FeatureSettings",
    "ProbeSettings",
    "Study",
    "extract_features",
    "learned_and_twin",
    "run_study",
    "save_studies",
]

LEARNED, TWIN = "learned features", "random weights"
"""What the checkpoint and its random twin are called in tables, figures and predictions."""

# Images whose features are compared, and the share of their size below which a change is rounding.
_COMPARED, _CONSTANT = 32, 1e-3


class ProbeSettings(GridSettings):
    """How features are probed; the defaults are the protocol of arXiv 1511.06434, section 5.1."""

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


def learned_and_twin(context: RunContext, *, twin: bool = True) -> dict[str, Checkpoint]:
    """Return the run's checkpoint and, if wanted, its random twin, by the names under which reports show them."""
    networks = {LEARNED: context.checkpoint}
    return networks | {TWIN: context.checkpoint.twin(context.seed)} if twin else networks


def extract_features(
    context: RunContext, settings: FeatureSettings, who: str, checkpoint: Checkpoint, images: LabelledImages
) -> tuple[FeatureStore, FeatureStore]:
    """Return the stores of one network's features of training and test images.

    BatchNorm statistics are re-estimated on all training images, without their labels.

    Raises:
        AnalysisError: If the features are the same for every image.
    """
    with context.stage(f"{who}: features") as stage:
        extraction = context.extraction(settings.spec(), images.train, checkpoint=checkpoint, fit=settings.fit)
        train, test = extraction.store("train", images.train), extraction.store("test", images.test)
        stage.note = extraction.summary()
    _check_features_vary(train, images.train.images, who, settings)
    return train, test


def _check_features_vary(store: FeatureStore, images: NDArray[np.uint8], who: str, settings: FeatureSettings) -> None:
    """Refuse features that are the same for every image: whatever is fitted to them is noise."""
    import numpy as np
    import torch

    # Rows apart from one another: neighbours may be of one class.
    chosen = np.arange(0, len(store), max(1, len(store) // _COMPARED))
    pixels = images[chosen]
    if (pixels == pixels[0]).all():
        return
    rows = torch.cat([store.read(row, row + 1) for row in chosen.tolist()]).double()
    size, change = float(rows.square().mean().sqrt()), float(rows.var(dim=0, correction=0).mean().sqrt())
    if not change > _CONSTANT * size:
        running = settings.batchnorm == "running"
        remedy = "Use --set batchnorm=reestimated" if running else "Its weights may be damaged: import them again"
        msg = (
            f"{who}: features do not depend on the image: over {len(rows)} images their standard deviation is "
            f"{change:.2g}, their root mean square {size:.2g}. {remedy}, or choose another checkpoint."
        )
        raise AnalysisError(msg)


def run_study(
    context: RunContext,
    settings: ProbeSettings,
    features: Mapping[str, tuple[Any, Any]],
    images: LabelledImages,
    draws: Draws,
) -> dict[str, Study]:
    """Probe sets of features that are compared: C on held-out rows, refit on all, the test set once; then few labels.

    All have one grid of C, which is extended for all while the best C of any of them lies at its end, unless
    ``settings.protocol`` is ``paper``.

    Args:
        context: The run.
        settings: The grid of C.
        features: Whose features they are -> those of the training (N, D) and of the test images (N_test, D): arrays,
            tensors or ``RowSource``.
        images: The images.
        draws: The few-label subsets.

    Returns:
        Whose features they are -> what they are worth.
    """
    from dcgan_analysis.linear import L2SVM, Probe
    from dcgan_analysis.linear.selection import held_out_accuracies, search_grid

    def judge(name: str, cs: list[float]) -> NDArray[np.float64]:
        step = steps(context.progress, f"{name}: L2-SVM on all features (steps)")
        with context.stage(f"{name}: L2-SVM, {len(cs)} C"):
            return held_out_accuracies(features[name][0], images.labels, images.held_out, cs, progress=step)

    grid, accuracies = search_grid(
        {name: partial(judge, name) for name in features}, settings.C, decades=settings.decades
    )
    full = {}
    for name, (train, test) in features.items():
        c = float(grid[accuracies[name].argmax()])
        step = steps(context.progress, f"{name}: L2-SVM, refit (steps)")
        with context.stage(f"{name}: L2-SVM, refit, test"):
            predictions = L2SVM(C=c, progress=step).fit(train, images.labels).predict(test)
        full[name] = Probe(c, grid, accuracies[name], predictions)
    tell_grid(context, settings, full)
    few = few_label_study(context, settings, features, images, draws) if draws.per_class else {}
    return {name: Study(probe, few.get(name)) for name, probe in full.items()}


def save_studies(context: RunContext, images: LabelledImages, studies: Mapping[str, Study], draws: Draws) -> None:
    """Save what every test image is taken for, with all labels and with few, for paired comparisons.

    Writes predictions.npz and, where there are few-label probes, draws.npz; comparisons take the first study.
    """
    save_predictions(context, images, {who: found.full.predictions for who, found in studies.items()})
    few = {who: found.few for who, found in studies.items() if found.few is not None}
    if few:
        save_draws(context, images, few, draws)
