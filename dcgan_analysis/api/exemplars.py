"""Exemplars for analyses: samples picked for concepts, by seed and index (docs/exemplars.md)."""

from __future__ import annotations

from dcgan_analysis.annotations.exemplars import Exemplars, find_exemplars, read_exemplars

__all__ = ["Exemplars", "find_exemplars", "read_exemplars"]
