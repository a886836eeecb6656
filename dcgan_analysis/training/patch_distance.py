"""How far samples lie from real images by their patches, coarse and fine: a quality that asks no discriminator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from dcgan_analysis.core.randomness import torch_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_PATCH, _PATCHES, _PROJECTIONS = 7, 128, 128
_COARSEST = 16


def patch_distance(images: Tensor, real: Tensor) -> float:
    """Return the sliced Wasserstein distance between patches of two sets of images, mean over the levels of a pyramid.

    As Karras et al. 2018, arXiv 1710.10196, section 5: at every level of a Laplacian pyramid down to 16 pixels, 128
    patches of 7x7 an image, each channel scaled by mean and deviation of the real ones, projected on 128 random
    directions. Places and directions are always the same, so that readings of one training compare well though the
    images are few.

    Args:
        images: (N, C, H, W).
        real: Real images (N, C, H, W), as many.

    Returns:
        0 for equal sets; two sets of 64 real photos of 32x32 are some 0.08 apart.

    Example:
        >>> stripes = torch.tensor([[1.0, -1.0]]).repeat(8, 1, 16, 8)
        >>> patch_distance(stripes, stripes), patch_distance(stripes.mT, stripes) > 0.1
        (0.0, True)
    """
    levels = [
        _level_distance(level, real_level)
        for level, real_level in zip(_pyramid(images.detach().float().cpu()), _pyramid(real.float().cpu()), strict=True)
    ]
    return sum(levels) / len(levels)


def _pyramid(images: Tensor) -> Iterator[Tensor]:
    """Yield what each halving of the size loses, and what is left at last."""
    while min(images.shape[2:]) > _COARSEST:
        half = F.avg_pool2d(images, 2)
        yield images - F.interpolate(half, size=images.shape[2:], mode="bilinear", align_corners=False)
        images = half
    yield images


def _level_distance(level: Tensor, real: Tensor) -> float:
    patches, real_patches = _patches(level), _patches(real)
    deviation, mean = torch.std_mean(real_patches, (0, 2), keepdim=True)
    for each in (patches, real_patches):
        each.sub_(mean).div_(deviation.clamp_min(1e-8))
    directions = torch.randn(
        patches[0].numel(), _PROJECTIONS, generator=torch_generator("patch distance", "directions")
    )
    directions /= directions.norm(dim=0)
    # Sorted by numpy, which is 25 times as fast at it as torch.
    projected, real_projected = (
        np.sort((each.flatten(1) @ directions).T.contiguous().numpy(), axis=1) for each in (patches, real_patches)
    )
    return float(np.abs(projected - real_projected).mean())


def _patches(level: Tensor) -> Tensor:
    """Return patches (N * 128, C, pixels) at places that depend on the size alone."""
    n, channels, height, width = level.shape
    size = min(_PATCH, height, width)
    # Row p of both: the places of image p // 128.
    source = torch_generator("patch distance", "places")
    image = torch.arange(n).repeat_interleave(_PATCHES)
    top, left = (torch.randint(side - size + 1, (n * _PATCHES,), generator=source) for side in (height, width))
    windows = level.unfold(2, size, 1).unfold(3, size, 1)
    return windows[image, :, top, left].reshape(n * _PATCHES, channels, size * size)
