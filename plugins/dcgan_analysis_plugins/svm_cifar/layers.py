"""A probe of each layer separately, and how much of the SVM each layer carries, as features are and scaled by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import accuracy_metric
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.core.progress import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.features.store import FeatureStore
    from dcgan_analysis.linear import Probe, Standardisation
    from dcgan_analysis.probing.classification import LabelledImages
    from dcgan_analysis.probing.grids import GridSettings

_TOGETHER = "all layers"


@dataclass(frozen=True)
class LayerProbe:
    """The probe of one layer.

    Attributes:
        features: Number of features.
        probe: C chosen on held-out rows, and the predictions of the test images.
    """

    features: int
    probe: Probe


def probe_layers(
    context: RunContext,
    settings: GridSettings,
    name: str,
    train: FeatureStore,
    test: FeatureStore,
    images: LabelledImages,
) -> dict[str, LayerProbe]:
    """Probe each layer of a network separately, each with its own C.

    Args:
        context: The run.
        settings: The grid of C.
        name: Name of the features.
        train: Features of the training images.
        test: Features of the test images, of the same layers.
        images: The images.

    Returns:
        Tap -> probe, in the order of the network.

    Example:
        >>> probe_layers(context, config, LEARNED, train, test, images)["conv1"].features  # doctest: +SKIP
        2048
    """
    from dcgan_analysis.linear import probe

    probes = {}
    with context.stage(f"{name}: each layer alone"):
        for tap, columns in train.taps.items():
            chosen = probe(
                train.rows(columns),
                images.labels,
                images.held_out,
                test.rows(columns),
                settings.C,
                decades=settings.decades,
                progress=steps(context.progress, f"{name}: L2-SVM on {tap} (steps)"),
            )
            probes[tap] = LayerProbe(columns.stop - columns.start, chosen)
    return probes


def layers_table(images: LabelledImages, layers: Mapping[str, LayerProbe], together: Probe) -> Table:
    """Return one row for each layer, and a last one for all of them together."""
    columns = ["layer", "features", "C", "held-out accuracy", "test accuracy", "low", "high"]
    total = sum(layer.features for layer in layers.values())
    rows: list[list[Cell]] = []
    for name, layer in {**layers, _TOGETHER: LayerProbe(total, together)}.items():
        accuracy = accuracy_metric(images.correct(layer.probe.predictions), len(images.test), name)
        held_out = float(layer.probe.validation.max())
        rows.append([name, layer.features, layer.probe.c, held_out, accuracy.value, accuracy.low, accuracy.high])
    return Table(
        name="layers",
        title="Each layer alone",
        columns=columns,
        rows=rows,
        percent=columns[3:],
        note="C is chosen for each row by itself. Low and high: 95 % Wilson interval.",
    )


def layer_scales(stores: Mapping[str, tuple[FeatureStore, FeatureStore]]) -> dict[str, Standardisation]:
    """Return, by name of the features, the division of each layer by its root mean square on the training images."""
    from dcgan_analysis.linear.scaling import learn_block_scales

    return {name: learn_block_scales(train.rows(), [*train.taps.values()]) for name, (train, _) in stores.items()}


def used_layers_table(
    taps: Mapping[str, slice], scales: Mapping[str, Standardisation], weights: Mapping[str, NDArray[np.float64]]
) -> Table:
    """Return how large the features of each layer are, and the weights that the L2-SVM gives them.

    Args:
        taps: Layer -> its columns.
        scales: Name of the features -> root mean squares of the layers.
        weights: Name of the features, also of scaled ones -> weights (K, D).
    """
    import numpy as np

    columns = ["layer", *(f"{name}: size" for name in scales), *(f"{name}: weights" for name in weights)]
    rows: list[list[Cell]] = [
        [
            tap,
            *(float(scale.deviation[block][0]) for scale in scales.values()),
            *(float(np.linalg.norm(matrix[:, block])) for matrix in weights.values()),
        ]
        for tap, block in taps.items()
    ]
    return Table(
        name="layers-used",
        title="What the L2-SVM on all layers uses",
        columns=columns,
        rows=rows,
        note="Size: root mean square of the features of the training images. Weights: norm over the layer's features "
        "and all classes. The penalty is on weights, so that small features are used little, whatever they know; the "
        "setting layer_scaling=true brings all layers to size 1 first.",
    )


def save_layers(context: RunContext, layers: Table) -> None:
    """Draw what ``layers_table`` lists."""
    from dcgan_analysis import figures

    names, _, _, _, values, low, high = zip(*layers.rows, strict=True)
    context.save_figure(
        figures.bars(names, values, low=low, high=high, highlight=[_TOGETHER]),
        "layers",
        "Each layer alone",
        "Test accuracy with 95 % intervals.",
    )
