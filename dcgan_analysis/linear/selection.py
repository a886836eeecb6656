"""Probing features with an L2-SVM: C chosen on held-out rows, refitted on all, the test rows used once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.linear.draws import fit_draws
from dcgan_analysis.linear.path import l2svm_path
from dcgan_analysis.linear.rows import as_rows, gather
from dcgan_analysis.linear.svm import L2SVM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["FewLabelProbe", "Probe", "few_label_probe", "probe"]


# Relative error of the objective at which a fit is good enough to choose C by; refits go to the solver's own tolerance.
_CHOOSING_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Probe:
    """What an L2-SVM found on one set of features.

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
    """What L2-SVMs on few labels found.

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


def probe(
    train: Any,
    labels: NDArray[Any],
    held_out: NDArray[np.bool_],
    test: Any,
    cs: Sequence[float],
    *,
    progress: Callable[[str], None] | None = None,
) -> Probe:
    """Choose C on held-out training rows, refit on all training rows, predict the test rows.

    Args:
        train: Training features (N, D): array, tensor or `RowSource`.
        labels: (N,) labels.
        held_out: (N,) mask of the rows that choose C.
        test: Test features (N_test, D).
        cs: Grid of C; of equally good values the smallest is taken.
        progress: Called with one line per step of the solver.

    Raises:
        AnalysisError: On unfit labels, C or features.
    """
    grid = np.sort(np.asarray(cs, dtype=np.float64))
    path = l2svm_path(train, labels, grid.tolist(), sample_weight=~held_out, tol=_CHOOSING_TOLERANCE, progress=progress)
    validation = (path.predict(held_out) == labels[held_out]).mean(axis=1)
    c = float(grid[validation.argmax()])
    predictions = L2SVM(C=c, progress=progress).fit(train, labels).predict(test)
    return Probe(c, grid, validation, predictions)


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
        progress: Called with one line per draw.

    Raises:
        ValueError: If a draw holds a held-out row: its labels would choose the C they are judged by.
        AnalysisError: On unfit labels, C or features.
    """
    for draw in (*choosing, *tested):
        if held_out[draw].any():
            msg = f"draws must not hold held-out rows, found row {draw[held_out[draw]][0]}"
            raise ValueError(msg)
    grid = np.sort(np.asarray(cs, dtype=np.float64))
    judges = np.flatnonzero(held_out)
    judging = gather(as_rows(train), [judges])[0]
    fits = fit_draws(train, labels, choosing, grid.tolist(), judging, tol=_CHOOSING_TOLERANCE, progress=progress)
    accuracy = (fits.predictions == labels[judges]).mean(axis=2)
    c = float(grid[accuracy.mean(axis=0).argmax()])
    predictions = fit_draws(train, labels, tested, [c], test, progress=progress).predictions[:, 0]
    return FewLabelProbe(c, grid, accuracy, predictions, (predictions == test_labels).mean(axis=1).tolist())
