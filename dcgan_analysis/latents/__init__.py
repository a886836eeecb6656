"""What analyses of latent space share: walks, attributes and their judges, arithmetic, perceptual distance."""

from __future__ import annotations
