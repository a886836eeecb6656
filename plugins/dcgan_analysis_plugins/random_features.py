"""random-features: how good are the features of an architecture whose weights were never trained?

1. Several random networks of the checkpoint's architecture, initialised as the paper does; nothing of the checkpoint's
   weights is used.
2. Each is probed as in svm-cifar: BatchNorm statistics re-estimated on the training split, a C of its own, the test
   set once; and, on draws that all networks share, with few labels per class.
3. Reported are mean and spread over the networks, so that a learned figure can be told from a lucky initialisation.

Consumes a checkpoint, for the architecture of its discriminator, and a labelled dataset with a training split.
Produces ``accuracy``, ``few_label_accuracy``, predictions.npz and draws.npz with one array for each network.

Reference: arXiv 1511.06434 has no such control. That random features can score high is known from Saxe et al.,
"On Random Weights and Unsupervised Feature Learning", ICML 2011.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Needs, Table, accuracy_metric, draws_metric
from dcgan_analysis.probing import (
    LEARNED,
    FeatureSettings,
    ProbeSettings,
    Studies,
    extract_features,
    images_and_draws,
    learned_and_twin,
    run_study,
    save_class_figures,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext


class RandomFeaturesConfig(FeatureSettings, ProbeSettings):
    """Settings; the probe's are those of svm-cifar."""

    networks: PositiveInt = Field(default=5, description="random networks; the first is the twin of svm-cifar")


class RandomFeatures:
    """Linear classification on features of random networks."""

    name = "random-features"
    summary = "L2-SVM on features of several random networks: what the architecture alone is worth"
    question = "How well do the features of a network that was never trained tell the classes of images apart?"
    reference = "The random-weight control of Radford, Metz, Chintala 2016, section 5: https://arxiv.org/abs/1511.06434"
    config_type = RandomFeaturesConfig
    needs = Needs(checkpoint="cifar10-dcgan32", dataset="cifar10", splits=("train", "test"), labels=True, grid=4)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"C": (1e-4, 1e-3, 1e-2), "draws": 2, "networks": 2},
        limit=400,
    )

    def requires(self, config: RandomFeaturesConfig) -> Needs:
        """Return what it consumes on this grid."""
        return replace(config.needs(self.needs), grid=config.grid, fit=config.fit)

    def checks(self, context: RunContext, config: RandomFeaturesConfig) -> list[Callable[[], object]]:
        """Draw the subsets that may not be there."""
        return [partial(images_and_draws, context, config)]

    def run(self, context: RunContext, config: RandomFeaturesConfig) -> Result:
        """Probe one random network after the other."""
        images, draws = images_and_draws(context, config)
        features = {}
        networks = learned_and_twin(context, twins=None if config.networks == 1 else config.networks)
        del networks[LEARNED]
        for name, network in networks.items():
            train, test = extract_features(context, config, name, network, images)
            features[name] = (train.rows(), test.rows())
        studies = run_study(context, config, features, images, draws)
        table = _networks(studies)
        with context.stage("figures"):
            studies.save(context)
            _save_networks(context, table)
            save_class_figures(context, images, next(iter(studies.predictions.values())))
        if config.networks == 1:
            context.note("One random network has no spread; the intervals over networks have no width.")
        return context.result(
            title=f"Random {context.checkpoint.architecture.name} features + L2-SVM on {context.dataset.name}",
            headline="accuracy",
            metrics=studies.metrics_over_networks([*features]),
            tables=[table, *studies.tables()],
        )


def _networks(studies: Studies) -> Table:
    columns = ["network", "C", "held-out accuracy", "test accuracy", "low", "high", "few-label accuracy"]
    rows: list[list[Cell]] = []
    for name, probe in studies.probes.items():
        accuracy = accuracy_metric(studies.images.correct(probe.predictions), len(studies.images.test), name)
        few = studies.few_label_probes.get(name)
        few_accuracy = draws_metric(few.accuracies, name).value if few else None
        held_out = float(probe.validation.max())
        rows.append([name, probe.c, held_out, accuracy.value, accuracy.low, accuracy.high, few_accuracy])
    return Table(
        name="networks",
        title="Each random network",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Low and high: 95 % Wilson interval of the test accuracy.",
    )


def _save_networks(context: RunContext, networks: Table) -> None:
    from dcgan_analysis import figures

    names, _, _, values, low, high, _ = zip(*networks.rows, strict=True)
    figure = figures.bars(names, values, low=low, high=high)
    context.save_figure(figure, "networks", "Each random network", "Test accuracy with 95 % intervals.")


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(RandomFeatures())
