"""svm-cifar: how well do features learned without labels tell classes apart? (section 5.1).

1. Features: every conv layer after its LeakyReLU, max-pooled to 4x4, flattened, joined: 28,672 for the paper's
   network. BatchNorm statistics are re-estimated on the training split and frozen. No standardisation.
2. C of a linear L2-SVM is chosen on held-out training images, the SVM refitted on all of them, the test set used once.
3. The same for the random-weight twin, with its own statistics and C: what the architecture alone achieves.
4. The same for each layer separately, and for few labels per class over several random draws.
5. Where asked for (``--set layer_scaling=true``), all of it with each layer's features divided by their root mean
   square on the training images: the penalty is on weights, so that a layer of small features is used little otherwise.

Consumes a checkpoint with a discriminator and a labelled dataset with a training and a test split.
Produces ``accuracy``, ``twin_accuracy``, ``few_label_accuracy``, ``twin_few_label_accuracy``, the same with layers
scaled (``scaled_accuracy``, ``scaling_gain``), how large each layer's weights are, predictions.npz and draws.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 5.1 and Table 1.
Beyond the paper: intervals, the twin or several, single layers, scaled layers. The held-out part, a fifth of the
training images, is not given in the paper.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from dcgan_analysis.api import Demo, Metric, Needs, Table, paired_metric
from dcgan_analysis.probing import (
    LEARNED,
    TABLE_1,
    TWIN,
    FeatureSettings,
    ProbeSettings,
    Studies,
    TwinSettings,
    extract_features,
    images_and_draws,
    learned_and_twin,
    run_study,
    save_class_figures,
)
from dcgan_analysis_plugins.svm_cifar.layers import (
    layer_scales,
    layers_table,
    probe_layers,
    save_layers,
    used_layers_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.api import Cell, Result, RunContext

_PAPER = "Radford et al. 2016, Table 1"
_PUBLISHED_ACCURACY, _PUBLISHED_FEW_LABEL = TABLE_1[-1].values
_PUBLISHED_LABELS = 400
_CIFAR = "cifar10"
_SAMPLES = 40
_SCALED = ", layers scaled"


class SvmCifarConfig(TwinSettings, FeatureSettings, ProbeSettings):
    """Settings; the defaults are the paper's protocol."""

    ablation: bool = Field(default=True, description="whether each layer is also probed separately")
    layer_scaling: bool = Field(
        default=False, description="whether all is repeated with each layer divided by its root mean square"
    )


class SvmCifar:
    """Linear classification on discriminator features, beside the random twin."""

    name = "svm-cifar"
    summary = "L2-SVM on pooled discriminator features, beside the random-weight twin (5.1, Table 1)"
    question = "How well do features that were learned without labels tell the classes of images apart?"
    reference = "Radford, Metz, Chintala 2016, section 5.1: https://arxiv.org/abs/1511.06434"
    config_type = SvmCifarConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset=_CIFAR, splits=("train", "test"), labels=True, grid=4)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"C": (1e-4, 1e-3, 1e-2), "draws": 2, "ablation": False},
        limit=400,
    )

    def requires(self, config: SvmCifarConfig) -> Needs:
        """Return what it consumes on this grid."""
        return replace(config.needs(self.needs), grid=config.grid, fit=config.fit)

    def checks(self, context: RunContext, config: SvmCifarConfig) -> list[Callable[[], object]]:
        """Draw the subsets that may not be there."""
        return [partial(images_and_draws, context, config)]

    def run(self, context: RunContext, config: SvmCifarConfig) -> Result:
        """Probe the checkpoint, then its twin, and put them side by side."""
        _note_what_was_seen(context)
        images, draws = images_and_draws(context, config)
        stores = {
            name: extract_features(context, config, name, network, images)
            for name, network in learned_and_twin(context, twin=config.twin, twins=config.twins).items()
        }
        features = {name: (train.rows(), test.rows()) for name, (train, test) in stores.items()}
        studies = run_study(context, config, features, images, draws)
        with context.stage("size of each layer"):
            scales = layer_scales({name: stores[name] for name in (LEARNED, TWIN) if name in stores})
        if config.layer_scaling:
            scaled = {
                f"{name}{_SCALED}": (scale(features[name][0]), scale(features[name][1]))
                for name, scale in scales.items()
            }
            studies = studies.beside(run_study(context, config, scaled, images, replace(draws, per_class=0)))
        weights = {
            key: studies.weights[key] for name in scales for key in (name, f"{name}{_SCALED}") if key in studies.weights
        }
        layers: list[Table] = [used_layers_table(stores[LEARNED][0].taps, scales, weights)]
        if config.ablation:
            probes = probe_layers(context, config, LEARNED, *stores[LEARNED], images)
            layers.insert(0, layers_table(images, probes, studies.probes[LEARNED]))
        with context.stage("figures"):
            # Further twins and scaled layers would crowd the figure; the table has them.
            studies.save(context, drawn=(LEARNED, TWIN))
            if config.ablation:
                save_layers(context, layers[0])
            save_class_figures(context, images, studies.predictions[LEARNED])
            _save_samples(context)
        metrics = _metrics(context, studies)
        return context.result(
            title=f"{context.checkpoint.name} features + L2-SVM on {context.dataset.name}",
            headline="accuracy",
            metrics=metrics,
            tables=[
                *([_table_1(context, metrics)] if _on_cifar(context) else []),
                *layers,
                *studies.tables(),
            ],
        )


