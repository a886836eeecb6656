"""Accuracy or error against the number of labels per class: probes, table, figure, each point as a metric."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Literal

from dcgan_analysis.api.metrics import draws_metric
from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.probing.few_labels import few_label_study
from dcgan_analysis.probing.grids import GridSettings
from dcgan_analysis.probing.study import LEARNED, TWIN, FeatureSettings, TwinSettings, extract_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.linear import FewLabelProbe
    from dcgan_analysis.probing.classification import LabelledImages
    from dcgan_analysis.probing.few_labels import Draws

    # Name of the features -> labels per class -> probe.
    Curves = Mapping[str, Mapping[int, FewLabelProbe]]

Measure = Literal["accuracy", "error"]


class LabelSettings(TwinSettings, FeatureSettings, GridSettings):
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
        networks: Name -> checkpoint.
        images: Training and test images.
        draws: One for each number of labels.

    Returns:
        Name -> labels per class -> probe.
    """
    features = {}
    for name, network in networks.items():
        train, test = extract_features(context, settings, name, network, images)
        features[name] = (train.rows(), test.rows())
    probes: dict[str, dict[int, FewLabelProbe]] = {name: {} for name in networks}
    for subsets in draws:
        for name, probe in few_label_study(context, settings, features, images, subsets).items():
            probes[name][subsets.per_class] = probe
    return probes


def label_metric(measure: Measure, *probes: FewLabelProbe, description: str = "") -> Metric:
    """Return the mean over the tested draws with mean -+ 1.96 standard deviations.

    Of several random networks it is the mean of their means, and the standard deviation is that over networks.
    """
    over = "draws"
    values = probes[0].accuracies
    if len(probes) > 1:
        over, values = "random networks", [fmean(probe.accuracies) for probe in probes]
    if measure == "error":
        values = [1 - accuracy for accuracy in values]
    return draws_metric(values, description, over=over, higher_is_better=measure == "accuracy")


def label_metrics(
    measure: Measure, probes: Mapping[str, FewLabelProbe], name: str, labels: int, images: LabelledImages
) -> dict[str, Metric]:
    """Return the metric ``name`` of the learned features, and ``twin_`` before it that of all random networks."""
    groups = {name: [LEARNED], f"twin_{name}": [network for network in probes if network != LEARNED]}
    return {
        metric: label_metric(
            measure,
            *(probes[network] for network in networks),
            description=f"{networks[0]}{', one network' if networks == [TWIN] else ''}, {labels} labels per class, "
            f"C = {', '.join(f'{probes[network].c:g}' for network in networks)}, {len(images.test):,} test images",
        )
        for metric, networks in groups.items()
        if networks
    }


def label_curve_table(curves: Curves, measure: Measure) -> Table:
    """Return one row for each number of labels.

    Args:
        curves: Name of the features -> labels per class -> probe; all have the same numbers of labels.
        measure: Of the test images.
    """
    quantities = ("C", f"test {measure}", "low", "high")
    columns = ["labels per class", *(f"{name}: {quantity}" for name in curves for quantity in quantities)]
    rows: list[list[Cell]] = []
    for labels in sorted(next(iter(curves.values()))):
        row: list[Cell] = [labels]
        for probes in curves.values():
            metric = label_metric(measure, probes[labels])
            row += [probes[labels].c, metric.value, metric.low, metric.high]
        rows.append(row)
    return Table(
        name="labels-curve",
        title=f"Test {measure} against labels per class",
        columns=columns,
        rows=rows,
        percent=[column for column in columns[1:] if not column.endswith(": C")],
        note="C is chosen for each number of labels by itself. Low and high: 1.96 std over draws.",
    )


def save_label_curve(context: RunContext, curves: Curves, measure: Measure) -> None:
    """Draw what ``label_curve_table`` lists."""
    from dcgan_analysis import figures

    series = {}
    for name, probes in curves.items():
        metrics = [label_metric(measure, probes[labels]) for labels in sorted(probes)]
        value, low, high = zip(*((metric.value, metric.low, metric.high) for metric in metrics), strict=True)
        series[name] = figures.Series(sorted(probes), value, low, high)
    figure = figures.curve(series, x_label="labels per class", y_label=f"test {measure}")
    title = f"Test {measure} against labels per class"
    context.save_figure(figure, "labels-curve", title, "Bands: 1.96 std over draws.")
