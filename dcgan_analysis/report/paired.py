"""Does one run beat another on the same images? From what every run predicts for each test image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis.core.array_files import read_npz
from dcgan_analysis.core.statistics import mcnemar, paired_draws
from dcgan_analysis.core.text import short_hash
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from dcgan_analysis.api.result import Result
    from dcgan_analysis.core.statistics import Difference

# Files that analyses write with save_predictions and save_draws -> what is compared.
_KINDS = {"predictions": "all labels", "draws": "few labels"}
_NOT_PREDICTIONS = {"ids", "labels", "drawn"}
_SURE = 0.05


@dataclass(frozen=True)
class _Judged:
    """What one run says of each test image.

    Attributes:
        subject: Whose predictions: the first that the run saved.
        ids: (N,) names of the test images.
        labels: (N,) their classes.
        predictions: (draws, N); one draw where all labels were used.
        drawn: A hash for the training images of each draw, or None.
    """

    subject: str
    ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    drawn: list[str] | None


def paired_table(results: Sequence[Result], names: Sequence[str]) -> Table:
    """Compare each other run with the first one, image by image.

    Predictions with all labels are compared by McNemar's exact test, those of few-label draws as
    ``statistics.paired_draws`` says. Images are matched by id, and only where both test sets hold the same images
    (by content); a pair that cannot be matched is listed with the reason.

    Args:
        results: Two runs or more, with their folders.
        names: What to call them.

    Returns:
        One row for each comparison; ``difference`` is that of the accuracies, first run minus other run.

    Raises:
        AnalysisError: If a file of predictions is damaged.
    """
    rows: list[list[Cell]] = []
    unpaired = []
    for other, name in zip(results[1:], names[1:], strict=True):
        pairs = [(kind, _read(results[0], kind), _read(other, kind)) for kind in _KINDS]
        reason = _different_tests(results[0], other)
        if reason is None and not any(a and b for _, a, b in pairs):
            reason = "the runs saved no predictions of the same kind"
        for kind, a, b in pairs:
            if reason is None and a and b:
                reason = _different_images(a, b)
                if reason is None:
                    rows.append(_row(kind, (names[0], a), (name, b)))
        if reason is not None:
            unpaired.append(f"Not paired: {names[0]} and {name}: {reason}.")
    note = (
        "Difference of the accuracies, A minus B, on the same images, with its 95 % interval. All labels: McNemar's "
        "exact test. Few labels: a normal test over draws and images together."
    )
    return Table(
        name="paired",
        title="Paired comparison",
        columns=["A", "B", "trained with", "images", "difference", "low", "high", "p", "verdict"],
        rows=rows,
        percent=["difference", "low", "high"],
        note=" ".join([*([note] if rows else []), *unpaired]),
    )


def paired_lines(table: Table) -> list[str]:
    """Say each comparison of a :func:`paired_table` in a sentence, for places too narrow for its nine columns.

    Example:
        >>> columns = ["A", "B", "trained with", "images", "difference", "low", "high", "p", "verdict"]
        >>> row = ["wide", "narrow", "all labels", 1000, 0.021, 0.006, 0.036, "0.0071", "A is better"]
        >>> paired_lines(Table(name="paired", title="Paired", columns=columns, rows=[row]))
        ['wide against narrow, all labels, 1,000 images: 2.1 points [0.6, 3.6], p = 0.0071: wide is better.']
    """
    lines = []
    for a, b, labels, images, difference, low, high, p, verdict in table.rows:
        points = (
            f"{100 * float(difference or 0):.1f} points [{100 * float(low or 0):.1f}, {100 * float(high or 0):.1f}]"
        )
        better = str(verdict).replace("A is", f"{a} is").replace("B is", f"{b} is")
        lines.append(f"{a} against {b}, {labels}, {images:,} images: {points}, p = {p}: {better}.")
    return lines


def _row(kind: str, first: tuple[str, _Judged], second: tuple[str, _Judged]) -> list[Cell]:
    (name_a, a), (name_b, b) = first, second
    right_a = a.predictions == a.labels
    right_b = (b.predictions == b.labels)[:, _order(a, b)]
    difference: Difference
    if kind == "predictions":
        difference = mcnemar(int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()), len(a.ids))
    else:
        difference = paired_draws(right_a, right_b, same_draws=a.drawn is not None and a.drawn == b.drawn)
    better = "A" if difference.value > 0 else "B"
    verdict = f"{better} is better" if difference.p < _SURE else "no difference found"
    return [
        f"{name_a} ({a.subject})",
        f"{name_b} ({b.subject})",
        _KINDS[kind],
        len(a.ids),
        difference.value,
        difference.low,
        difference.high,
        f"{difference.p:.2g}",
        verdict,
    ]


def _different_tests(a: Result, b: Result) -> str | None:
    """Say in words how the test sets differ, if they do."""
    splits = [None if result.dataset is None else result.dataset.splits.get("test") for result in (a, b)]
    if None in splits:
        return "a run has no test set"
    first, second = (split for split in splits if split is not None)
    if first.sha256 == second.sha256:
        return None
    sizes = [f"{split.n:,} images ({short_hash(split.sha256)})" for split in (first, second)]
    return f"the test images differ: {sizes[0]} against {sizes[1]}"


def _different_images(a: _Judged, b: _Judged) -> str | None:
    ids, others = a.ids.tolist(), b.ids.tolist()
    if ids != others and (sorted(ids) != sorted(others) or len(set(ids)) < len(ids)):
        return "the ids of the test images do not match"
    if (a.labels != b.labels[_order(a, b)]).any():
        return "the labels of the test images differ"
    return None


def _order(a: _Judged, b: _Judged) -> list[int]:
    """Return where each image of A stands in B."""
    if a.ids.tolist() == b.ids.tolist():
        return list(range(len(a.ids)))
    place = {name: position for position, name in enumerate(b.ids.tolist())}
    return [place[name] for name in a.ids.tolist()]


def _read(result: Result, kind: str) -> _Judged | None:
    """Read a file of predictions; None: the run saved none of this kind."""
    if kind not in result.files or result.folder is None:
        return None
    path = result.folder / result.files[kind]
    try:
        arrays = read_npz(path)
    except (OSError, ValueError) as error:
        msg = f"'{path}' cannot be read: {error}. Run the analysis again."
        raise AnalysisError(msg) from None
    return _judged(path, arrays)


def _judged(path: Path, arrays: dict[str, np.ndarray]) -> _Judged:
    name_of_predictions = next((name for name in arrays if name not in _NOT_PREDICTIONS), None)
    shapes = {name: array.shape for name, array in arrays.items()}
    if name_of_predictions is None or not {"ids", "labels"} <= set(arrays):
        msg = f"'{path}' must hold ids, labels and predictions; it holds: {', '.join(arrays) or 'nothing'}."
        raise AnalysisError(msg)
    predictions = arrays[name_of_predictions]
    if predictions.ndim != 2:
        predictions = predictions[None]
    if not shapes["ids"] == shapes["labels"] == predictions.shape[1:]:
        msg = f"'{path}' is damaged: its arrays do not fit: {shapes}. Run the analysis again."
        raise AnalysisError(msg)
    drawn = arrays["drawn"].tolist() if "drawn" in arrays else None
    return _Judged(name_of_predictions, arrays["ids"], arrays["labels"], predictions, drawn)
