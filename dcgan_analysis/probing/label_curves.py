"""Accuracy or error against the number of labels per class: probes, table, figure, each point as a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dcgan_analysis.api.metrics import draws_metric
from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.probing.few_labels import few_label_study
from dcgan_analysis.probing.grids import GridSettings
from dcgan_analysis.probing.study import FeatureSettings, extract_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.linear import FewLabelProbe
    from dcgan_analysis.probing.classification import LabelledImages
    from dcgan_analysis.probing.few_labels import Draws

    # Who -> labels per class -> what was found.
    Found = Mapping[str, Mapping[int, FewLabelProbe]]

__all__ = ["LabelSettings", "label_curve_table", "label_metric", "probe_by_labels", "save_label_curve"]

Measure = Literal["accuracy", "error"]


class LabelSettings(FeatureSettings, GridSettings):
    """Which features are probed with how many labels, and the grid of C."""


def probe_by_labels(
    context: RunContext,
    settings: LabelSettings,
    networks: Mapping[str, Checkpoint],
    images: LabelledImages,
    draws: Sequence[Draws],
) -> dict[str, dict[int, FewLabelProbe]]:
    """Probe each network with each number of labels, on the same draws.

    Args:
        context: The run.
        settings: What features are extracted, and the grid of C.
        networks: Who -> checkpoint.
        images: Training and test images.
        draws: One for each number of labels.

    Returns:
        Who -> labels per class -> what was found.
    """
    features = {}
    for name, network in networks.items():
        train, test = extract_features(context, settings, name, network, images)
        features[name] = (train.rows(), test.rows())
    probes: dict[str, dict[int, FewLabelProbe]] = {name: {} for name in networks}
    for each in draws:
        for name, one in few_label_study(context, settings, features, images, each).items():
            probes[name][each.per_class] = one
    return probes


def label_metric(probe: FewLabelProbe, measure: Measure, description: str = "") -> Metric:
    """Return the mean over the tested draws with mean -+ 1.96 standard deviations."""
    if measure == "accuracy":
        return draws_metric(probe.accuracies, description)
    return draws_metric([1 - accuracy for accuracy in probe.accuracies], description, higher_is_better=False)


def label_curve_table(found: Found, measure: Measure) -> Table:
    """Return one row for each number of labels.

    Args:
        found: Who -> labels per class -> what was found; all have the same numbers.
        measure: What is shown of the test images.
    """
    names = ("C", f"test {measure}", "low", "high")
    columns = ["labels per class", *(f"{who}: {name}" for who in found for name in names)]
    rows: list[list[Cell]] = []
    for labels in sorted(next(iter(found.values()))):
        row: list[Cell] = [labels]
        for sizes in found.values():
            metric = label_metric(sizes[labels], measure)
            row += [sizes[labels].c, metric.value, metric.low, metric.high]
        rows.append(row)
    return Table(
        name="labels-curve",
        title=f"Test {measure} against labels per class",
        columns=columns,
        rows=rows,
        percent=[column for column in columns[1:] if not column.endswith(": C")],
        note="C is chosen for each number of labels by itself. Low and high: 1.96 std over draws.",
    )


def save_label_curve(context: RunContext, found: Found, measure: Measure) -> None:
    """Draw what ``label_curve_table`` lists."""
    from dcgan_analysis import figures

    series = {}
    for who, sizes in found.items():
        metrics = [label_metric(sizes[labels], measure) for labels in sorted(sizes)]
        value, low, high = zip(*((metric.value, metric.low, metric.high) for metric in metrics), strict=True)
        series[who] = figures.Series(sorted(sizes), value, low, high)
    figure = figures.curve(series, x_label="labels per class", y_label=f"test {measure}")
    title = f"Test {measure} against labels per class"
    context.save_figure(figure, "labels-curve", title, "Bands: 1.96 std over draws.")
