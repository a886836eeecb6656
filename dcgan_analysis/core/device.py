"""What the machine does fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["has_bfloat16_units"]


def has_bfloat16_units(device: torch.device) -> bool:
    """Return whether products in bfloat16 are faster than in float32: GPUs, and CPUs with AMX or AVX-512 BF16."""
    import torch

    if device.type != "cpu":
        return True
    # Not in older releases of torch, which then count as without.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
