"""What is shown of test images and their nearest samples: tables, figures, arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis import figures
from dcgan_analysis.api.metrics import error_metric
from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.core.text import count as grouped
from dcgan_analysis.probing.classification import confusion, save_test_images
from dcgan_analysis_plugins.mnist_nn.source import take

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis_plugins.mnist_nn.quality import ClassCoverage
    from dcgan_analysis_plugins.mnist_nn.search import Search
    from dcgan_analysis_plugins.mnist_nn.source import SampleSource

_PAIRS, _PAIRS_IN_A_ROW, _SAMPLES_IN_A_ROW = 24, 6, 10
_WRONG = "#d55e00"
_WHITE = 255


@dataclass(frozen=True)
class NearestStudy:
    """Test images and the samples nearest to them.

    Attributes:
        source: Where samples come from.
        test: N test images with labels.
        search: The nearest samples at M counts.
    """

    source: SampleSource
    test: DatasetSplit
    search: Search

    @property
    def labels(self) -> np.ndarray:
        """(N,) class numbers of the test images."""
        assert self.test.labels is not None  # the runner checked
        return self.test.labels

    @cached_property
    def predictions(self) -> np.ndarray:
        """(M, N): class numbers of the nearest samples."""
        return self.source.labels(self.search.index.reshape(-1)).reshape(self.search.index.shape)

    def errors(self) -> list[int]:
        """Return how many test images are taken for another class, at each count."""
        return [int((predicted != self.labels).sum()) for predicted in self.predictions]

    def metrics(self, published: Mapping[int, float] | None = None, source: str | None = None) -> list[Metric]:
        """Return the error at each count as a metric.

        Args:
            published: Count -> published error, where it is for the same data.
            source: Where these stand.
        """
        published_values = published or {}
        return [
            error_metric(
                wrong,
                len(self.test),
                f"test images whose nearest of {grouped(n)} samples is of another class",
                published=published_values.get(n),
                source=source if n in published_values else None,
            )
            for n, wrong in zip(self.search.counts, self.errors(), strict=True)
        ]

    def real_metric(self) -> Metric:
        """Return the error at the largest count as that of the control, real training images instead of samples."""
        real = f"the same, nearest of {grouped(self.search.counts[-1])} real training images"
        return error_metric(self.errors()[-1], len(self.test), real).model_copy(update={"higher_is_better": None})

    def by_class(self) -> dict[str, Metric]:
        """Return the error of each class that has test images, at the largest count."""
        result = {}
        for number, name in enumerate(self.test.classes):
            of_class = self.labels == number
            if of_class.any():
                result[name] = error_metric(
                    int((self.predictions[-1][of_class] != number).sum()), int(of_class.sum()), name
                )
        return result


def curve_table(study: NearestStudy, metrics: Sequence[Metric]) -> Table:
    """Return the error and the mean distance at each count; ``metrics`` are those of the counts, in order."""
    rows: list[list[Cell]] = [
        [count, metric.value, metric.low, metric.high, float(np.sqrt(distance).mean() / _WHITE)]
        for count, metric, distance in zip(study.search.counts, metrics, study.search.distance, strict=True)
    ]
    return Table(
        name="curve",
        title="Error against number of samples",
        columns=["samples", "error", "low", "high", "mean distance"],
        rows=rows,
        percent=["error", "low", "high"],
        note="Low and high: 95 % Wilson interval. Distance to the nearest sample, Euclidean, pixels from 0 to 1.",
    )


def nearest_classes_table(study: NearestStudy, covered: ClassCoverage | None) -> Table:
    """Return error and coverage class by class."""
    columns = ["class", "test images", "error", "low", "high"]
    names = study.test.classes
    rows: list[list[Cell]] = []
    for name, metric in study.by_class().items():
        row: list[Cell] = [name, metric.n, metric.value, metric.low, metric.high]
        if covered is not None:
            hits = (covered.samples[names.index(name)], covered.control[names.index(name)])
            row += [float(hit / covered.images) for hit in hits]
        rows.append(row)
    note = "Low and high: 95 % Wilson interval of the error."
    if covered is not None:
        columns += ["coverage", "by real images"]
        note += f" Coverage: of {covered.images} real images of the class, those with a sample in their neighbourhood."
    return Table(name="classes", title="Class by class", columns=columns, rows=rows, percent=columns[2:], note=note)


def save_nearest_arrays(context: RunContext, study: NearestStudy) -> None:
    """Save ids and labels of the test images, and nearest samples at each count, as neighbours.npz."""
    context.save_arrays(
        "neighbours",
        ids=np.array(study.test.ids),
        labels=study.labels,
        counts=np.array(study.search.counts),
        nearest=study.search.index,
        squared_distance=study.search.distance,
        predictions=study.predictions,
    )


def save_nearest_figures(
    context: RunContext, study: NearestStudy, metrics: Sequence[Metric], published: Mapping[str, Mapping[int, float]]
) -> None:
    """Draw the curve with published points, wrong pairs, errors and confusions by class, and some samples.

    Args:
        context: The run.
        study: What was found.
        metrics: Errors at the counts, in order.
        published: Name -> count -> published error, drawn beside the curve.
    """
    lines = {
        "this run": figures.Series(
            list(study.search.counts),
            [metric.value for metric in metrics],
            [metric.low or 0.0 for metric in metrics],
            [metric.high or 0.0 for metric in metrics],
        )
    } | {name: figures.Series(list(points), list(points.values())) for name, points in published.items()}
    context.save_figure(
        figures.curve(lines, x_label="samples", y_label="test error"),
        "curve",
        "Error against number of samples",
        "One pass: each count is a part of the next. Shaded: 95 % intervals.",
    )
    _save_pairs(context, study)
    classes = study.by_class()
    context.save_figure(
        figures.bars(
            list(classes),
            [metric.value for metric in classes.values()],
            low=[metric.low for metric in classes.values()],
            high=[metric.high for metric in classes.values()],
            x_label="test error",
        ),
        "classes",
        "Error class by class",
        "With 95 % intervals.",
    )
    counts = confusion(study.labels, study.predictions[-1], len(study.test.classes))
    context.save_figure(figures.confusion_matrix(counts, study.test.classes), "confusion", "Confusion matrix")
    save_test_images(context, study.test, study.predictions[-1])
    shown = study.source.images(0)[: 4 * _SAMPLES_IN_A_ROW]
    context.save_figure(
        figures.image_grid(shown, _SAMPLES_IN_A_ROW), "samples", "The first samples", "The classes take turns."
    )


def _save_pairs(context: RunContext, study: NearestStudy) -> None:
    """Draw test images with the wrong samples nearest to them, spread evenly over the wrong ones."""
    predicted, names = study.predictions[-1], study.test.classes
    wrong = np.flatnonzero(predicted != study.labels)
    if not len(wrong):
        context.note("No test image is nearest to a sample of another class; there are no pairs to show.")
        return
    chosen = wrong[np.unique(np.linspace(0, len(wrong) - 1, _PAIRS).round().astype(np.int64))]
    nearest = take(study.source, study.search.index[-1][chosen])
    pairs = np.stack([study.test.images[chosen], nearest], axis=1)
    titles = [text for row in chosen for text in (names[study.labels[row]], f"as {names[predicted[row]]}")]
    context.save_figure(
        figures.image_grid(
            pairs.reshape(-1, *pairs.shape[2:]),
            2 * _PAIRS_IN_A_ROW,
            titles=titles,
            borders=[None, _WRONG] * len(chosen),
        ),
        "pairs",
        "Wrong: test images and their nearest samples",
        f"{len(chosen)} of {len(wrong)}, in pairs: the test image with its class, then (framed) its nearest sample.",
    )
