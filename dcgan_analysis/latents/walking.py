"""Walks in latent space, measured: how far each step moves the image, and which steps are sharp transitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.checkpoints.sampling import Sampler
    from dcgan_analysis.latents.judges import PerceptualJudge

LINEAR, SPHERICAL, MEMORISING = "linear", "spherical", "memorising control"
"""Kinds of walks: along straight lines, along great circles, and what the control shows on the straight ones."""

SHARP = 0.5
"""A step is a sharp transition if it moves the image by more than this share of what unrelated samples differ by."""


@dataclass(frozen=True)
class WalkSteps:
    """A walk of T images and its T - 1 steps.

    Attributes:
        images: uint8 (T, C, H, W).
        pixel: (T - 1,) root mean square difference of pixels in [0, 1].
        perceptual: (T - 1,) distance of the embeddings.
    """

    images: np.ndarray
    pixel: np.ndarray
    perceptual: np.ndarray


def pixel_steps(images: np.ndarray) -> np.ndarray:
    """Return the root mean square difference of successive images, uint8 (T, C, H, W), pixels in [0, 1].

    Example:
        >>> import numpy as np
        >>> pixel_steps(np.array([0, 0, 255], np.uint8).reshape(3, 1, 1, 1)).tolist()
        [0.0, 1.0]
    """
    import numpy as np

    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    steps: np.ndarray = np.sqrt(np.square(np.diff(pixels, axis=0)).mean(axis=1))
    return steps


def measure_walk(images: np.ndarray, embed: PerceptualJudge, labels: Tensor | None) -> WalkSteps:
    """Measure the steps of a walk of images, uint8 (T, C, H, W), with the labels (T,) of a conditional network."""
    rows = embed(images, labels)
    return WalkSteps(images, pixel_steps(images), (rows[1:] - rows[:-1]).norm(dim=1).numpy())


def measure_walks(
    sampler: Sampler,
    embed: PerceptualJudge,
    points: Sequence[Tensor],
    steps: int,
    bank: Tensor,
    done: Callable[[int], None] | None = None,
) -> dict[str, list[WalkSteps]]:
    """Walk from point to point, straight and along great circles, beside a generator that had memorised.

    Args:
        sampler: Draws the images; a conditional generator's must draw one class, or walks would jump between classes.
        embed: Measures them.
        points: The points (P, Z) of each walk.
        steps: Steps from one point to the next.
        bank: Latent vectors (M, Z) of the images that the memorising control knows: on the straight walks it shows
            the nearest of them.
        done: Called with the number of walks done.

    Returns:
        ``LINEAR``, ``SPHERICAL``, ``MEMORISING`` -> one walk for each of ``points``.
    """
    from dcgan_analysis.latents.interpolation import walk

    bank_images = sampler(bank, what="samples of the control")
    walks: dict[str, list[WalkSteps]] = {LINEAR: [], SPHERICAL: [], MEMORISING: []}
    for number, ends in enumerate(points, start=1):
        labels = sampler.labels(range((len(ends) - 1) * steps + 1))
        straight = sampler(walk(ends, steps), labels)
        snapped = nearest_of(bank_images, straight, embed, (sampler.labels(range(len(bank))), labels))
        walks[LINEAR].append(measure_walk(straight, embed, labels))
        walks[SPHERICAL].append(measure_walk(sampler(walk(ends, steps, "spherical"), labels), embed, labels))
        walks[MEMORISING].append(measure_walk(snapped, embed, labels))
        if done is not None:
            done(number)
    return walks


def unrelated_distances(sampler: Sampler, embed: PerceptualJudge, z: Tensor) -> np.ndarray:
    """Return the perceptual distances (M,) of pairs of samples: vector 0 with 1, 2 with 3, ... of z (2 M, Z).

    A conditional generator's sampler must draw one class, the one that is walked in.
    """
    rows = embed(sampler(z), sampler.labels(range(len(z))))
    distances: np.ndarray = (rows[0::2] - rows[1::2]).norm(dim=1).numpy()
    return distances


def sharp_steps(steps: np.ndarray, unrelated: float, share: float = SHARP) -> np.ndarray:
    """Return which steps (T,) are larger than a share of the distance of unrelated samples.

    Example:
        >>> import numpy as np
        >>> sharp_steps(np.array([0.1, 0.6]), unrelated=1.0).tolist()
        [False, True]
    """
    sharp: np.ndarray = steps > share * unrelated
    return sharp


def nearest_of(
    bank: np.ndarray, images: np.ndarray, embed: PerceptualJudge, labels: Sequence[Tensor | None]
) -> np.ndarray:
    """Replace each image by the nearest of a bank: what a generator would show that knows nothing but the bank.

    Args:
        bank: uint8 (M, C, H, W).
        images: uint8 (T, C, H, W).
        embed: What near means.
        labels: Class numbers of the bank (M,) and of the images (T,), or None twice.

    Returns:
        uint8 (T, C, H, W).
    """
    import torch

    bank_features, image_features = embed(bank, labels[0]), embed(images, labels[1])
    chosen: np.ndarray = bank[torch.cdist(image_features, bank_features).argmin(dim=1).numpy()]
    return chosen


def roughness(steps: np.ndarray, per_leg: int) -> np.ndarray:
    """Return for each leg the largest step over the mean step: 1 is even, ``per_leg`` is everything at once.

    A leg that does not move at all counts as even.

    Example:
        >>> import numpy as np
        >>> roughness(np.array([1.0, 1.0, 0.0, 2.0]), 2).tolist()
        [1.0, 2.0]
    """
    import numpy as np

    legs = steps.reshape(-1, per_leg)
    means = legs.mean(axis=1)
    ratios: np.ndarray = np.divide(legs.max(axis=1), means, out=np.ones(len(legs)), where=means > 0)
    return ratios
