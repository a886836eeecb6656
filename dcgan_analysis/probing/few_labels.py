"""Few labels per class: random draws, fits to each, and results class by class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.metrics import draws_metric
from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.core.progress import steps
from dcgan_analysis.probing.classification import confusion, save_test_images
from dcgan_analysis.probing.grids import note_grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.linear import FewLabelProbe
    from dcgan_analysis.probing.classification import LabelledImages
    from dcgan_analysis.probing.grids import GridSettings

# Tried in this order where no number of labels is set and the dataset is too small for the usual one.
_FEWER_LABELS = (100, 40, 10, 4)


@dataclass(frozen=True)
class Draws:
    """Few-label subsets: row indices into the training images, none of them held out.

    Attributes:
        per_class: Labels per class; 0: there are no draws.
        choosing: Draws that choose C.
        tested: Draws that are tested.
    """

    per_class: int
    choosing: list[np.ndarray]
    tested: list[np.ndarray]


def choose_labels_per_class(setting: int | None, smallest_class: int, usual: int = 400) -> int:
    """Return how many labels per class are drawn; 0: the smallest class is too small for any.

    Without a setting it is the paper's number, or the largest of 100, 40, 10, 4 that is at most half of the smallest
    class.

    Example:
        >>> choose_labels_per_class(None, 4000), choose_labels_per_class(None, 100), choose_labels_per_class(30, 20)
        (400, 40, 30)
    """
    if setting is not None:
        return setting
    sizes = (usual, *(size for size in _FEWER_LABELS if size < usual))
    return next((size for size in sizes if 2 * size <= smallest_class), 0)


def make_draws(
    images: LabelledImages,
    labels_per_class: int | None,
    context: RunContext,
    *,
    choosing: int,
    tested: int,
    usual: int = 400,
) -> Draws:
    """Draw few-label subsets from the training images that are not held out.

    Args:
        images: The images.
        labels_per_class: 0: no draws; None: ``usual`` or fewer, see ``choose_labels_per_class``.
        context: The run, whose seed is used.
        choosing: Number of draws that choose C.
        tested: Number of draws that are tested.
        usual: The paper's number of labels per class.

    Raises:
        DatasetError: If a class has fewer images than ``labels_per_class``.
    """
    import numpy as np

    from dcgan_analysis.data import few_label_draws

    rows = np.flatnonzero(~images.held_out)
    labels = images.labels[rows]
    smallest = int(np.bincount(labels, minlength=len(images.classes)).min())
    per_class = choose_labels_per_class(labels_per_class, smallest, usual)
    if not per_class:
        return Draws(0, [], [])
    first, second = (
        [rows[draw] for draw in few_label_draws(labels, per_class, number, context.rng(use), classes=images.classes)]
        for use, number in (("draws that choose C", choosing), ("draws that are tested", tested))
    )
    return Draws(per_class, first, second)


def few_label_study(
    context: RunContext,
    settings: GridSettings,
    features: Mapping[str, tuple[Any, Any]],
    images: LabelledImages,
    draws: Draws,
) -> dict[str, FewLabelProbe]:
    """Choose C on some draws, test others with it; arguments as for ``run_study``."""
    from dcgan_analysis.linear import FewLabelProbe
    from dcgan_analysis.linear.selection import held_out_draws, predict_draws, search_grid

    products: dict[str, dict[int, torch.Tensor]] = {name: {} for name in features}

    def judge(name: str, cs: list[float]) -> np.ndarray:
        step = steps(context.progress, f"{name}: few labels (steps)")
        with context.stage(f"{name}: {draws.per_class} labels per class, {len(draws.choosing) * len(cs)} fits"):
            train = features[name][0]
            return held_out_draws(
                train, images.labels, images.held_out, draws.choosing, cs, products=products[name], progress=step
            )

    grid, accuracies = search_grid(
        {name: partial(judge, name) for name in features}, settings.C, decades=settings.decades
    )
    probes = {}
    for name, (train, test) in features.items():
        accuracy = accuracies[name]
        c = float(grid[accuracy.mean(axis=0).argmax()])
        step = steps(context.progress, f"{name}: few labels, test (steps)")
        with context.stage(f"{name}: {draws.per_class} labels per class, {len(draws.tested)} draws tested"):
            predictions = predict_draws(train, images.labels, test, draws.tested, c, progress=step)
        tested = (predictions == images.test_labels).mean(axis=1).tolist()
        probes[name] = FewLabelProbe(c, grid, accuracy, predictions, tested)
    note_grid(context, settings, {f"{name}, {draws.per_class} labels per class": p for name, p in probes.items()})
    return probes


def errors_by_class(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the error of each draw on each class.

    Args:
        predictions: (draws, N) class numbers.
        labels: (N,) class numbers.
        classes: K.

    Returns:
        (draws, K) fractions; NaN for a class without images.

    Example:
        >>> import numpy as np
        >>> errors_by_class(np.array([[0, 1, 1], [0, 0, 0]]), np.array([0, 0, 1]), 2).tolist()
        [[0.5, 0.0], [0.0, 1.0]]
    """
    import numpy as np

    wrong = predictions != labels
    columns = [wrong[:, labels == k].mean(axis=1) if (labels == k).any() else np.nan for k in range(classes)]
    return np.stack([np.broadcast_to(column, len(predictions)) for column in columns], axis=1)


