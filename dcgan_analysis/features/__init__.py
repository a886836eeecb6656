"""From images to features: the extractor, and HDF5 stores of what it makes, cached by content."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
