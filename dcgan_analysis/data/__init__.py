"""Datasets: named splits of images as bytes, found by name or path; splits, draws, preprocessing.

Nothing here imports torch before it is needed, and names are loaded when first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
