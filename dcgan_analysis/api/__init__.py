"""What a plugin sees: the analysis contract, its settings, the run context, and the result document."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
