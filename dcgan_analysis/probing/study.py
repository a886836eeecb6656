"""Analyses that probe features: their settings, features, fits and results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis.api.analysis import AnalysisConfig
from dcgan_analysis.api.metrics import accuracy_metric, draws_metric
from dcgan_analysis.core.progress import steps
from dcgan_analysis.core.randomness import derive_seed
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing.classification import classes_table, labelled_images, save_predictions, tail_size
from dcgan_analysis.probing.few_labels import few_label_study, make_draws, save_draws
from dcgan_analysis.probing.grids import GridSettings, grid_table, note_grid, save_grid_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.analysis import Needs
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Metric, Table
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.features.store import FeatureStore
    from dcgan_analysis.linear import FewLabelProbe, Probe
    from dcgan_analysis.probing.classification import LabelledImages
    from dcgan_analysis.probing.few_labels import Draws

LEARNED, TWIN = "learned features", "random weights"
"""Names of the checkpoint's features and its random twin's in tables, figures and predictions."""

# Images whose features are compared, and the relative standard deviation below which they count as constant.
_COMPARED, _CONSTANT = 32, 1e-3


class ProbeSettings(GridSettings):
    """How features are probed; the defaults are the protocol of arXiv 1511.06434, section 5.1."""

    validation: float = Field(default=0.2, gt=0, lt=1, description="share of the training images held out to choose C")
    test: str = Field(default="test", description="test set: 'test', or 'last-N' for the last N training images")
    labels_per_class: int | None = Field(
        default=None, ge=0, description="labels per class of the few-label column; 0: none; none given: 400 or fewer"
    )
    draws: PositiveInt = Field(default=10, description="random few-label subsets, for C and again for the test")

    def needs(self, needs: Needs) -> Needs:
        """Return what an analysis needs, with the splits that are trained on and tested under these settings."""
        return replace(needs, splits=("train", "test") if self.test == "test" else ("train",))

    @field_validator("test")
    @classmethod
    def _test_is_a_split_or_a_tail(cls, value: str) -> str:
        if value != "test" and tail_size(value) is None:
            msg = "must be 'test' or 'last-N' with N >= 1"
            raise ValueError(msg)
        return value


class FeatureSettings(AnalysisConfig):
    """Which features of a discriminator are extracted, and in which precision."""

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


class TwinSettings(AnalysisConfig):
    """Random networks beside the checkpoint."""

    twin: bool = Field(default=True, description="whether the random-weight twin is run beside it")
    twins: PositiveInt = Field(
        default=1,
        description="random networks; from 2 on the twin's number is their mean and its interval their spread",
    )


@dataclass(frozen=True)
class Studies:
    """Probes of sets of features on the same images and draws.

    Attributes:
        images: The images.
        draws: The few-label subsets.
        probes: Name of the features -> the probe on all training images.
        few_label_probes: Name -> the few-label probe; empty: there are no draws.
        weights: Name -> weights (K, D) of the L2-SVM fitted to all training images; (1, D) of two classes.
    """

    images: LabelledImages
    draws: Draws
    probes: Mapping[str, Probe]
    few_label_probes: Mapping[str, FewLabelProbe]
    weights: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def predictions(self) -> dict[str, NDArray[np.int64]]:
        """Name -> (N_test,) class numbers predicted with all labels."""
        return {name: probe.predictions for name, probe in self.probes.items()}

    def metrics(
        self,
        name: str,
        *,
        prefix: str = "",
        layers: str = "",
        published: tuple[float | None, float | None] = (None, None),
        source: str | None = None,
    ) -> dict[str, Metric]:
        """Return ``accuracy`` and, where there are draws, ``few_label_accuracy`` of one set of features.

        Args:
            name: Name of the features.
            prefix: Put before the names of the metrics.
            layers: Which layers the features are of, for the description.
            published: Published values of both, where the settings are the same.
            source: Where they were published.
        """
        probe = self.probes[name]
        metrics = {
            f"{prefix}accuracy": accuracy_metric(
                self.images.correct(probe.predictions),
                len(self.images.test),
                ", ".join(filter(None, (name, layers, f"C = {probe.c:g}"))),
                published=published[0],
                source=source if published[0] else None,
            )
        }
        if name in self.few_label_probes:
            few = self.few_label_probes[name]
            metrics[f"{prefix}few_label_accuracy"] = draws_metric(
                few.accuracies,
                f"{name}, {self.draws.per_class} labels per class, C = {few.c:g}",
                published=published[1],
                source=source if published[1] else None,
            )
        return metrics

    def metrics_over_networks(self, names: Sequence[str], *, prefix: str = "") -> dict[str, Metric]:
        """Return ``accuracy`` and, where there are draws, ``few_label_accuracy`` as means over several random networks.

        Args:
            names: Names of their features, one for each network.
            prefix: Put before the names of the metrics.
        """
        networks = "one random network" if len(names) == 1 else f"{len(names)} random networks"
        n = len(self.images.test)
        accuracies = [self.images.correct(self.predictions[name]) / n for name in names]
        metrics = {
            f"{prefix}accuracy": draws_metric(
                accuracies, f"random weights, all layers, {networks}, {n:,} test images", over="random networks"
            )
        }
        if self.few_label_probes:
            metrics[f"{prefix}few_label_accuracy"] = draws_metric(
                [fmean(self.few_label_probes[name].accuracies) for name in names],
                f"random weights, {self.draws.per_class} labels per class, {networks}, each one's mean over draws",
                over="random networks",
            )
        return metrics

    def beside(self, others: Studies) -> Studies:
        """Return these probes and others, of the same images."""
        return replace(self, probes={**self.probes, **others.probes}, weights={**self.weights, **others.weights})

    def tables(self) -> list[Table]:
        """Return the accuracy class by class, and the held-out accuracy against C."""
        return [classes_table(self.images, self.predictions), grid_table(self.probes)]

    def save(self, context: RunContext, *, drawn: Sequence[str] = ()) -> None:
        """Save predictions.npz and, where there are draws, draws.npz, for paired comparisons, and the grid's figure.

        Args:
            context: The run.
            drawn: Names of the features in the figure, those of them that there are; empty: all.
        """
        save_predictions(context, self.images, self.predictions)
        if self.few_label_probes:
            save_draws(context, self.images, self.few_label_probes, self.draws)
        save_grid_figure(context, {name: self.probes[name] for name in drawn if name in self.probes} or self.probes)


def images_and_draws(context: RunContext, settings: ProbeSettings) -> tuple[LabelledImages, Draws]:
    """Return the run's training and test images, and few-label subsets of the training images."""
    with context.stage("images and draws"):
        images = labelled_images(context, test=settings.test, validation=settings.validation)
        number = settings.draws
        return images, make_draws(images, settings.labels_per_class, context, choosing=number, tested=number)


