"""The device to compute on, and the floating-point types that it is fast in."""

from __future__ import annotations

from typing import Literal

import torch

from dcgan_analysis.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def has_bfloat16_units(device: torch.device) -> bool:
    """Return whether products in bfloat16 are faster than in float32: GPUs, and CPUs with AMX or AVX-512 BF16."""
    if device.type != "cpu":
        return True
    # Not in older releases of torch, which then count as without.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda`` (``cuda:1``: the second GPU).

    Raises:
        ConfigError: If the name is unknown, or a GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        msg = f"Device '{name}' is unknown. Use auto, cpu, cuda, or one GPU of several: cuda:1."
        raise ConfigError(msg) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        msg = f"Device '{name}' is not available: torch sees no GPU. Use the device cpu or auto."
        raise ConfigError(msg)
    return device


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype that convolutions run in.

    ``auto``: bfloat16 on CPUs with bfloat16 instructions, float16 on GPUs, float32 elsewhere. Parameters and
    BatchNorm statistics stay in float32 throughout; float16 on CPUs is slow and is taken only if asked for.
    """
    if precision != "auto":
        return PRECISIONS[precision]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if has_bfloat16_units(device) else torch.float32
