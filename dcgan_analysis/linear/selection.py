"""Probing features with an L2-SVM: C chosen on held-out rows, refitted on all, the test rows used once.

A grid whose best C is its first or last may miss the best one, differently for each of the compared sets of features.
``search_grid`` extends the grid for all of them until the best C of each lies inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dcgan_analysis.linear.draws import fit_draws
from dcgan_analysis.linear.path import l2svm_path
from dcgan_analysis.linear.rows import SomeRows, as_rows
from dcgan_analysis.linear.svm import L2SVM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

DECADES = 6
"""How many decades a grid may be extended at each end."""

# Relative error of the objective at which a fit is good enough to choose C by; refits go to the solver's own tolerance.
_CHOOSING_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Probe:
    """An L2-SVM's choice of C on one set of features, and its predictions.

    Attributes:
        c: The chosen C.
        cs: (G,) the grid, ascending.
        validation: (G,) held-out accuracy for each C.
        predictions: (N_test,) predicted labels.
    """

    c: float
    cs: NDArray[np.float64]
    validation: NDArray[np.float64]
    predictions: NDArray[Any]


@dataclass(frozen=True)
class FewLabelProbe:
    """The choice of C of L2-SVMs fitted to few labels, and their predictions.

    Attributes:
        c: The chosen C.
        cs: (G,) the grid, ascending.
        held_out: (choosing draws, G) held-out accuracy.
        predictions: (tested draws, N_test) predicted labels.
        accuracies: Test accuracy of each tested draw.
    """

    c: float
    cs: NDArray[np.float64]
    held_out: NDArray[np.float64]
    predictions: NDArray[Any]
    accuracies: list[float]

    @property
    def validation(self) -> NDArray[np.float64]:
        """(G,) held-out accuracy for each C, mean over the choosing draws."""
        mean: NDArray[np.float64] = self.held_out.mean(axis=0)
        return mean


def best_at_end(validation: NDArray[np.float64]) -> Literal["first", "last"] | None:
    """Return at which end of a grid its best value lies, if it is better than all others.

    Args:
        validation: (G,) held-out accuracy for each C, ascending.

    Example:
        >>> best_at_end(np.array([0.5, 0.6, 0.7])), best_at_end(np.array([0.7, 0.7, 0.6]))
        ('last', None)
    """
    if len(validation) < 2:
        return None
    if validation[0] > validation[1:].max():
        return "first"
    return "last" if validation[-1] > validation[:-1].max() else None


def search_grid(
    judges: Mapping[str, Callable[[list[float]], NDArray[np.float64]]], cs: Sequence[float], *, decades: int = DECADES
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Evaluate a grid of C, and extend it for all sets of features while the best C of any of them lies at an end.

    Each extension is a decade at 2, 5 and 10 times the end (or a half, a fifth and a tenth of it), as in the authors'
    grid. A best value that is matched by one inside extends nothing.

    Args:
        judges: Name -> function of a list of C that returns held-out accuracies, C along the last axis; the accuracy of
            a C is the mean over the other axes.
        cs: The initial grid.
        decades: How many at each end; 0: the grid stays as it is. A grid of one value is never extended.

    Returns:
        The grid (G,), ascending, and the accuracies by name, G along the last axis.

    Example:
        >>> peak = lambda cs: 1 - np.log10(np.array(cs) / 0.3) ** 2 / 100
        >>> grid, accuracies = search_grid({"a": peak}, [1e-3, 1e-2])
        >>> grid.tolist()
        [0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    """
    grid = sorted(float(c) for c in cs)
    accuracies = {name: judge(grid) for name, judge in judges.items()}
    remaining = {"first": decades, "last": decades}
    while True:
        means = [values.reshape(-1, len(grid)).mean(axis=0) for values in accuracies.values()]
        ends = {end for end in map(best_at_end, means) if end is not None and remaining[end]}
        if not ends:
            return np.asarray(grid), accuracies
        before = [float(f"{grid[0] * factor:.12g}") for factor in (0.1, 0.2, 0.5)] if "first" in ends else []
        after = [float(f"{grid[-1] * factor:.12g}") for factor in (2, 5, 10)] if "last" in ends else []
        for end in ends:
            remaining[end] -= 1
        for name, judge in judges.items():
            added = judge([*before, *after])
            split = len(before)
            accuracies[name] = np.concatenate([added[..., :split], accuracies[name], added[..., split:]], axis=-1)
        grid = [*before, *grid, *after]


def held_out_accuracies(
    train: Any,
    labels: NDArray[Any],
    held_out: NDArray[np.bool_],
    cs: Sequence[float],
    *,
    progress: Callable[[str], None] | None = None,
) -> NDArray[np.float64]:
    """Return the accuracy (G,) on held-out training rows of an L2-SVM fitted to the others, for each C.

    Arguments are those of :func:`probe`.
    """
    path = l2svm_path(train, labels, cs, sample_weight=~held_out, tol=_CHOOSING_TOLERANCE, progress=progress)
    accuracies: NDArray[np.float64] = (path.predict(held_out) == labels[held_out]).mean(axis=1)
    return accuracies


