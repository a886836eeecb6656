"""The L2-SVM as a scikit-learn estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.path import MAX_ITER, TOLERANCE, l2svm_path, predict_classes
from dcgan_analysis.linear.rows import ArrayRows, RowSource, as_rows, check_finite
from dcgan_analysis.linear.solve import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray


class L2SVM(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear support vector machine with squared hinge loss, one class against the rest.

    For each class it minimises liblinear's objective, that of scikit-learn's ``LinearSVC(loss="squared_hinge")``,

        0.5 |(w, b)|^2 + C sum_i s_i max(0, 1 - y_i f(x_i))^2,   f(x) = w.x + intercept_scaling b.

    Features may be a `RowSource` larger than memory; all classes are solved at once.

    Args:
        C: Weight of the loss, > 0.
        fit_intercept: Whether to learn an intercept.
        intercept_scaling: Value of the constant column that stands for it, > 0.
        tol: Relative error of the objective, estimated, at which to stop.
        max_iter: Largest number of steps; each takes one pass over the data.
        solver: ``"primal"`` (passes over the data), ``"dual"`` (through the Gram matrix), or
            ``"auto"``: dual where there are fewer rows than columns, and at most 8,192.
        device: Where products are computed; other devices than ``"cpu"`` have not been tested.
        progress: Called with one line per step.

    Attributes:
        coef_: (K, D); K is 1 for two classes.
        intercept_: (K,).
        classes_: Class labels.
        n_iter_: Largest number of steps that a class took.
        duality_gap_: (K,) duality gap, relative to the objective: a bound on its error.
        objective_: (K,) objective reached.
        n_features_in_: D.

    Example:
        >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), ["cat", "cat", "dog", "dog"]
        >>> L2SVM(C=1e-3).fit(X, y).predict([[-3.0], [3.0]]).tolist()
        ['cat', 'dog']
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        tol: float = TOLERANCE,
        max_iter: int = MAX_ITER,
        solver: str = "auto",
        device: str = "cpu",
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver
        self.device = device
        self.progress = progress

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> L2SVM:
        """Fit the machine.

        Args:
            X: Features (N, D): array, tensor or `RowSource`.
            y: (N,) class labels.
            sample_weight: (N,) factors of C, not negative.

        Returns:
            The estimator.

        Raises:
            ValueError: On invalid arrays, as scikit-learn's estimators.
            ParameterError: On invalid parameters; it is a ValueError too.
            AnalysisError: On invalid tensors or row sources.
        """
        self._check_parameters()
        if isinstance(X, RowSource | torch.Tensor):
            rows, labels = as_rows(X), np.asarray(y)
            self.n_features_in_ = rows.shape[1]
        else:
            X, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_all_finite=False)
            rows = ArrayRows(X)
            check_finite(rows)
        check_classification_targets(labels)
        if sample_weight is not None and not isinstance(X, RowSource | torch.Tensor):
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        path = l2svm_path(
            rows,
            labels,
            [self.C],
            sample_weight=sample_weight,
            fit_intercept=self.fit_intercept,
            intercept_scaling=self.intercept_scaling,
            tol=self.tol,
            max_iter=self.max_iter,
            solver=self.solver,
            device=self.device,
            progress=self.progress,
        )
        self.classes_ = path.classes
        self.coef_, self.intercept_ = path.coef[0], path.intercept[0]
        self.objective_ = path.objective[0]
        self.duality_gap_ = path.gap[0]
        self.n_iter_ = int(path.iterations.max())
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the decision values, (N, K), or (N,) for two classes, block by block.

        Args:
            X: Features (N, D): array, tensor or `RowSource`.
        """
        scores = self._scores(X)
        return scores[0] if len(scores) == 1 else np.ascontiguousarray(scores.T)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the predicted class of each row, (N,).

        Args:
            X: Features (N, D): array, tensor or `RowSource`.
        """
        return predict_classes(self._scores(X), self.classes_)

    def _scores(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        if not isinstance(X, RowSource | torch.Tensor):
            X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        rows = as_rows(X)
        if rows.shape[1] != self.n_features_in_:
            msg = (
                f"Features have {rows.shape[1]} columns, but this L2SVM was fitted on {self.n_features_in_}; extract "
                "them with the same taps."
            )
            raise AnalysisError(msg)
        design = Design(rows, 1.0, self.device)
        coef = np.concatenate([self.coef_, self.intercept_[:, None]], axis=1)
        scores: NDArray[Any] = design.exact_scores(torch.from_numpy(coef).to(design.device, design.dtype)).cpu().numpy()
        return scores

    def _check_parameters(self) -> None:
        if not 0 < self.C < np.inf:
            msg = f"C is {self.C}; it must be a number > 0."
            raise ParameterError(msg)
        if self.fit_intercept and not self.intercept_scaling > 0:
            msg = f"intercept_scaling is {self.intercept_scaling}; it must be > 0."
            raise ParameterError(msg)
