"""Labelled samples without end, reproducible one by one, and what is asked of them.

GeneratedSamples   a conditional generator          -> sample k is of class k mod K
ImageSamples       a labelled split                 -> its images, the classes taking turns
ElasticSamples     a labelled split                 -> its images shifted and elastically deformed
nearest_samples    queries and any of these sources -> nearest sample at several counts, resumable
train_classifier   labelled images                  -> what a small convolutional network takes others for
class_coverage     samples and real images          -> how many real ones have a sample nearby, class by class
"""

from __future__ import annotations

from dcgan_analysis.sampling.classifier import train_classifier
from dcgan_analysis.sampling.elastic import ElasticSamples
from dcgan_analysis.sampling.generated import GeneratedSamples
from dcgan_analysis.sampling.images import ImageSamples
from dcgan_analysis.sampling.modes import ClassCoverage, class_coverage
from dcgan_analysis.sampling.search import Search, nearest_samples
from dcgan_analysis.sampling.source import BLOCK, Remembered, SampleSource, take

__all__ = [
    "BLOCK",
    "ClassCoverage",
    "ElasticSamples",
    "GeneratedSamples",
    "ImageSamples",
    "Remembered",
    "SampleSource",
    "Search",
    "class_coverage",
    "nearest_samples",
    "take",
    "train_classifier",
]
