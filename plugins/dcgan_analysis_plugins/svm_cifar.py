"""svm-cifar: how much does a discriminator know about classes it was never told of? (section 5.1).

1. Features: every conv layer after its LeakyReLU, max-pooled to 4x4, flattened, joined: 28,672 for the paper's
   network. BatchNorm statistics are re-estimated on the training split and frozen. No standardisation.
2. C of a linear L2-SVM is chosen on held-out training images, the SVM refitted on all of them, the test set used once.
3. The same for the random-weight twin, with its own statistics and its own C: what the architecture alone is worth.
4. The same for each layer alone, and for few labels per class over several random draws.

Consumes a checkpoint with a discriminator and a labelled dataset with a training and a test split.
Produces ``accuracy``, ``twin_accuracy``, ``few_label_accuracy``, ``twin_few_label_accuracy``, predictions.npz
and draws.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 5.1 and Table 1.
Beyond the paper: intervals, the twin, the layers alone. The size of the held-out part, a fifth of the training images,
is this project's: the paper does not give it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import Field

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs, Table, accuracy_metric, draws_metric
from dcgan_analysis.api.classification import (
    classes_table,
    labelled_images,
    save_class_figures,
    save_predictions,
)
from dcgan_analysis.api.few_labels import make_draws, save_draws
from dcgan_analysis.api.probing import (
    LEARNED,
    FeatureSettings,
    ProbeSettings,
    Study,
    extract_features,
    grid_table,
    learned_and_twin,
    note_grid_ends,
    save_grid_figure,
    study,
)
from dcgan_analysis.progress import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.api.classification import LabelledImages
    from dcgan_analysis.api.few_labels import Draws
    from dcgan_analysis.linear import Probe
    from dcgan_analysis.stores.checkpoint import Checkpoint
    from dcgan_analysis.stores.features import FeatureStore

__all__ = ["SvmCifar", "SvmCifarConfig"]

_PAPER = "Radford et al. 2016, Table 1"
_PUBLISHED_ACCURACY, _PUBLISHED_FEW_LABEL, _PUBLISHED_LABELS = 0.828, 0.738, 400
# Table 1: method, accuracy, accuracy with 400 labels per class.
_TABLE_1: tuple[tuple[str, float, float], ...] = (
    ("1 layer K-means", 0.806, 0.637),
    ("3 layer K-means learned RF", 0.820, 0.707),
    ("View-invariant K-means", 0.819, 0.726),
    ("Exemplar CNN", 0.843, 0.774),
    ("DCGAN + L2-SVM (paper)", _PUBLISHED_ACCURACY, _PUBLISHED_FEW_LABEL),
)
_CIFAR = "cifar10"
_SAMPLES = 40


class SvmCifarConfig(FeatureSettings, ProbeSettings):
    """Settings; the defaults are the paper's protocol."""

    twin: bool = Field(default=True, description="whether the random-weight twin is run beside it")
    ablation: bool = Field(default=True, description="whether each layer is also tried alone")


@dataclass(frozen=True)
class NetworkStudy:
    """What was found for one network.

    Attributes:
        together: All layers.
        alone: Tap -> number of its features and the probe on it.
    """

    together: Study
    alone: dict[str, tuple[int, Probe]]


def study_network(
    context: RunContext, config: SvmCifarConfig, who: str, checkpoint: Checkpoint, images: LabelledImages, draws: Draws
) -> NetworkStudy:
    """Extract one network's features and probe them: all layers, with all and few labels, and each layer alone.

    Layers are tried alone for learned features only.
    """
    train, test = extract_features(context, config, who, checkpoint, images)
    together = study(context, config, who, train.rows(), test.rows(), images, draws)
    alone = {}
    if config.ablation and who == LEARNED:
        with context.stage(f"{who}: each layer alone"):
            alone = _each_layer(context, config, train, test, images)
    return NetworkStudy(together, alone)


def _each_layer(
    context: RunContext, config: SvmCifarConfig, train: FeatureStore, test: FeatureStore, images: LabelledImages
) -> dict[str, tuple[int, Probe]]:
    from dcgan_analysis.linear import probe

    found = {}
    for tap, columns in train.taps.items():
        step = steps(context.progress, f"{LEARNED}: L2-SVM on {tap} (steps)")
        one = probe(train.rows(columns), images.labels, images.held_out, test.rows(columns), config.C, progress=step)
        found[tap] = (columns.stop - columns.start, one)
    return found


