"""What probes of features share: the study of a network and its twin, few labels, classification, published rows."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
