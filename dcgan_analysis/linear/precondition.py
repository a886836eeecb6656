"""A low-rank preconditioner from a sample of the rows.

Features after LeakyReLU and max-pooling share a large mean and are strongly correlated: a few
hundred directions carry nearly all of ``X.T @ X``. Their eigenvectors are taken from a sample of
rows (a Nystroem approximation with row sampling; Frangella, Tropp, Udell 2021, arXiv 2110.02820,
section 5, whose formula for the inverse is used here). One decomposition serves every class and
every C, because these only scale the spectrum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dcgan_analysis.linear.design import Design

__all__ = ["Preconditioner"]


class Preconditioner:
    """Approximate inverse of ``I + scale * X.T @ X`` for any scale.

    Args:
        design: The matrix.
        weights: (N,) sample weights; rows of weight 0 are not sampled.
        sample: Number of rows to look at.
        rank: Number of directions to keep.
        generator: Source of the sample.
    """

    def __init__(
        self,
        design: Design,
        weights: torch.Tensor,
        *,
        sample: int,
        rank: int,
        generator: torch.Generator,
    ) -> None:
        usable = weights.nonzero().squeeze(1).cpu()
        sample = min(sample, len(usable))
        chosen = torch.randperm(len(usable), generator=generator)[:sample]
        rows = design.sample(usable[chosen].sort().values)
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        rank = min(rank, sample)
        values, vectors = values[-rank:].flip(0), vectors[:, -rank:].flip(1)
        kept = values > values[0].clamp_min(1e-30) * torch.finfo(values.dtype).eps * sample
        values, vectors = values[kept], vectors[:, kept]
        self.basis = (vectors.T @ rows) / values.sqrt()[:, None]
        self.values = values * (float(weights.sum()) / max(sample, 1))
        complete = rank == sample == len(usable) or len(values) >= design.shape[1]
        self.rest = 0.0 if complete or not len(values) else float(self.values[-1])

    def apply(self, gradient: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the preconditioned gradients.

        Args:
            gradient: (M, D + 1).
            scale: (M, 1), the factor of ``X.T @ X`` in each problem.

        Returns:
            (M, D + 1).
        """
        rest = 1 + self.rest * scale
        shrink = 1 / (1 + self.values * scale) - 1 / rest
        solved: torch.Tensor = gradient / rest + ((gradient @ self.basis.T) * shrink) @ self.basis
        return solved
