"""What analyses of latent space share: walks, attributes and their judges, arithmetic, perceptual distance."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
