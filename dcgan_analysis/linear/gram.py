"""Fewer rows than columns: the squared hinge solved through the Gram matrix.

With ``w = a @ X`` and ``G = X X.T`` (n, n), scores are ``a @ G`` and the gradient is ``a - dual(scores)``. Where few
rows end inside the margin, Newton's method factors the part of G that belongs to them, class by class, and reaches the
optimum in some five steps. Where many do, or many problems share a C, the Hessian with every row inside,
``I + 2 C X.T X``, acts as ``I + 2 C G``: its one Cholesky factor preconditions the conjugate gradients of `descent` for
all classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dcgan_analysis.core.device import has_bfloat16_units
from dcgan_analysis.core.memory import memory_share
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.linear.descent import Problems, line_search, within_gap
from dcgan_analysis.linear.newton import combine_rows, newton_on_gram
from dcgan_analysis.linear.products import gram_product, residuals_are_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dcgan_analysis.linear.design import Design

# Rows per block of the factor. Its diagonal blocks are inverted, so that solves are products with whole panels: five
# times as fast as LAPACK's triangular solves with ten right-hand sides.
_FACTOR_BLOCK = 256
# Rows per block of the Gram matrix in bfloat16: products of this size ran fastest, three times as fast as halves of it.
_GRAM_BLOCK = 1280
_PIECE = 64
# In float32 smaller blocks waste less above the diagonal (measured at 5,000 x 28,672: 320 rows 6.0 s, 640 4.9 s, 1,280
# 5.8 s). So many bytes of rows in float32 are held at once.
_FLOAT_BLOCK = 640
_HELD_BYTES = 1 << 29
# The decrease over so many steps, beside that over as many before, gives the error estimate.
_WINDOW = 4
# How often the iteration is restarted from recomputed scores where rounding exceeds the tolerance.
_RENEWALS = 3
# Conjugate gradients, so many steps of which are tried, cost about as much as factors whose work, relative to that of
# all rows, sums to this. Of problems without a start this share of the rows is taken to be inside.
# How many are is seen after the first steps.
_SHARED_STEPS, _FIRST_STEPS, _FACTOR_WORK, _USUAL_SHARE = 40, 6, 0.36, 0.4
# Newton's method pays up to this share of the rows inside the margin; parts of fewer rows than these are quick anyway.
_MOST_INSIDE, _LEAST_ROWS = 0.5, 512
# The duality gap, relative to the error asked for, at which Newton's method ends, as the dual is rounded to float32
# afterwards; and relative to the objective, at which a part of the rows is solved well enough.
_NEWTON_SHARE, _PART_TOLERANCE = 0.5, 1e-2


@dataclass(frozen=True)
class GramFit:
    """Solutions of M problems as combinations of rows.

    Attributes:
        dual: (M, N) factors of the rows: the coefficients are ``dual @ X``.
        objective: (M,) float64.
        error: (M,) estimated distance of the objective to the optimum, relative.
        steps: (M,) int64.
    """

    dual: torch.Tensor
    objective: torch.Tensor
    error: torch.Tensor
    steps: torch.Tensor


def solve_gram(
    design: Design,
    problems: Problems,
    *,
    tol: float,
    max_iter: int,
    product: torch.Tensor | None = None,
    progress: Callable[[str], None] | None = None,
) -> GramFit:
    """Solve M problems through the Gram matrix of the rows with a weight above 0.

    Problems of one C are solved together, and each C starts at the solution of the one before.

    Args:
        design: The data.
        problems: M problems.
        tol: Relative error of the objective.
        max_iter: Largest number of steps per problem.
        product: The Gram matrix, where it is known.
        progress: Called with one line per C.
    """
    used = problems.weights.nonzero().squeeze(1)
    product = gram(design, used) if product is None else product
    inner = Problems(problems.labels[used], problems.weights[used], problems.positive, problems.c)
    dual = product.new_zeros(len(problems), design.shape[0])
    objective, error = torch.empty(2, len(problems), dtype=torch.float64, device=product.device)
    steps = torch.zeros(len(problems), dtype=torch.int64, device=product.device)
    start: dict[int, torch.Tensor] = {}
    for c in dict.fromkeys(problems.c.tolist()):
        index = (problems.c == c).nonzero().squeeze(1)
        same_c = inner.take(index)
        classes = same_c.positive.tolist()
        solution = torch.stack([start.get(k, product.new_zeros(len(product))) for k in classes])
        solution, objective[index], error[index], steps[index] = _solve_one_c(product, same_c, solution, tol, max_iter)
        start = dict(zip(classes, solution, strict=True))
        dual[index[:, None], used[None]] = solution
        if progress is not None:
            worst, most = float(error[index].max()), int(steps[index].max())
            progress(f"L2-SVM, C = {c:g}: {most} steps on the Gram matrix, error {worst:.1e}")
    return GramFit(dual, objective, error, steps)


def _solve_one_c(
    product: torch.Tensor, problems: Problems, dual: torch.Tensor, tol: float, max_iter: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return dual (M, n), objective, error and steps (M,) of problems with the same C, started at ``dual``.

    A few conjugate gradients where one factor of all rows is cheaper than those of the rows inside the margin of each
    problem; Newton's method for what they leave; conjugate gradients again where it has too many rows inside.
    """
    scale = float(2 * problems.c[0] * problems.weights.max())
    objective = torch.full((len(problems),), torch.inf, dtype=torch.float64, device=dual.device)
    error, steps = objective.clone(), torch.zeros(len(problems), dtype=torch.int64, device=dual.device)
    factor = None
    if prefers_one_factor(product, problems, dual):
        factor = ShiftedFactor(product, scale)
        few = min(max_iter, _SHARED_STEPS)
        dual, objective, error, steps = _conjugate(product, factor, problems, dual, tol, few, newton_is_next=True)
    left = (~(error <= tol)).nonzero().squeeze(1)
    if len(left):
        short = problems.take(left)
        solution, least, count = _by_margin(product, short, dual[left].double(), tol, max_iter)
        own = solution.to(dual.dtype)
        value = _objective(short, own, _scores(own, product))
        dual[left], objective[left], steps[left] = own, value, steps[left] + count
        error[left] = (value - least).clamp_min(0) / value.clamp_min(1e-300)
        left = left[~(error[left] <= tol)]
    if len(left):
        factor = factor or ShiftedFactor(product, scale)
        short, own = problems.take(left), dual[left]
        for _ in range(_RENEWALS):
            own, objective[left], error[left], count = _conjugate(product, factor, short, own, tol, max_iter)
            steps[left] += count
            # Rounding adds up over many steps; a restart recomputes the scores.
            if (error[left] <= tol).all() or int(steps[left].max()) >= max_iter:
                break
        dual[left] = own
    return dual, objective, error, steps


