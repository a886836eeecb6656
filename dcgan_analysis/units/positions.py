"""Logistic regression on positions of feature maps: does this position show the object?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan_analysis.core.statistics import percentile_interval
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PositionProbe", "fit_linear", "fit_positions", "grouped_auc"]

_RESAMPLES = 400


@dataclass(frozen=True)
class PositionProbe:
    """A fitted probe and what it says of positions it was not fitted on.

    Attributes:
        weights: (D,) on the features as they are; positive: more of it speaks for the object.
        bias: Its score is ``features @ weights + bias``; above 0 the object is likelier than not.
        held_out: (P,) score of each position by a probe fitted without any position of its group.
    """

    weights: NDArray[np.float64]
    bias: float
    held_out: NDArray[np.float64]

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Score features (..., D)."""
        scores: NDArray[np.float64] = features @ self.weights + self.bias
        return scores


def fit_positions(
    features: NDArray[np.floating],
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    c: float = 1.0,
    folds: int = 5,
) -> PositionProbe:
    """Fit the probe on all positions, and once for each fold of groups to score the fold's own positions.

    Features are brought to mean 0 and variance 1 for the fit, which leaves the signs of the weights as they are.

    Args:
        features: (P, D).
        labels: (P,) whether the position shows the object.
        groups: (P,) the image that a position is of; images are held out whole.
        c: Inverse strength of the L2 penalty, as in scikit-learn's ``LogisticRegression``.
        folds: Number of folds; fewer where there are fewer images.

    Raises:
        AnalysisError: If one kind of positions is absent, or all are of one image.

    Example:
        >>> x = np.array([[0.0], [1.0], [0.1], [0.9]])
        >>> probe = fit_positions(x, x[:, 0] > 0.5, np.array([0, 0, 1, 1]))
        >>> bool(probe.weights[0] > 0), (probe.held_out > 0).tolist()
        (True, [False, True, False, True])
    """
    from sklearn.model_selection import GroupKFold

    images = len(np.unique(groups))
    if images < 2 or labels.all() or not labels.any():
        msg = (
            f"The probe needs positions inside and outside of boxes on at least two samples, got {int(labels.sum())} "
            f"inside and {int((~labels).sum())} outside on {images}. Draw more boxes."
        )
        raise AnalysisError(msg)
    held_out = np.zeros(len(labels))
    for train, test in GroupKFold(min(folds, images)).split(features, labels, groups):
        if labels[train].any() and not labels[train].all():
            weights, bias = fit_linear(features[train], labels[train], c)
            held_out[test] = features[test] @ weights + bias
    weights, bias = fit_linear(features, labels, c)
    return PositionProbe(weights, bias, held_out)


def fit_linear(
    features: NDArray[np.floating], labels: NDArray[np.bool_], c: float
) -> tuple[NDArray[np.float64], float]:
    """Return weights (D,) and bias of a logistic regression; arguments as for ``fit_positions``.

    Raises:
        AnalysisError: If one kind of positions is absent.
    """
    from sklearn.linear_model import LogisticRegression

    if labels.all() or not labels.any():
        msg = "Some boxed samples have no position inside boxes, or none outside. Draw more boxes, or other ones."
        raise AnalysisError(msg)
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    # A map that never fires says nothing: its weight stays 0.
    scale[scale < 1e-9] = np.inf
    model = LogisticRegression(C=c, max_iter=1000).fit((features - mean) / scale, labels)
    weights = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - mean @ weights)


def grouped_auc(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[np.int64], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its 95 % bootstrap interval over groups (percentiles).

    Example:
        >>> scores = np.array([0.1, 0.9, 0.2, 0.8])
        >>> grouped_auc(scores > 0.5, scores, np.array([0, 0, 1, 1]), np.random.default_rng(0))
        (1.0, 1.0, 1.0)
    """
    ones = np.ones(len(labels))
    ranks = np.unique(scores, return_inverse=True)[1]
    value = _auc(labels, ranks, ones)
    names, inverse = np.unique(groups, return_inverse=True)
    drawn = []
    for _ in range(_RESAMPLES):
        weight = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[inverse]
        if weight[labels].any() and weight[~labels].any():
            drawn.append(_auc(labels, ranks, weight))
    return value, *percentile_interval(value, drawn)


def _auc(labels: NDArray[np.bool_], ranks: NDArray[np.int64], weight: NDArray[Any]) -> float:
    """Share of pairs in which the positive ranks higher, ties half (Mann-Whitney); each position counts ``weight``."""
    positive, negative = (np.bincount(ranks, weight * side) for side in (labels, ~labels))
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))