def draws_classes_table(images: LabelledImages, probes: Mapping[str, FewLabelProbe]) -> Table:
    """Return the test error class by class, mean over the tested draws.

    Args:
        images: The images.
        probes: Name of the features -> probe; the first gets intervals, the others a column each.
    """
    names = list(probes)
    columns = ["class", "test images", names[0], "low", "high", *names[1:]]
    errors = [errors_by_class(probe.predictions, images.test_labels, len(images.classes)) for probe in probes.values()]
    rows: list[list[Cell]] = []
    for number, name in enumerate(images.classes):
        count = int((images.test_labels == number).sum())
        if count:
            first, *others = (draws_metric(by_draw[:, number].tolist(), name) for by_draw in errors)
            rows.append([name, count, first.value, first.low, first.high, *(metric.value for metric in others)])
    return Table(
        name="classes",
        title="Test error class by class",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Mean over draws. Low and high: 1.96 std over draws.",
    )


def save_draws_figures(context: RunContext, images: LabelledImages, classes: Table, probe: FewLabelProbe) -> None:
    """Draw errors class by class and the confusion matrix over all tested draws; show test images of the first."""
    import numpy as np

    from dcgan_analysis import figures

    names, _, values, low, high, *_ = zip(*classes.rows, strict=True)
    figure = figures.bars(names, values, low=low, high=high, x_label="test error")
    context.save_figure(figure, "classes", "Test error class by class", "Mean and 1.96 std over draws.")
    labels = np.broadcast_to(images.test_labels, probe.predictions.shape)
    counts = confusion(labels.ravel(), probe.predictions.ravel(), len(images.classes))
    context.save_figure(figures.confusion_matrix(counts, images.classes), "confusion", "Confusion matrix, all draws")
    save_test_images(context, images.test, probe.predictions[0], whose=" after the first draw")


def save_draws(
    context: RunContext, images: LabelledImages, probes: Mapping[str, FewLabelProbe], draws: Draws | None = None
) -> None:
    """Save the predictions of every tested draw, (draws, N_test), as draws.npz, for paired comparisons.

    Args:
        context: The run.
        images: The images.
        probes: Name of the features -> probe; comparisons use the first.
        draws: The draws, of which a hash of the ids is saved, by which comparisons match the draws of two runs.
    """
    import numpy as np

    from dcgan_analysis.core.hashing import hash_json

    small = np.min_scalar_type(len(images.classes) - 1)
    arrays = {name: probe.predictions.astype(small) for name, probe in probes.items()}
    if draws is not None:
        ids = images.train.ids
        arrays["drawn"] = np.array([hash_json(sorted(ids[row] for row in draw)) for draw in draws.tested])
    context.save_arrays("draws", ids=np.array(images.test.ids), labels=images.test_labels, **arrays)
