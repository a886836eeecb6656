"""Which layer of a network tells classes apart: a probe on each layer alone, its table and its figure."""

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

__all__ = ["LayerProbe", "layers_table", "probe_layers", "save_layers"]

_TOGETHER = "all layers"


@dataclass(frozen=True)
class LayerProbe:
    """What one layer's features are worth.

    Attributes:
        features: Number of features.
        probe: C chosen on held-out rows, and the predictions of the test images.
    """

    features: int
    probe: Probe


def probe_layers(
    context: RunContext,
    settings: GridSettings,
    who: str,
    train: FeatureStore,
    test: FeatureStore,
    images: LabelledImages,
) -> dict[str, LayerProbe]:
    """Probe each layer of a network alone, with a C of its own.

    Args:
        context: The run.
        settings: The grid of C.
        who: Whose features they are.
        train: Features of the training images.
        test: Features of the test images, of the same layers.
        images: The images.

    Returns:
        Tap -> what was found, in the order of the network.

    Example:
        >>> probe_layers(context, config, LEARNED, train, test, images)["conv1"].features  # doctest: +SKIP
        2048
    """
    from dcgan_analysis.linear import probe

    found = {}
    with context.stage(f"{who}: each layer alone"):
        for tap, columns in train.taps.items():
            step = steps(context.progress, f"{who}: L2-SVM on {tap} (steps)")
            rows, judged = train.rows(columns), test.rows(columns)
            one = probe(
                rows, images.labels, images.held_out, judged, settings.C, decades=settings.decades, progress=step
            )
            found[tap] = LayerProbe(columns.stop - columns.start, one)
    return found


def layers_table(images: LabelledImages, alone: Mapping[str, LayerProbe], together: Probe) -> Table:
    """Return one row for each layer, and a last one for all of them together."""
    columns = ["layer", "features", "C", "held-out accuracy", "test accuracy", "low", "high"]
    total = sum(one.features for one in alone.values())
    rows: list[list[Cell]] = []
    for name, layer in {**alone, _TOGETHER: LayerProbe(total, together)}.items():
        one = layer.probe
        metric = accuracy_metric(images.correct(one.predictions), len(images.test), name)
        rows.append([name, layer.features, one.c, float(one.validation.max()), metric.value, metric.low, metric.high])
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
