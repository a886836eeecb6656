"""Linear classification of features: the L2-SVM, in memory or from a store, for a grid of C.

Names are imported on first use, because they need torch.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
