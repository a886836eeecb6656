"""Where numbers are made: versions and device."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Environment
from dcgan_analysis.core.version import __version__

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "captum", "h5py", "safetensors", "pluggy", "pydantic")


def describe_environment(device: torch.device, code_sha256: str) -> Environment:
    """Describe this process.

    Args:
        device: Where the analysis computes.
        code_sha256: Hash of the code that computes; see ``runs.provenance``.
    """
    import torch

    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return Environment(
        dcgan_analysis=__version__,
        code_sha256=code_sha256,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages=packages,
        device=str(device),
        device_name=_device_name(device),
        threads=torch.get_num_threads(),
    )


def _device_name(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