class SvmCifar:
    """Linear classification on discriminator features, beside the random twin."""

    name = "svm-cifar"
    summary = "L2-SVM on pooled discriminator features, beside the random-weight twin (5.1, Table 1)"
    question = "How well do features that were learned without labels tell the classes of images apart?"
    reference = "Radford, Metz, Chintala 2016, section 5.1: https://arxiv.org/abs/1511.06434"
    config_type = SvmCifarConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset=_CIFAR, splits=("train",), labels=True, grid=4)
    demo = Demo(dataset="digits", settings={"C": (1e-4, 1e-3, 1e-2), "draws": 2, "ablation": False}, limit=400)

    def requires(self, config: SvmCifarConfig) -> Needs:
        """Return what it consumes on this grid."""
        return replace(self.needs, grid=config.grid)

    def run(self, context: RunContext, config: SvmCifarConfig) -> Result:
        """Probe the checkpoint, then its twin, and put them side by side."""
        with context.stage("images and draws"):
            images = labelled_images(context, test=config.test, validation=config.validation)
            draws = make_draws(images, config.labels_per_class, context, choosing=config.draws, tested=config.draws)
        networks = learned_and_twin(context, twin=config.twin)
        found = {who: study_network(context, config, who, network, images, draws) for who, network in networks.items()}
        studies = {who: one.together for who, one in found.items()}
        choices = {who: one.full for who, one in studies.items()}
        layers = _layers(images, found[LEARNED])
        with context.stage("figures"):
            predictions = {who: choice.predictions for who, choice in choices.items()}
            save_predictions(context, images, predictions)
            if draws.per_class:
                save_draws(context, images, {who: one.few for who, one in studies.items() if one.few}, draws)
            save_grid_figure(context, choices)
            _save_layers(context, layers)
            save_class_figures(context, images, predictions[LEARNED])
            _save_samples(context)
        note_grid_ends(context, choices)
        metrics = _metrics(context, images, draws, studies)
        return context.result(
            self,
            config,
            title=f"{context.checkpoint.name} features + L2-SVM on {context.dataset.name}",
            headline="accuracy",
            metrics=metrics,
            tables=[
                *([_table_1(context, metrics)] if _on_cifar(context) else []),
                *([layers] if layers.rows else []),
                classes_table(images, predictions),
                grid_table(choices),
            ],
        )


def _on_cifar(context: RunContext) -> bool:
    """Whether the paper's figures may stand beside this run's."""
    return context.dataset.name == _CIFAR and context.limit is None


def _metrics(
    context: RunContext, images: LabelledImages, draws: Draws, studies: Mapping[str, Study]
) -> dict[str, Metric]:
    on_cifar = _on_cifar(context)
    metrics = {}
    for who, found in studies.items():
        published = _PUBLISHED_ACCURACY if on_cifar and who == LEARNED else None
        metrics["accuracy" if who == LEARNED else "twin_accuracy"] = accuracy_metric(
            images.correct(found.full.predictions),
            len(images.test),
            f"{who}, all layers, C = {found.full.c:g}",
            published=published,
            source=_PAPER if published else None,
        )
    for who, found in studies.items():
        if found.few is None:
            continue
        same = on_cifar and who == LEARNED and draws.per_class == _PUBLISHED_LABELS
        metrics["few_label_accuracy" if who == LEARNED else "twin_few_label_accuracy"] = draws_metric(
            found.few.accuracies,
            f"{who}, {draws.per_class} labels per class, C = {found.few.c:g}",
            published=_PUBLISHED_FEW_LABEL if same else None,
            source=_PAPER if same else None,
        )
    return metrics


def _table_1(context: RunContext, metrics: Mapping[str, Metric]) -> Table:
    columns = ["method", "accuracy", f"accuracy, {_PUBLISHED_LABELS} labels per class"]
    rows: list[list[Cell]] = [list(row) for row in _TABLE_1]
    for prefix, name in (("", f"{context.checkpoint.name} + L2-SVM (this run)"), ("twin_", "random twin (this run)")):
        if f"{prefix}accuracy" in metrics:
            few = metrics.get(f"{prefix}few_label_accuracy")
            rows.append([name, metrics[f"{prefix}accuracy"].value, few.value if few else None])
    note = f"The paper's network was trained on ImageNet-1k. Test images of this run: {metrics['accuracy'].n:,}."
    return Table(
        name="table-1",
        title="Beside the paper's Table 1",
        columns=columns,
        rows=rows,
        percent=columns[1:],
        note=note,
    )


def _layers(images: LabelledImages, found: NetworkStudy) -> Table:
    columns = ["layer", "features", "C", "held-out accuracy", "test accuracy", "low", "high"]
    together = (sum(size for size, _ in found.alone.values()), found.together.full)
    rows: list[list[Cell]] = []
    for tap, (size, one) in {**found.alone, "all layers": together}.items() if found.alone else ():
        metric = accuracy_metric(images.correct(one.predictions), len(images.test), tap)
        rows.append([tap, size, one.c, float(one.validation.max()), metric.value, metric.low, metric.high])
    return Table(
        name="layers",
        title="Each layer alone",
        columns=columns,
        rows=rows,
        percent=columns[3:],
        note="C is chosen for each row by itself. Low and high: 95 % Wilson interval.",
    )


def _save_layers(context: RunContext, layers: Table) -> None:
    from dcgan_analysis import figures

    if layers.rows:
        names, _, _, _, values, low, high = zip(*layers.rows, strict=True)
        context.save_figure(
            figures.bars(names, values, low=low, high=high, highlight=["all layers"]),
            "layers",
            "Each layer alone",
            "Test accuracy with 95 % intervals.",
        )


def _save_samples(context: RunContext) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.data import Preprocessing

    checkpoint = context.checkpoint
    if checkpoint.has("generator"):
        scaling = Preprocessing.for_range(checkpoint.architecture.image_shape, checkpoint.metadata.image_range)
        images = scaling.to_bytes(checkpoint.sample(_SAMPLES, seed=context.seed))
        context.save_figure(
            figures.image_grid(images, 10), "samples", "Samples of the generator", f"Seed {context.seed}, not selected."
        )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(SvmCifar())
