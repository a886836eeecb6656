"""Training a DCGAN by the paper's recipe, resumable to the bit.

Names are imported on first use: presets and settings need no torch.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
