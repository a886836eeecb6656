"""Whether samples differ from one another: what is measured on a generator that makes one image means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.batchnorm import untouched_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.sampling import Sampler

_SAMPLES = 32
_MOST_CLASSES = 8
_MOST_IMAGES = 256
# A quarter of a gray level: as pictures such samples are one.
_ONE_IMAGE = 1e-3
# Of what real images differ by.
_LITTLE = 0.1


def spread(images: np.ndarray | Tensor, labels: Sequence[int] | None = None) -> float:
    """Return by how much images of a class differ: the standard deviation of a pixel over images, root mean square.

    Args:
        images: (N, C, H, W).
        labels: Classes (N,); deviations are from the mean of the image's class. None: all are of one.

    Returns:
        In the unit of the pixels; 0 where all images of a class are equal.

    Example:
        >>> spread(np.array([0.0, 2.0, 5.0, 7.0]).reshape(4, 1, 1, 1)), spread(np.ones((3, 1, 2, 2)))
        (2.692582403567252, 0.0)
        >>> spread(np.array([0.0, 2.0, 5.0, 7.0]).reshape(4, 1, 1, 1), labels=[0, 0, 1, 1])
        1.0
    """
    pixels = np.asarray(images, dtype=np.float64).reshape(len(images), -1)
    classes = np.zeros(len(pixels), np.int64) if labels is None else np.asarray(labels)
    means = np.stack([pixels[classes == number].mean(axis=0) for number in np.unique(classes)])
    deviations = pixels - means[np.searchsorted(np.unique(classes), classes)]
    return float(np.sqrt(np.square(deviations).mean()))


def check_samples_vary(context: RunContext, sampler: Sampler, real: np.ndarray | None = None) -> None:
    """Refuse a generator that makes one image whatever the latent vector, and warn of one whose images differ little.

    Of a conditional generator samples of one class are compared: a class alone may decide the image.

    Args:
        context: The run: its seed, and where the warning goes.
        sampler: Draws 32 samples.
        real: Images to compare with, uint8 (N, C, H, W). None: the pixels within a sample.

    Raises:
        AnalysisError: If the samples differ by less than a thousandth of the range of pixels.
    """
    checkpoint = sampler.checkpoint
    classes = min(checkpoint.architecture.classes, _MOST_CLASSES) if sampler.label is None else 0
    labels = torch.arange(_SAMPLES) % classes if classes else None
    low, high = checkpoint.metadata.image_range
    drawn = sampler.images(checkpoint.latents(_SAMPLES, context.seed), labels).double().cpu()
    images = ((drawn - low) / (high - low)).numpy()
    samples = spread(images, None if labels is None else labels.tolist())
    if real is None:
        reference, usual = "pixels within a sample", float(np.sqrt(images.reshape(len(images), -1).var(axis=1).mean()))
    else:
        evenly = np.linspace(0, len(real) - 1, min(len(real), _MOST_IMAGES)).astype(int)
        reference, usual = "real images", spread(real[evenly]) / 255
    measured = (
        f"standard deviation of a pixel over {_SAMPLES} samples {samples:.2g} of its range, "
        f"over {reference} {usual:.2g}"
    )
    if not samples >= _ONE_IMAGE:
        cause = (
            "The statistics of its batch normalisation were never updated (mean 0, variance 1). Estimate them anew: "
            "batchnorm=reestimate"
            if untouched_layers(sampler.generator)
            else "Its weights may be damaged or of another architecture, or it has collapsed to one image. Import the "
            "weights again (docs/importing.md), or choose another checkpoint: dcgan-analyze list checkpoints"
        )
        msg = f"The generator of '{checkpoint.name}' makes one image whatever the latent vector: {measured}. {cause}"
        raise AnalysisError(msg)
    if samples < _LITTLE * usual:
        context.warn(
            f"Samples of '{checkpoint.name}' differ little: {measured}. The generator may have collapsed; what is "
            "measured on its samples is of few images."
        )
