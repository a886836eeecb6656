"""A probe of each layer separately, with table and figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import accuracy_metric
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.core.progress import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.features.store import FeatureStore
    from dcgan_analysis.linear import Probe
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
