"""From images to features: taps, pooling, BatchNorm re-estimation, and the extractor that joins them."""

from __future__ import annotations

from dcgan_analysis.extraction.batchnorm import reestimate, reference_batches
from dcgan_analysis.extraction.extractor import FeatureExtractor, FeatureSpec, PrecisionError
from dcgan_analysis.extraction.pooling import pool_to_grid
from dcgan_analysis.extraction.precision import choose_device
from dcgan_analysis.extraction.purity import chance_purity, class_purity
from dcgan_analysis.extraction.responses import TapResponses, TopResponses, collect_responses, stream_responses
from dcgan_analysis.extraction.taps import capture

__all__ = [
    "FeatureExtractor",
    "FeatureSpec",
    "PrecisionError",
    "TapResponses",
    "TopResponses",
    "capture",
    "chance_purity",
    "choose_device",
    "class_purity",
    "collect_responses",
    "pool_to_grid",
    "reestimate",
    "reference_batches",
    "stream_responses",
]
