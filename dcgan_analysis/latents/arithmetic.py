"""Arithmetic on latent vectors, and the same on pixels (section 6.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOURS = 8
"""How many neighbours stand around the result, as in the paper."""


def combine(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return mean(a) - mean(b) + mean(c) of latent vectors (..., E, Z): (..., Z).

    Example:
        >>> import torch
        >>> combine(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0]]), torch.tensor([[5.0]])).tolist()
        [6.0]
    """
    return a.mean(-2) - b.mean(-2) + c.mean(-2)


def combine_pixels(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the same sum on images, uint8 (E, C, H, W) each, cut to 0 .. 255: uint8 (C, H, W)."""
    total = a.mean(axis=0) - b.mean(axis=0) + c.mean(axis=0)
    image: np.ndarray = np.rint(total).clip(0, 255).astype(np.uint8)
    return image


def direction(low: Tensor, high: Tensor, length: float | None = None) -> Tensor:
    """Return mean(high) - mean(low) of latent vectors (E, Z), brought to a length where one is given: (Z,).

    Example:
        >>> direction(torch.zeros(2, 2), torch.tensor([[2.0, 0.0], [4.0, 8.0]])).tolist()
        [3.0, 4.0]
    """
    vector = high.mean(0) - low.mean(0)
    return vector if length is None else vector * (length / vector.norm().clamp_min(1e-12))


def with_neighbours(centre: Tensor, noise: float, source: np.random.Generator) -> Tensor:
    """Return a latent vector (Z,) in the middle of 8 neighbours: (9, Z), row 4 is itself."""
    shifts = torch.from_numpy(source.uniform(-noise, noise, (NEIGHBOURS + 1, len(centre)))).to(centre.dtype)
    shifts[NEIGHBOURS // 2] = 0
    return centre + shifts
