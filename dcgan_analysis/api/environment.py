"""Where numbers are made: versions, device, and a hash of the code that makes them."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Environment
from dcgan_analysis.core.hashing import hash_file, hash_parts
from dcgan_analysis.core.version import __version__

if TYPE_CHECKING:
    import torch

__all__ = ["describe_environment"]

_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "captum", "h5py", "safetensors", "pluggy", "pydantic")


def describe_environment(device: torch.device, plugin_file: Path | None = None) -> Environment:
    """Describe this process.

    Args:
        device: Where the analysis computes.
        plugin_file: The source file of the analysis, which counts as code as well.
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
        code_sha256=_code_sha256(plugin_file),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages=packages,
        device=str(device),
        device_name=_device_name(device),
        threads=torch.get_num_threads(),
    )


def _code_sha256(plugin_file: Path | None) -> str:
    root = Path(__file__).resolve().parents[1]
    parts = {str(path.relative_to(root)): hash_file(path) for path in sorted(root.rglob("*.py"))}
    if plugin_file is not None and plugin_file.is_file():
        parts["plugin"] = hash_file(plugin_file)
    return hash_parts(parts)


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