def prefers_one_factor(product: torch.Tensor, problems: Problems, dual: torch.Tensor) -> bool:
    """Return whether the factor of all rows costs less than those of the rows inside the margin of each problem."""
    if len(product) < _LEAST_ROWS:
        return False
    if dual.any():
        return _many_are_inside(problems, _scores(dual, product))
    return len(problems) * _USUAL_SHARE**3 > _FACTOR_WORK


def _many_are_inside(problems: Problems, scores: torch.Tensor) -> bool:
    inside = (problems.hinge(scores) > 0).to(scores.dtype).mean(1)
    return float(inside.pow(3).sum()) > _FACTOR_WORK


def _by_margin(
    product: torch.Tensor, problems: Problems, dual: torch.Tensor, tol: float, max_iter: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Solve problems by Newton's method, those with too many rows inside the margin for that to pay excepted.

    Returns dual (M, n) float64, lower bounds of the objectives (the values of the dual problems) and the numbers of
    steps.

    Without a start every row is inside. Then a part of the rows is solved first, of twice as many next, and so on: on
    which side of the margin most of the rows are that join is known by then.
    """
    exact = Problems(problems.labels, problems.weights.double(), problems.positive, problems.c.double())
    strides = [1]
    while not dual.any() and len(product) // (2 * strides[0]) >= _LEAST_ROWS:
        strides.insert(0, 2 * strides[0])
    part = dual[:, :: strides[0]]
    for stride in strides:
        if part.shape[1] < len(range(0, len(product), stride)):
            wider = dual[:, ::stride].clone()
            wider[:, ::2] = part
            part = wider
        own = Problems(exact.labels[::stride], exact.weights[::stride], exact.positive, exact.c)
        size = part.shape[1]
        most = size if size < 2 * _LEAST_ROWS else int(size * _MOST_INSIDE)
        near = tol * _NEWTON_SHARE if stride == 1 else _PART_TOLERANCE
        rows = product[::stride, ::stride].contiguous()
        part, scores, gap, steps = newton_on_gram(rows, own, part, max_iter=max_iter, most=most, tol=near)
    return part, _objective(exact, part, scores) - gap, steps


def _conjugate(
    product: torch.Tensor,
    factor: ShiftedFactor,
    problems: Problems,
    dual: torch.Tensor,
    tol: float,
    max_iter: int,
    *,
    newton_is_next: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `_solve_one_c`, by conjugate gradients; those that Newton's method may follow end early where it is better."""
    scores = _scores(dual, product)
    gradient = dual - problems.dual(scores)
    preconditioned = factor.solve(gradient)
    # G @ preconditioned without multiplying, for (shift + scale G) preconditioned = gradient.
    image = (gradient - factor.shift * preconditioned) / factor.scale
    direction, change, slope = -preconditioned, -image, (gradient * image).sum(1, keepdim=True)
    history = [_objective(problems, dual, scores)]
    steps = torch.zeros(len(problems), dtype=torch.int64, device=dual.device)
    error = torch.full_like(history[0], torch.inf)
    while int(steps[0]) < max_iter:
        length = line_search(
            problems, scores, change, along=(dual * change).sum(1), square=(direction * change).sum(1).clamp_min(0)
        )
        dual, scores, old = dual + length * direction, scores + length * change, gradient
        gradient = dual - problems.dual(scores)
        preconditioned = factor.solve(gradient)
        image = (gradient - factor.shift * preconditioned) / factor.scale
        before, slope = slope, (gradient * image).sum(1, keepdim=True)
        beta = (slope - (old * image).sum(1, keepdim=True)) / before.clamp_min(torch.finfo(slope.dtype).tiny)
        # As for image: a product of the direction with G would be dearer, and in float32 less accurate.
        beta = beta.clamp_min(0)
        direction, change = beta * direction - preconditioned, beta * change - image
        uphill = (change * gradient).sum(1, keepdim=True) >= 0
        direction, change = torch.where(uphill, -preconditioned, direction), torch.where(uphill, -image, change)
        steps += 1
        if newton_is_next and int(steps[0]) == _FIRST_STEPS and not _many_are_inside(problems, scores):
            break
        history = [*history[-2 * _WINDOW :], _objective(problems, dual, scores)]
        value = history[-1].clamp_min(1e-300)
        error = _distance_to_optimum(history, 0.5 * slope.squeeze(1).double()) / value
        if (error <= tol).all() and (within_gap(error, _gap(gradient, product) / value) <= tol).all():
            break
    # Updated scores drift: recompute them for the reported numbers.
    scores = _scores(dual, product)
    objective = _objective(problems, dual, scores)
    drift = (objective - history[-1]).abs()
    gap = _gap(dual - problems.dual(scores), product)
    error = within_gap(torch.maximum(error * history[-1], drift), gap) / objective.clamp_min(1e-300)
    return dual, objective, error, steps


def _gap(residual: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Return the duality gap (M,) of problems whose dual is so far (M, n) from that of their scores."""
    return 0.5 * (residual.double() * _scores(residual, product).double()).sum(1).clamp_min(0)


def _scores(dual: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Return ``dual @ product``, (M, n), summed in float64: large terms of either sign nearly cancel."""
    return combine_rows(dual.double(), product).to(dual.dtype)


def _objective(problems: Problems, dual: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    loss = problems.hinge(scores).double().square() @ problems.weights.double()
    return 0.5 * (dual.double() * scores.double()).sum(1) + problems.c.double() * loss


def _distance_to_optimum(history: list[torch.Tensor], predicted: torch.Tensor) -> torch.Tensor:
    """Estimate how far objectives (M,) are from their optimum; infinity until 2 x _WINDOW steps are done.

    The decrease over the last steps continued as a geometric series, its ratio that to the decrease over as many steps
    before; at least the decrease that the quadratic model predicts.
    """
    if len(history) <= 2 * _WINDOW:
        return torch.full_like(predicted, torch.inf)
    first, middle, last = history[-1 - 2 * _WINDOW], history[-1 - _WINDOW], history[-1]
    recent, earlier = (middle - last).clamp_min(0), (first - middle).clamp_min(1e-300)
    ratio = (recent / earlier).clamp(0.1, 0.99)
    return torch.maximum(predicted, recent * ratio / (1 - ratio))


def gram(design: Design, used: torch.Tensor) -> torch.Tensor:
    """Return ``X X.T`` of the rows ``used`` (ascending), (n, n), intercept included.

    Only the lower triangle of blocks is multiplied. Values that bfloat16 can hold are multiplied in it, without loss of
    accuracy, where the device is fast at that. A matrix too large to hold in float32 is read block by block.
    """
    used = used.cpu()
    out = torch.empty(len(used), len(used), dtype=design.dtype, device=design.device)
    block = _GRAM_BLOCK
    halves = _in_bfloat16(design, torch.split(used, block))
    held = None
    if halves is None:
        block, held = _FLOAT_BLOCK, _held(design, used)

    def rows(start: int) -> torch.Tensor:
        if halves is not None:
            return halves[start // block]
        return _rows(design, used[start : start + block]) if held is None else held[start : start + block]

    def multiply(start: int, column: int) -> None:
        left = rows(start)
        tile = gram_product(left, left if column == start else rows(column))
        out[start : start + block, column : column + block] = tile
        out[column : column + block, start : start + block] = tile.T

    starts = range(0, len(used), block)
    tiles = [(start, column) for start in starts for column in starts if column <= start]
    for _ in parallel_map(lambda tile: multiply(*tile), tiles, device=design.device):
        pass
    out += design.intercept**2
    return design.checked(out)


def _held(design: Design, used: torch.Tensor) -> torch.Tensor | None:
    """Return all rows in the design's type; None where they would have to be copied and are too large for that."""
    in_memory = design.rows.dtype == design.dtype and design.device.type == "cpu" and _consecutive(used)
    if in_memory or len(used) * design.shape[1] * design.dtype.itemsize <= memory_share(2 * _HELD_BYTES) // 2:
        return _rows(design, used)
    return None


def _rows(design: Design, used: torch.Tensor) -> torch.Tensor:
    """Return rows without the intercept column in the design's type; consecutive ones are not copied."""
    if _consecutive(used):
        return design.rows.read(int(used[0]), int(used[-1]) + 1).to(design.device, design.dtype)
    return design.sample(used)[:, :-1]


def _consecutive(used: torch.Tensor) -> bool:
    return int(used[-1]) + 1 - int(used[0]) == len(used)


def _in_bfloat16(design: Design, parts: Sequence[torch.Tensor]) -> list[torch.Tensor] | None:
    """Return rows without the intercept column in bfloat16, or None where that would lose or cost something."""
    if not (has_bfloat16_units(design.device) and residuals_are_exact(design.device)):
        return None
    halves = []
    for part in parts:
        first, stop = int(part[0]), int(part[-1]) + 1
        rows = design.rows.read(first, stop).to(design.device) if _consecutive(part) else design.sample(part)[:, :-1]
        if rows.dtype == torch.bfloat16:
            halves.append(rows)
            continue
        half = torch.empty(rows.shape, dtype=torch.bfloat16, device=design.device)
        # Piece by piece: the way back to float32 then stays in the cache.
        for piece, target in zip(torch.split(rows, _PIECE), torch.split(half, _PIECE), strict=True):
            target.copy_(piece)
            if not torch.equal(target.to(piece.dtype), piece):
                return None
        halves.append(half)
    return halves


class ShiftedFactor:
    """``shift I + scale G`` for a positive semidefinite G, factored.

    Args:
        product: G, (n, n), symmetric.
        scale: Its factor, > 0.

    Attributes:
        scale: Its factor.
        shift: 1, or larger where rounding makes the matrix indefinite.

    Example:
        >>> product = torch.tensor([[2.0, 0.0], [0.0, 4.5]], dtype=torch.float64)
        >>> factor = ShiftedFactor(product, scale=2.0)
        >>> factor.solve(torch.tensor([[5.0, 20.0]], dtype=torch.float64)).round(decimals=9).tolist()
        [[1.0, 2.0]]
    """

    def __init__(self, product: torch.Tensor, scale: float) -> None:
        self.scale = scale
        self.shift = 1.0
        while True:
            shifted = product * scale
            shifted.diagonal().add_(self.shift)
            lower, failed = torch.linalg.cholesky_ex(shifted)
            if not int(failed):
                break
            least = torch.finfo(product.dtype).eps * scale * float(product.diagonal().mean())
            self.shift = max(2 * self.shift, least)
        self._lower = lower
        size = len(product)
        self._blocks = [slice(start, min(start + _FACTOR_BLOCK, size)) for start in range(0, size, _FACTOR_BLOCK)]
        self._inverses = [_inverse(lower[block, block]) for block in self._blocks]

    def solve(self, right: torch.Tensor) -> torch.Tensor:
        """Return ``right @ (shift I + scale G)^-1``, (M, n), for ``right`` (M, n)."""
        solution = right.clone()
        for block, inverse in zip(self._blocks, self._inverses, strict=True):
            before = slice(0, block.start)
            rest = solution[:, block] - solution[:, before] @ self._lower[block, before].T
            solution[:, block] = rest @ inverse.T
        for block, inverse in zip(reversed(self._blocks), reversed(self._inverses), strict=True):
            after = slice(block.stop, None)
            rest = solution[:, block] - solution[:, after] @ self._lower[after, block]
            solution[:, block] = rest @ inverse
        return solution


def _inverse(lower: torch.Tensor) -> torch.Tensor:
    """Return the inverse of a lower triangular matrix."""
    identity = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    inverse: torch.Tensor = torch.linalg.solve_triangular(lower, identity, upper=False)
    return inverse
