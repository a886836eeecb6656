"""What a run leaves for people: one HTML report, a table in the terminal, comparisons.

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
