"""Analyses that classify images: training and test images, results class by class, figures, predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import accuracy_metric
from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit

_SHOWN_IMAGES = 300


@dataclass(frozen=True)
class LabelledImages:
    """The training and test images of a classification.

    Attributes:
        train: N training images.
        labels: (N,) their class numbers.
        held_out: (N,) mask of the training images on which settings are chosen, by fits to the others.
        test: N_test test images.
        test_labels: (N_test,) their class numbers.
    """

    train: DatasetSplit
    labels: np.ndarray
    held_out: np.ndarray
    test: DatasetSplit
    test_labels: np.ndarray

    @property
    def classes(self) -> list[str]:
        """K class names."""
        return self.train.classes

    def correct(self, predictions: np.ndarray) -> int:
        """Return how many test images are classified correctly."""
        return int((predictions == self.test_labels).sum())


def tail_size(test: str) -> int | None:
    """Return N of ``'last-N'``, or None for anything else.

    Example:
        >>> tail_size("last-10000"), tail_size("test")
        (10000, None)
    """
    prefix, _, number = test.partition("-")
    return int(number) if prefix == "last" and number.isdecimal() and int(number) > 0 else None


def labelled_images(context: RunContext, *, test: str = "test", validation: float = 0.2) -> LabelledImages:
    """Return training and test images, some training images held out.

    Held-out images are drawn class by class, and photo by photo where the dataset knows photos.

    Args:
        context: The run; the splits are recorded in its result.
        test: Name of the test split, or ``'last-N'``: the last N training images are the test set.
        validation: Share of the training images to hold out, in (0, 1); or, as an integer, their number, reduced to
            half of the training images where it is larger.

    Raises:
        AnalysisError: If images have no labels.
        DatasetError: If a split is missing, or one side would be empty.
    """
    import numpy as np

    from dcgan_analysis.data.splits import holdout, last

    train, size = context.split("train"), tail_size(test)
    if size is None:
        tested = context.split(test)
    else:
        train, tested = last(train, size)
        context.use_split("train", train)
        context.use_split("test", tested)
        context.note(f"Test set: the last {size:,} images of the training split; nothing was trained on them here.")
    labels, test_labels = _labels(train, context), _labels(tested, context)
    count = min(validation, len(train) // 2) if isinstance(validation, int) else round(validation * len(train))
    count = max(1, count)
    _, held = holdout(len(train), count, context.rng("validation"), labels=labels, groups=train.groups)
    mask = np.zeros(len(train), dtype=bool)
    mask[held] = True
    return LabelledImages(train, labels, mask, tested, test_labels)


def _labels(split: DatasetSplit, context: RunContext) -> np.ndarray:
    if split.labels is None:
        msg = f"Dataset '{context.dataset.name}': {split.source or 'a split'} has no labels. Choose a labelled dataset."
        raise AnalysisError(msg)
    return split.labels


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix (K, K): rows are true classes, columns predicted ones.

    Example:
        >>> import numpy as np
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    import numpy as np

    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def _by_class(images: LabelledImages, predictions: np.ndarray) -> dict[str, Metric]:
    result = {}
    for number, name in enumerate(images.classes):
        members = images.test_labels == number
        if members.any():
            correct = int((predictions[members] == number).sum())
            result[name] = accuracy_metric(correct, int(members.sum()), name)
    return result


def classes_table(images: LabelledImages, predictions: Mapping[str, np.ndarray]) -> Table:
    """Return the accuracy class by class.

    Args:
        images: The images.
        predictions: Name -> (N_test,) class numbers; the first gets intervals, the others a column each.
    """
    first, *others = (_by_class(images, predicted) for predicted in predictions.values())
    names = list(predictions)
    columns = ["class", "test images", names[0], "low", "high", *names[1:]]
    rows: list[list[Cell]] = [
        [label, metric.n, metric.value, metric.low, metric.high, *(metrics[label].value for metrics in others)]
        for label, metric in first.items()
    ]
    return Table(
        name="classes",
        title="Accuracy class by class",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Low and high: 95 % Wilson interval.",
    )


def save_class_figures(context: RunContext, images: LabelledImages, predictions: np.ndarray) -> None:
    """Draw accuracy class by class and the confusion matrix, and show test images with their predictions (N_test,)."""
    from dcgan_analysis import figures

    metrics = _by_class(images, predictions)
    context.save_figure(
        figures.bars(
            list(metrics),
            [metric.value for metric in metrics.values()],
            low=[metric.low for metric in metrics.values()],
            high=[metric.high for metric in metrics.values()],
        ),
        "classes",
        "Accuracy class by class",
        "With 95 % intervals.",
    )
    counts = confusion(images.test_labels, predictions, len(images.classes))
    context.save_figure(figures.confusion_matrix(counts, images.classes), "confusion", "Confusion matrix")
    save_test_images(context, images.test, predictions)


def save_test_images(context: RunContext, test: DatasetSplit, predictions: np.ndarray, *, whose: str = "") -> None:
    """Show test images with their predictions: of each class some that are right and some that are wrong.

    Args:
        context: The run.
        test: N labelled images.
        predictions: (N,) class numbers.
        whose: Words for the caption where there are several predictions of an image: ``" after the first draw"``.
    """
    right = predictions == test.labels
    chosen = _of_each_kind(test, right, _SHOWN_IMAGES)
    wrong, rightly = (f"{int(kind[chosen].sum()):,} of {int(kind.sum()):,}" for kind in (~right, right))
    caption = f"{wrong} that are wrong{whose} and {rightly} that are right, evenly spaced in each class."
    title = "Test images and their predicted classes"
    context.save_gallery(test.take(chosen), predictions[chosen], "test-images", title, caption)


def _of_each_kind(test: DatasetSplit, right: np.ndarray, most: int) -> np.ndarray:
    """Return positions of about ``most`` images, of each class as many that are right as that are wrong."""
    import numpy as np

    kinds = [
        np.flatnonzero((test.labels == number) & (right == is_right))
        for number in range(len(test.classes))
        for is_right in (True, False)
    ]
    each = max(1, most // len(kinds))
    sizes = [min(each, len(kind)) for kind in kinds]
    spaced = [kind[np.arange(size) * len(kind) // max(1, size)] for kind, size in zip(kinds, sizes, strict=True)]
    return np.sort(np.concatenate(spaced))


def save_predictions(context: RunContext, images: LabelledImages, predictions: Mapping[str, np.ndarray]) -> None:
    """Save ids, labels and predictions of the test images as predictions.npz, for paired comparisons."""
    import numpy as np

    context.save_arrays("predictions", ids=np.array(images.test.ids), labels=images.test_labels, **predictions)