def learned_and_twin(context: RunContext, *, twin: bool = True, twins: int | None = None) -> dict[str, Checkpoint]:
    """Return the run's checkpoint and, if ``twin``, its random twin, or several, by their names in reports.

    Args:
        context: The run; its seed decides the twins.
        twin: Whether there is one.
        twins: How many. Of 1 the result notes what the twin's interval leaves out; None: one, and no note.
    """
    networks = {LEARNED: context.checkpoint}
    for number, seed in enumerate(twin_seeds(context.seed, twins or 1) if twin else (), 1):
        networks[TWIN if number == 1 else f"{TWIN} {number}"] = context.checkpoint.twin(seed)
    if twin and twins == 1:
        context.note(
            "The twin is one random network: its interval does not hold the spread between random networks, which the "
            "setting twins=5 measures."
        )
    return networks


def twin_seeds(seed: int, n: int) -> list[int]:
    """Return the seeds of ``n`` random twins of a run: its own first, then others, the same for every analysis."""
    return [seed, *(derive_seed("random features", seed, number) for number in range(1, n))]


def extract_features(
    context: RunContext, settings: FeatureSettings, name: str, checkpoint: Checkpoint, images: LabelledImages
) -> tuple[FeatureStore, FeatureStore]:
    """Return the stores of one network's features of training and test images.

    BatchNorm statistics are re-estimated on all training images, without their labels.

    Raises:
        AnalysisError: If the features are the same for every image.
    """
    with context.stage(f"{name}: features") as stage:
        extraction = context.extraction(settings.spec(), images.train, checkpoint=checkpoint, fit=settings.fit)
        train, test = extraction.store("train", images.train), extraction.store("test", images.test)
        stage.note = extraction.summary()
    _check_features_vary(train, images.train.images, name, settings)
    return train, test


def _check_features_vary(store: FeatureStore, images: NDArray[np.uint8], name: str, settings: FeatureSettings) -> None:
    """Refuse features that are the same for every image: a fit to them is a fit to noise."""
    import numpy as np
    import torch

    # Spread over the split: consecutive images may be of one class.
    positions = np.arange(0, len(store), max(1, len(store) // _COMPARED))
    pixels = images[positions]
    if (pixels == pixels[0]).all():
        return
    rows = torch.cat([store.read(row, row + 1) for row in positions.tolist()]).double()
    rms, deviation = float(rows.square().mean().sqrt()), float(rows.var(dim=0, correction=0).mean().sqrt())
    if not deviation > _CONSTANT * rms:
        running = settings.batchnorm == "running"
        remedy = "Use the setting batchnorm=reestimated" if running else "Its weights may be damaged: import them again"
        msg = (
            f"{name}: features do not depend on the image: over {len(rows)} images their standard deviation is "
            f"{deviation:.2g}, their root mean square {rms:.2g}. {remedy}, or choose another checkpoint."
        )
        raise AnalysisError(msg)


def run_study(
    context: RunContext,
    settings: ProbeSettings,
    features: Mapping[str, tuple[Any, Any]],
    images: LabelledImages,
    draws: Draws,
) -> Studies:
    """Probe sets of features: C chosen on held-out images, refitted on all, the test set used once; then few labels.

    All have one grid of C, which is extended for all while the best C of any of them lies at its end, unless
    ``settings.protocol`` is ``paper``.

    Args:
        context: The run.
        settings: The grid of C.
        features: Name of the features -> those of the training (N, D) and of the test images (N_test, D): arrays,
            tensors or ``RowSource``.
        images: The images.
        draws: The few-label subsets.
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
    probes, weights = {}, {}
    for name, (train, test) in features.items():
        c = float(grid[accuracies[name].argmax()])
        step = steps(context.progress, f"{name}: L2-SVM, refit (steps)")
        with context.stage(f"{name}: L2-SVM, refit, test"):
            svm = L2SVM(C=c, progress=step).fit(train, images.labels)
            predictions, weights[name] = svm.predict(test), svm.coef_
        probes[name] = Probe(c, grid, accuracies[name], predictions)
    note_grid(context, settings, probes)
    few = few_label_study(context, settings, features, images, draws) if draws.per_class else {}
    return Studies(images, draws, probes, few, weights)
