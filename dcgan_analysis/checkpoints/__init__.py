"""Weights and what is known of them: one file, found by name; and the samples that they make."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
