"""Which pixels a unit answers to: attribution methods by name, the guided rule for LeakyReLU, and what maps look like.

Names are loaded when first used, and captum with the first attribution.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
