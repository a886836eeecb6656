"""Products of a 16-bit matrix with float32 factors, fast or accurate."""

from __future__ import annotations

from functools import lru_cache

import torch


def accurate_product(left: torch.Tensor, right: torch.Tensor, *, stored: str) -> torch.Tensor:
    """Multiply a float32 factor with stored bfloat16 values at the speed of bfloat16 units.

    Matrix units sum products of bfloat16 in float32; only the factor and the sum are rounded. The factor is split into
    two bfloat16 parts; the rounding of the sum is the same product minus the rounded sum, which the unit subtracts
    before it rounds. The three products cost less than half of a conversion and one product in float32.

    Args:
        left: (M, n), float32 or bfloat16.
        right: (n, P), the other.
        stored: Which one holds the stored values: ``"left"`` or ``"right"``.

    Returns:
        (M, P) float32, error about 2^-17 of ``|left| @ |right|`` in the worst case.
    """
    factor = right if stored == "left" else left
    head = factor.bfloat16()
    tail = (factor - head).bfloat16()
    if stored == "left":
        first = left @ head
        second = torch.addmm(first, left, head, beta=-1)
        third = left @ tail
    else:
        first = head @ right
        second = torch.addmm(first, head, right, beta=-1)
        third = tail @ right
    return first.float().add_(second).add_(third)


def gram_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return ``left @ right.T`` of two blocks of rows, (m, D) and (n, D), accurate to float32 also in bfloat16.

    The rounding of the sum is corrected as in `accurate_product`.
    """
    if left.dtype != torch.bfloat16:
        return left @ right.T
    first = left @ right.T
    return first.float().add_(torch.addmm(first, left, right.T, beta=-1))


@lru_cache(maxsize=8)
def residuals_are_exact(device: torch.device) -> bool:
    """Return whether this device subtracts before it rounds, by trial."""
    generator = torch.Generator().manual_seed(0)
    stored = (torch.rand(96, 640, generator=generator) + 0.5).bfloat16().to(device)
    factor = torch.randn(16, 640, generator=generator).to(device)
    tall = torch.randn(16, 96, generator=generator).to(device)
    forward = accurate_product(stored, factor.T, stored="left") - stored.float() @ factor.T
    back = accurate_product(tall, stored, stored="right") - tall @ stored.float()
    # Sums here are near 25 and 10; one bfloat16 rounding would be an error near 0.05 to 0.1.
    return bool(forward.abs().max() < 5e-3) and bool(back.abs().max() < 5e-3)
