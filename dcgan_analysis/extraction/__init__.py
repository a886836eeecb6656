"""From images to features: taps, pooling, BatchNorm re-estimation, and the extractor that joins them."""

from __future__ import annotations

from dcgan_analysis.extraction.batchnorm import reestimate
from dcgan_analysis.extraction.extractor import FeatureExtractor, FeatureSpec, PrecisionError
from dcgan_analysis.extraction.pooling import pool_to_grid
from dcgan_analysis.extraction.precision import choose_device
from dcgan_analysis.extraction.taps import capture

__all__ = [
    "FeatureExtractor",
    "FeatureSpec",
    "PrecisionError",
    "capture",
    "choose_device",
    "pool_to_grid",
    "reestimate",
]
