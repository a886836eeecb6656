"""One run or several: the request, what it needs, the run folder; what a path holds."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
