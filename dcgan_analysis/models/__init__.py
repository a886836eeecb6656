"""Architectures as data: layer tables, one builder, a registry entry for each.

The tables are importable without torch; the modules are built on demand.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
