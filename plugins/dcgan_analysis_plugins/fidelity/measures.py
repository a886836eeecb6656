"""Distances between two sets of feature rows, and what share of one lies among the other.

All are computed in float64 on rows (N, D), and equal those of torch-fidelity on the same rows (the tests compare them).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.neighbours import coverage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Measures",
    "among",
    "extrapolate",
    "frechet_distance",
    "kernel_distance",
    "measure",
    "vendi_score",
]

# The neighbourhoods of the papers.
_PRECISION_NEIGHBOUR, _DENSITY_NEIGHBOUR = 3, 5
LEAST = 8
"""Rows that every set must have at least."""


@dataclass(frozen=True)
class Measures:
    """What a set of generated rows is beside as many real ones.

    Attributes:
        frechet_distance: At least 0; 0 where mean and covariance are equal.
        kernel_distance: Unbiased: 0 on average, and sometimes below, where the distributions are equal.
        precision: Share of the generated rows that lie in the neighbourhood of a real one.
        recall: Share of the real rows that lie in the neighbourhood of a generated one.
        density: How many neighbourhoods of real rows a generated row lies in, over the expected number; 1 where the
            distributions are equal, and not bounded by it.
        coverage: Share of the real rows with a generated one in their neighbourhood.
        vendi_score: How many different rows the generated set amounts to, 1 to its size; rows less the mean of the real
            ones, since activations, none of them negative, are all alike to the cosine.
    """

    frechet_distance: float
    kernel_distance: float
    precision: float
    recall: float
    density: float
    coverage: float
    vendi_score: float

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the measures, in order."""
        return [one.name for one in fields(cls)]


def measure(real: Tensor, generated: Tensor) -> Measures:
    """Measure generated rows (N, D) against real ones (N, D).

    Raises:
        AnalysisError: If there are fewer than 8 rows, or a value is not finite.
    """
    real, generated = real.double(), generated.double()
    for name, rows in (("real", real), ("generated", generated)):
        if len(rows) < LEAST:
            msg = f"Fidelity needs at least {LEAST} {name} images, got {len(rows)}. Raise the setting 'samples'."
            raise AnalysisError(msg)
        if not bool(torch.isfinite(rows).all()):
            msg = f"Features of {name} images are not finite. Choose another judge."
            raise AnalysisError(msg)
    return Measures(
        frechet_distance=frechet_distance(real, generated),
        kernel_distance=kernel_distance(real, generated),
        precision=float(among(real, generated).double().mean()),
        recall=float(among(generated, real).double().mean()),
        density=_density(real, generated),
        coverage=float(coverage(real, generated, _DENSITY_NEIGHBOUR).double().mean()),
        vendi_score=vendi_score(generated - real.mean(0)),
    )


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Fréchet distance of the normal distributions with mean and covariance of two sets of rows.

    ``|m - n|^2 + tr(S + T - 2 (S T)^(1/2))`` (Dowson and Landau 1982, Journal of Multivariate Analysis 12:450; for
    Inception's features, and these only, called FID: Heusel et al. 2017, arXiv 1706.08500). Estimated from few rows it
    is too large.

    Args:
        a: (N, D), N at least 2.
        b: (M, D), M at least 2.

    Example:
        >>> a = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
        >>> round(frechet_distance(a, a + 3), 6), round(frechet_distance(a, 2 * a), 6)
        (9.0, 3.0)
    """
    difference = a.mean(0) - b.mean(0)
    left, right = _factor(a), _factor(b)
    # S = L'L, T = R'R: the roots of the eigenvalues of S T are the singular values of L R', which stay real.
    roots = torch.linalg.svdvals(left @ right.T)
    spread = left.square().sum() + right.square().sum() - 2 * roots.sum()
    return max(0.0, float(difference.square().sum() + spread))


def _factor(rows: Tensor) -> Tensor:
    """Return F of at most D rows with F'F the covariance of the rows."""
    factor: Tensor = torch.linalg.qr((rows - rows.mean(0)) / (len(rows) - 1) ** 0.5, mode="r").R
    return factor


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy under the kernel ``(x y / D + 1)^3``.

    For Inception's features, and these only, called KID (Binkowski et al. 2018, arXiv 1801.01401).

    Args:
        a: (N, D), N at least 2.
        b: (M, D), M at least 2.

    Example:
        >>> a = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        >>> kernel_distance(a, torch.tensor([[0.0], [1.0]], dtype=torch.float64))
        -3.5
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        products: Tensor = (x @ y.T / x.shape[1] + 1) ** 3
        return products

    def within(x: Tensor) -> Tensor:
        products = kernel(x, x)
        return (products.sum() - products.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def _radii(rows: Tensor, k: int) -> Tensor:
    """Distance of each row to its k-th nearest other one."""
    return torch.cdist(rows, rows).fill_diagonal_(torch.inf).kthvalue(min(k, len(rows) - 1), dim=1).values


def among(rows: Tensor, asked: Tensor, k: int = _PRECISION_NEIGHBOUR) -> Tensor:
    """Say of each asked row whether it lies within the distance of some row to that row's k-th nearest other one.

    Asked of generated rows among real ones its mean is the precision, the other way round the recall, of Kynkäänniemi
    et al. 2019, arXiv 1904.06991.

    Args:
        rows: (N, D), N at least 2.
        asked: (M, D).
        k: Which neighbour.

    Returns:
        (M,) bool.

    Example:
        >>> rows = torch.tensor([[0.0], [1.0], [2.0]])
        >>> among(rows, torch.tensor([[2.5], [9.0]]), k=1).tolist()
        [True, False]
    """
    return (torch.cdist(asked, rows) <= _radii(rows, k)).any(1)


def _density(real: Tensor, generated: Tensor, k: int = _DENSITY_NEIGHBOUR) -> float:
    """Naeem et al. 2020, arXiv 2002.09797, equation 8."""
    inside = torch.cdist(generated, real) <= _radii(real, k)
    return float(inside.double().sum(1).mean()) / k


def vendi_score(rows: Tensor) -> float:
    """Return how many different rows a set amounts to: the exponential of the entropy of its similarities.

    Similarity is the cosine (Friedman and Dieng 2023, arXiv 2210.02410): 1 for copies of one row, N for N orthogonal
    ones.

    Args:
        rows: (N, D).

    Example:
        >>> round(vendi_score(torch.eye(4)), 6), round(vendi_score(torch.ones(4, 3)), 6)
        (4.0, 1.0)
    """
    unit = torch.nn.functional.normalize(rows.double(), dim=1) / len(rows) ** 0.5
    shares = torch.linalg.svdvals(unit).square()
    shares = shares[shares > 0]
    return float(torch.exp(-(shares * shares.log()).sum()))


def extrapolate(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return what a measure tends to with infinitely many rows, its bias taken to fall as one over their number.

    The intercept of the least-squares line over ``1 / size`` (Chong and Forsyth 2020, arXiv 1911.07023).

    Args:
        sizes: Numbers of rows, at least two different ones.
        values: The measure at each.

    Example:
        >>> round(extrapolate([10, 20, 40], [1.5, 1.25, 1.125]), 6)
        1.0
    """
    x = 1 / torch.tensor(sizes, dtype=torch.float64)
    y = torch.tensor(values, dtype=torch.float64)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return float(y.mean() - slope * x.mean())
