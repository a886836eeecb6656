"""Coverage: which real images have a generated one in their neighbourhood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from torch import Tensor


def coverage(real: Tensor, generated: Tensor, k: int = 5) -> Tensor:
    """Say for each real row whether a generated row lies in its neighbourhood.

    The neighbourhood of a real row is the ball that reaches to its k-th nearest other real row; the mean of the answer
    is the coverage of Naeem, Oh, Uh, Choi, Yoo, "Reliable Fidelity and Diversity Metrics for Generative Models", ICML
    2020, arXiv 2002.09797, equation 9.

    Args:
        real: (N, D), uint8 or float32, N > k.
        generated: (M, D), likewise, M >= 1.
        k: Which neighbour gives the radius, at least 1.

    Returns:
        (N,) bool.

    Raises:
        AnalysisError: If there are too few rows.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
        >>> coverage(real, torch.tensor([[0.9], [3.0]]), k=1).tolist()
        [True, True, True, True]
        >>> coverage(real, torch.tensor([[0.9]]), k=1).tolist()
        [True, True, False, False]
    """
    if len(real) <= k or k < 1 or not len(generated):
        msg = (
            f"Coverage with k = {k} needs more than {k} real and at least one generated image; got {len(real)} "
            f"and {len(generated)}."
        )
        raise AnalysisError(msg)
    among = _squared(real, real).fill_diagonal_(torch.inf)
    radius = among.kthvalue(k, dim=1).values
    return _squared(real, generated).amin(1) <= radius


def _squared(left: Tensor, right: Tensor) -> Tensor:
    """Squared distances (N, M) in float64: exact for bytes."""
    left, right = left.double(), right.double()
    return left.square().sum(1)[:, None] + right.square().sum(1) - 2 * (left @ right.T)
