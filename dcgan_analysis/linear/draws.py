"""Few labels: many small draws from one large matrix, each solved through its Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan_analysis.core.memory import memory_share
from dcgan_analysis.core.parallel import parallel_map, worker_count
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.gram import GramFit, gram, solve_gram
from dcgan_analysis.linear.newton import fits_refinement, refine_newton
from dcgan_analysis.linear.path import MAX_ITER, TOLERANCE, as_problems, classes_and_codes, predict_classes
from dcgan_analysis.linear.rows import ArrayRows, RowSource, as_rows, gather
from dcgan_analysis.linear.solve import steps_before_newton, warn_if_short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dcgan_analysis.linear.descent import Problems

# Bytes of a group of draws, features and coefficients: each group costs a pass over the source and one over the rows
# to be scored.
_GROUP_BYTES = 1 << 29
# Bytes of Gram matrices that are kept for a grid that goes on: ten draws of 4,000 rows take 640 MB.
_KEPT_BYTES = 1 << 30
# Bytes for each element of a Gram matrix: itself and a factor.
_MATRICES = 8


@dataclass(frozen=True)
class DrawFits:
    """Predictions of L2-SVMs fitted to several draws.

    Attributes:
        cs: (G,) the grid.
        classes: Class labels, sorted.
        predictions: (draws, G, N_eval) class labels.
        objective: (draws, G, K); K is 1 for two classes.
        error: (draws, G, K) estimated distance to the optimum, relative.
    """

    cs: NDArray[np.float64]
    classes: NDArray[Any]
    predictions: NDArray[Any]
    objective: NDArray[np.float64]
    error: NDArray[np.float64]


def fit_draws(
    X: Any,
    y: ArrayLike,
    draws: Sequence[NDArray[np.int64]],
    Cs: Sequence[float],
    evaluate: Any,
    *,
    fit_intercept: bool = True,
    intercept_scaling: float = 1.0,
    tol: float = TOLERANCE,
    max_iter: int = MAX_ITER,
    device: torch.device | str = "cpu",
    products: dict[int, torch.Tensor] | None = None,
    progress: Callable[[str], None] | None = None,
) -> DrawFits:
    """Fit L2-SVMs on small draws of rows, for every C, and score other rows with all of them.

    Args:
        X: Features (N, D) to draw from: array, tensor or `RowSource`.
        y: (N,) class labels; every draw must hold every class that any of them holds.
        draws: Row indices of each draw, (n,) each.
        Cs: Grid of C, each > 0.
        evaluate: Features (N_eval, D) to score: array, tensor or `RowSource`.
        fit_intercept: Whether to learn an intercept.
        intercept_scaling: Value of the constant column that stands for it.
        tol: Relative error of each objective, estimated, at which to stop.
        max_iter: Largest number of steps per problem.
        device: Where to compute.
        products: Gram matrices of the draws by their numbers, from an earlier call with other C; those of this call
            are added, up to a gigabyte.
        progress: Called with one line per draw.

    Returns:
        Predictions of every draw and C, objectives and their accuracy.

    Raises:
        AnalysisError: On bad labels, draws or C, and NaN or infinities in the features.

    Example:
        >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
        >>> fits = fit_draws(X, y, [np.array([0, 2]), np.array([1, 3])], [0.1, 1.0], evaluate=X)
        >>> fits.predictions.shape  # draws, C, rows
        (2, 2, 4)
        >>> (fits.predictions == y).mean(axis=(0, 2)).tolist()
        [1.0, 1.0]
    """
    source, target = as_rows(X), as_rows(evaluate)
    labels = np.asarray(y)
    if not draws:
        msg = "There are 0 draws; at least 1 is needed."
        raise AnalysisError(msg)
    classes = np.unique(labels[np.concatenate(draws)])
    scaling = float(intercept_scaling) if fit_intercept else 0.0
    predictions, objective, error = [], [], []

    def solve(draw: tuple[int, torch.Tensor]) -> tuple[torch.Tensor, GramFit]:
        number, features = draw
        drawn, codes = classes_and_codes(labels[draws[number]], np.ones(len(features), dtype=bool))
        if len(drawn) < len(classes):
            msg = f"Draw {number} holds {len(drawn)} of {len(classes)} classes; draw every class in every draw."
            raise AnalysisError(msg)
        design = Design(ArrayRows(features), scaling, device)
        problems = as_problems(design, codes, np.ones(len(codes)), Cs, len(classes))
        if products is not None and number in products:
            return _solve_draw(design, problems, products[number], tol, max_iter)
        product = gram(design, torch.arange(len(features)))
        if products is not None and (number + 1) * product.nbytes <= memory_share(_KEPT_BYTES):
            products[number] = product
        return _solve_draw(design, problems, product, tol, max_iter)

    where = torch.device(device)
    for group in _groups(draws, source, len(Cs) * len(classes)):
        features = gather(source, [draws[number] for number in group])
        # Where each worker has a draw of its own, none waits for the others within one.
        solve_each = partial(parallel_map, device=where) if len(group) >= worker_count(where) else map
        coefs = []
        for number, (coef, fit) in zip(group, solve_each(solve, zip(group, features, strict=True)), strict=True):
            warn_if_short(fit.error, tol)
            coefs.append(coef)
            objective.append(fit.objective.reshape(len(Cs), -1).cpu().numpy())
            error.append(fit.error.reshape(len(Cs), -1).cpu().numpy())
            if progress is not None:
                progress(f"L2-SVM: draw {number + 1} of {len(draws)} solved")
        scores = Design(target, scaling, device).exact_scores(torch.cat(coefs)).cpu().numpy()
        for draw_scores in scores.reshape(len(group), len(Cs), -1, target.shape[0]):
            predictions.append(np.stack([predict_classes(c_scores, classes) for c_scores in draw_scores]))
    return DrawFits(
        cs=np.asarray(Cs, dtype=np.float64),
        classes=classes,
        predictions=np.stack(predictions),
        objective=np.stack(objective),
        error=np.stack(error),
    )


def _solve_draw(
    design: Design, problems: Problems, product: torch.Tensor, tol: float, max_iter: int
) -> tuple[torch.Tensor, GramFit]:
    """Solve the problems of one draw through its Gram matrix, those that stop short of ``tol`` by Newton's method.

    Returns:
        (M, D + 1) coefficients; objectives and errors.
    """
    most = steps_before_newton(*design.shape, max_iter)
    fit = solve_gram(design, problems, tol=tol, max_iter=most, product=product)
    coef = design.exact_adjoint(torch.where(torch.isfinite(fit.dual).all(1, keepdim=True), fit.dual, 0))
    short = (~(fit.error <= tol)).nonzero().squeeze(1)
    if len(short) and fits_refinement(*design.shape):
        exact = refine_newton(design, problems.take(short), coef[short], max_iter=max_iter)
        coef[short], fit.objective[short], fit.error[short] = exact.coef, exact.objective, exact.error
    return coef, fit


def _groups(draws: Sequence[NDArray[np.int64]], source: RowSource, columns: int) -> Iterator[list[int]]:
    """Yield consecutive draws whose features and coefficients fit `_GROUP_BYTES`, or half of the memory left."""
    group: list[int] = []
    size = 0
    for number, draw in enumerate(draws):
        draw_size = (len(draw) * source.dtype.itemsize + 4 * columns) * source.shape[1]
        rows = f"Fitting {len(draw):,} rows of {source.shape[1]:,} features"
        room = memory_share(2 * _GROUP_BYTES, least=draw_size + _MATRICES * len(draw) ** 2, what=rows) // 2
        if group and size + draw_size > room:
            yield group
            group, size = [], 0
        group.append(number)
        size += draw_size
    yield group