def probe(
    train: Any,
    labels: NDArray[Any],
    held_out: NDArray[np.bool_],
    test: Any,
    cs: Sequence[float],
    *,
    decades: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Probe:
    """Choose C on held-out training rows, refit on all training rows, predict the test rows.

    Args:
        train: Training features (N, D): array, tensor or `RowSource`.
        labels: (N,) labels.
        held_out: (N,) mask of the rows that choose C.
        test: Test features (N_test, D).
        cs: Grid of C; of equally good values the smallest is taken.
        decades: How far the grid may be extended; see :func:`search_grid`.
        progress: Called with one line per step of the solver.

    Raises:
        AnalysisError: On unfit labels, C or features.
    """

    def judge(values: list[float]) -> NDArray[np.float64]:
        return held_out_accuracies(train, labels, held_out, values, progress=progress)

    grid, accuracies = search_grid({"": judge}, cs, decades=decades)
    validation = accuracies[""]
    c = float(grid[validation.argmax()])
    predictions = L2SVM(C=c, progress=progress).fit(train, labels).predict(test)
    return Probe(c, grid, validation, predictions)


def held_out_draws(
    train: Any,
    labels: NDArray[Any],
    held_out: NDArray[np.bool_],
    draws: Sequence[NDArray[np.int64]],
    cs: Sequence[float],
    *,
    products: dict[int, torch.Tensor] | None = None,
    progress: Callable[[str], None] | None = None,
) -> NDArray[np.float64]:
    """Return the accuracy (draws, G) on held-out training rows of L2-SVMs fitted to few rows, for each C.

    Arguments are those of :func:`few_label_probe`, and ``products`` of `fit_draws`, for a grid that goes on.

    Raises:
        ValueError: If a draw contains a held-out row: its label would choose the C that it is fitted with.
    """
    _check_draws(draws, held_out)
    rows = np.flatnonzero(held_out)
    target = SomeRows(as_rows(train), rows)
    fits = fit_draws(train, labels, draws, cs, target, tol=_CHOOSING_TOLERANCE, products=products, progress=progress)
    accuracies: NDArray[np.float64] = (fits.predictions == labels[rows]).mean(axis=2)
    return accuracies


def predict_draws(
    train: Any,
    labels: NDArray[Any],
    test: Any,
    draws: Sequence[NDArray[np.int64]],
    c: float,
    *,
    progress: Callable[[str], None] | None = None,
) -> NDArray[Any]:
    """Return the classes (draws, N_test) that L2-SVMs fitted to few rows predict for the test rows."""
    predictions: NDArray[Any] = fit_draws(train, labels, draws, [c], test, progress=progress).predictions[:, 0]
    return predictions


def few_label_probe(
    train: Any,
    labels: NDArray[Any],
    held_out: NDArray[np.bool_],
    test: Any,
    test_labels: NDArray[Any],
    choosing: Sequence[NDArray[np.int64]],
    tested: Sequence[NDArray[np.int64]],
    cs: Sequence[float],
    *,
    decades: int = 0,
    progress: Callable[[str], None] | None = None,
) -> FewLabelProbe:
    """Choose C by the mean held-out accuracy over some draws, then test other draws with it.

    The protocol of arXiv 1511.06434, section 5.2, as in the authors' code.

    Args:
        train: Training features (N, D): array, tensor or `RowSource`.
        labels: (N,) labels.
        held_out: (N,) mask of the rows that choose C; no draw may hold one of them.
        test: Test features (N_test, D).
        test_labels: (N_test,) labels.
        choosing: Row indices of each draw that helps to choose C.
        tested: Row indices of each draw that is tested.
        cs: Grid of C; of equally good values the smallest is taken.
        decades: How far the grid may be extended; see :func:`search_grid`.
        progress: Called with one line per draw.

    Raises:
        ValueError: If a draw contains a held-out row: its label would choose the C that it is fitted with.
        AnalysisError: On unfit labels, C or features.
    """
    _check_draws(tested, held_out)

    products: dict[int, torch.Tensor] = {}

    def judge(values: list[float]) -> NDArray[np.float64]:
        return held_out_draws(train, labels, held_out, choosing, values, products=products, progress=progress)

    grid, accuracies = search_grid({"": judge}, cs, decades=decades)
    accuracy = accuracies[""]
    c = float(grid[accuracy.mean(axis=0).argmax()])
    predictions = predict_draws(train, labels, test, tested, c, progress=progress)
    return FewLabelProbe(c, grid, accuracy, predictions, (predictions == test_labels).mean(axis=1).tolist())


def _check_draws(draws: Sequence[NDArray[np.int64]], held_out: NDArray[np.bool_]) -> None:
    for draw in draws:
        if held_out[draw].any():
            msg = f"draws must not contain held-out rows, but row {draw[held_out[draw]][0]} is one"
            raise ValueError(msg)
