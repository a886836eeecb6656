"""Architectures as data: layer tables, one builder, a registry entry for each.

The tables are importable without torch; the modules are built on demand.
"""

from __future__ import annotations

from dcgan_analysis.models.architecture import Architecture, Layer
from dcgan_analysis.models.registry import ArchitectureEntry, builtin_architectures

__all__ = ["Architecture", "ArchitectureEntry", "Layer", "builtin_architectures"]