def _note_what_was_seen(context: RunContext) -> None:
    data = context.checkpoint.metadata.data
    if {"name", "split", "n"} <= data.keys():
        context.note(
            f"{context.checkpoint.name} was trained on {data['n']:,} images without their labels: {data['name']}, "
            f"split {data['split']}."
        )


def _on_cifar(context: RunContext) -> bool:
    """Return whether this run is comparable with the paper's."""
    return context.dataset.name == _CIFAR and context.limit is None


def _metrics(context: RunContext, studies: Studies) -> dict[str, Metric]:
    on_cifar = _on_cifar(context)
    published = (
        _PUBLISHED_ACCURACY if on_cifar else None,
        _PUBLISHED_FEW_LABEL if on_cifar and studies.draws.per_class == _PUBLISHED_LABELS else None,
    )
    metrics = studies.metrics(LEARNED, layers="all layers", published=published, source=_PAPER)
    twins = [name for name in studies.probes if name.startswith(TWIN) and not name.endswith(_SCALED)]
    if len(twins) > 1:
        metrics |= studies.metrics_over_networks(twins, prefix="twin_")
    elif twins:
        metrics |= studies.metrics(TWIN, prefix="twin_", layers="one network, all layers")
    for name, prefix in ((LEARNED, ""), (TWIN, "twin_")):
        if f"{name}{_SCALED}" in studies.probes:
            metrics |= studies.metrics(f"{name}{_SCALED}", prefix=f"{prefix}scaled_", layers="all layers")
            labels, predicted = studies.images.test_labels, studies.predictions
            metrics[f"{prefix}scaling_gain"] = paired_metric(
                predicted[f"{name}{_SCALED}"] == labels,
                predicted[name] == labels,
                f"{name}: accuracy with layers scaled less that with layers as they are",
            )
    return metrics


def _table_1(context: RunContext, metrics: Mapping[str, Metric]) -> Table:
    columns = ["method", "accuracy", f"accuracy, {_PUBLISHED_LABELS} labels per class"]
    rows: list[list[Cell]] = [[f"{row.method} (paper)", *row.values] for row in TABLE_1]
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


def _save_samples(context: RunContext) -> None:
    from dcgan_analysis import figures
    from dcgan_analysis.checkpoints import Sampler

    checkpoint = context.checkpoint
    if checkpoint.has("generator"):
        images = Sampler(checkpoint)(checkpoint.latents(_SAMPLES, seed=context.seed))
        context.save_figure(
            figures.image_grid(images, 10), "samples", "Samples of the generator", f"Seed {context.seed}, not selected."
        )
