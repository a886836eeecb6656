"""What analyses of single filters share: filters, responses, comparison with the random twin, attribution."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
