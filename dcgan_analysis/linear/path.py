"""L2-SVMs of all classes for a whole grid of C in one solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.descent import Problems
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.rows import as_rows
from dcgan_analysis.linear.solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-5
MAX_ITER = 1000


class OneClassError(AnalysisError, ValueError):
    """Labels hold a single class (also a ``ValueError``, as scikit-learn expects)."""


@dataclass(frozen=True)
class SVMPath:
    """L2-SVMs for every C of a grid; K is 1 instead of 2 for two classes, as in scikit-learn.

    Attributes:
        cs: (G,) the grid.
        classes: The class labels, sorted.
        coef: (G, K, D) float32 (float64 for float64 features).
        intercept: (G, K).
        scores: (G, K, N) decision values of all rows, held-out ones included.
        objective: (G, K) liblinear's objective.
        error: (G, K) estimated distance of the objective to the optimum, relative.
        gap: (G, K) relative duality gap: an upper bound of the error, often very loose.
        iterations: (G, K) steps.
        passes: Passes over the data, all problems together.
    """

    cs: NDArray[np.float64]
    classes: NDArray[Any]
    coef: NDArray[Any]
    intercept: NDArray[Any]
    scores: NDArray[Any]
    objective: NDArray[np.float64]
    error: NDArray[np.float64]
    gap: NDArray[np.float64]
    iterations: NDArray[np.int64]
    passes: float

    def predict(self, rows: NDArray[Any] | slice = slice(None)) -> NDArray[Any]:
        """Return the predicted classes (G, n) of some of the rows, for every C."""
        return np.stack([predict_classes(scores[:, rows], self.classes) for scores in self.scores])


def l2svm_path(
    X: Any,
    y: ArrayLike,
    Cs: Sequence[float],
    *,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = True,
    intercept_scaling: float = 1.0,
    tol: float = TOLERANCE,
    max_iter: int = MAX_ITER,
    solver: str = "auto",
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> SVMPath:
    """Fit L2-SVMs, one class against the rest, for every C, in shared passes over the data.

    Args:
        X: Features (N, D): array, tensor or `RowSource`.
        y: (N,) class labels of any sortable type.
        Cs: Grid of C, each > 0.
        sample_weight: (N,), not negative; ones by default. Rows of weight 0 are held out: not fitted, but scored.
        fit_intercept: Whether to append a constant column (regularised like any other).
        intercept_scaling: Its value.
        tol: Relative error of each objective, estimated, at which to stop.
        max_iter: Largest number of steps, each of one pass over the data.
        solver: ``"primal"``, ``"dual"`` (through the Gram matrix) or ``"auto"``.
        device: Where to compute.
        progress: Called with one line per step.

    Returns:
        Coefficients, decision values of all rows, objectives and their accuracy.

    Raises:
        AnalysisError: On bad labels, weights, C or solver, and NaN or infinities in X.

    Example:
        >>> X, y = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 0, 1, 1, 1])
        >>> held_out = np.array([True, False, False, False, False, True])
        >>> path = l2svm_path(X, y, [0.01, 1.0], sample_weight=~held_out)
        >>> (path.predict(held_out) == y[held_out]).mean(axis=1).tolist()
        [1.0, 1.0]
    """
    rows = as_rows(X)
    scaling = float(intercept_scaling) if fit_intercept else 0.0
    design = Design(rows, scaling, device)
    weights = _weights(sample_weight, rows.shape[0])
    classes, codes = classes_and_codes(np.asarray(y), weights > 0)
    problems = as_problems(design, codes, weights, Cs, len(classes))
    state = solve(design, problems, solver=solver, tol=tol, max_iter=max_iter, progress=progress)
    grid = len(Cs)

    def table(values: torch.Tensor) -> NDArray[Any]:
        array: NDArray[Any] = values.reshape(grid, -1, *values.shape[1:]).cpu().numpy()
        return array

    gap = 0.5 * state.gradient.double().square().sum(1) / state.objective.clamp_min(1e-300)
    return SVMPath(
        cs=np.asarray(Cs, dtype=np.float64),
        classes=classes,
        coef=table(state.coef[:, :-1]),
        intercept=table(state.coef[:, -1] * scaling),
        scores=table(state.scores),
        objective=table(state.objective),
        error=table(state.error),
        gap=table(gap),
        iterations=table(state.steps),
        passes=design.passes,
    )


def classes_and_codes(labels: NDArray[Any], used: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted classes of the used rows, and the index of each row's class.

    Args:
        labels: (N,) labels.
        used: (N,) rows that count; others may have any label.

    Returns:
        (K,) classes and (N,) codes, -1 for labels that are not among the classes.

    Raises:
        OneClassError: If there are fewer than two classes.
        AnalysisError: If the numbers of labels and rows differ.
    """
    if labels.shape != used.shape:
        msg = f"There are labels of shape {labels.shape} for {len(used)} rows; give one per row."
        raise AnalysisError(msg)
    classes = np.unique(labels[used])
    if len(classes) < 2:
        msg = (
            f"An L2-SVM needs at least 2 classes; the training rows hold "
            f"{len(classes)} class{'' if len(classes) else 'es'}: {', '.join(map(str, classes)) or 'none'}."
        )
        raise OneClassError(msg)
    codes = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    return classes, np.where(classes[codes] == labels, codes, -1)


def as_problems(
    design: Design,
    codes: NDArray[np.int64],
    weights: NDArray[np.float64],
    cs: Sequence[float],
    classes: int,
) -> Problems:
    """Return the problems of all classes for every C, C outermost; one problem for two classes.

    Raises:
        AnalysisError: If the grid is empty or a C is not a positive number.
    """
    if not len(cs) or not all(0 < value < np.inf for value in cs):
        msg = f"C is {', '.join(map(str, cs)) or 'an empty grid'}; each C must be a number > 0."
        raise AnalysisError(msg)
    positive = torch.arange(classes) if classes > 2 else torch.tensor([1])
    device, dtype = design.device, design.dtype
    return Problems(
        labels=torch.from_numpy(codes).to(device),
        weights=torch.from_numpy(weights).to(device, dtype),
        positive=positive.repeat(len(cs)).to(device),
        c=torch.tensor(cs, dtype=dtype, device=device).repeat_interleave(len(positive)),
    )


def predict_classes(scores: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Return the classes (n,) that decision values (K, n) choose; K is 1 for two classes."""
    best = scores.argmax(0) if len(scores) > 1 else (scores[0] > 0).astype(np.int64)
    predicted: NDArray[Any] = classes[best]
    return predicted


def _weights(sample_weight: ArrayLike | None, rows: int) -> NDArray[np.float64]:
    weights = np.ones(rows) if sample_weight is None else np.array(sample_weight, dtype=np.float64)
    if weights.shape != (rows,) or not np.isfinite(weights).all() or (weights < 0).any():
        msg = (
            f"sample_weight has shape {weights.shape} and minimum {weights.min(initial=0)}; it must hold one finite "
            f"number >= 0 for each of the {rows} rows."
        )
        raise AnalysisError(msg)
    return weights
