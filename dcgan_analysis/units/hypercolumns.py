"""What a network sees at each place of an image: all its maps over that place, stacked.

Source: Hariharan, Arbelaez, Girshick, Malik, "Hypercolumns for object segmentation", CVPR 2015, arXiv 1411.5752.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dcgan_analysis.models.hooks import capture

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor, nn

__all__ = ["column_scores", "hypercolumns", "on_grid", "pixel_columns", "shaded", "with_moments", "with_moments_of"]

_PATCH = 5
_FLAT = 1e-6  # spread of an image of one shade
# Lights differ by so much from place to place, on a grid of so many knots per side.
_LIGHT, _KNOTS = 0.5, 3


def hypercolumns(
    network: nn.Module, taps: Sequence[str], images: Tensor, grid: tuple[int, int], labels: Tensor | None = None
) -> Tensor:
    """Return the maps of several taps, each brought to one grid.

    Larger maps are averaged over each cell, smaller ones interpolated linearly.

    Args:
        network: A discriminator.
        taps: Its convolutional layers.
        images: (N, C, H, W) in its image range.
        grid: Height and width of the result.
        labels: Class numbers (N,) where the network takes them.

    Returns:
        (N, D, *grid), D the number of maps of all taps.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> network = dcgan32(width=2).discriminator().eval()
        >>> hypercolumns(network, ["conv1", "conv6"], torch.zeros(1, 3, 32, 32), (8, 8)).shape
        torch.Size([1, 10, 8, 8])
    """
    with torch.inference_mode(), capture(network, taps) as outputs:
        network(images) if labels is None else network(images, labels.to(images.device))
        return torch.cat([on_grid(outputs[tap], grid) for tap in taps], dim=1)


def column_scores(
    network: nn.Module,
    taps: Sequence[str],
    images: Tensor,
    grid: tuple[int, int],
    weights: Tensor,
    labels: Tensor | None = None,
) -> Tensor:
    """Return what linear probes say of each place: ``hypercolumns(...)`` times ``weights`` (J, D), (N, J, *grid).

    Bringing maps to the grid is linear, so each tap's maps are weighted and summed first: a fraction of the memory.
    """
    with torch.inference_mode(), capture(network, taps) as outputs:
        network(images) if labels is None else network(images, labels.to(images.device))
        parts = torch.split(weights, [outputs[tap].shape[1] for tap in taps], dim=1)
        scores = [
            on_grid(torch.einsum("nchw,jc->njhw", outputs[tap], part), grid)
            for tap, part in zip(taps, parts, strict=True)
        ]
        return torch.stack(scores).sum(dim=0)


def pixel_columns(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the pixels around each place, no network at all: (N, C x 25, *grid), patches of 5x5 pixels.

    Example:
        >>> pixel_columns(torch.zeros(2, 3, 8, 8), (4, 4)).shape
        torch.Size([2, 75, 4, 4])
    """
    n, _, height, width = images.shape
    patches = F.unfold(F.pad(images, [_PATCH // 2] * 4, mode="replicate"), _PATCH)
    return on_grid(patches.view(n, -1, height, width), grid)


def with_moments(images: Tensor, mean: float, std: float, like: Tensor | None = None) -> Tensor:
    """Bring each image (N, C, H, W), all its channels together, to one mean and one standard deviation of pixels.

    A change of brightness or contrast that pixels shared alike is undone.

    Args:
        images: What is brought there.
        mean: Of the result.
        std: Of the result.
        like: Images of the same shape that would get there by what is done to these; None: the images themselves.

    Example:
        >>> image = torch.tensor([[[[0.0, 1.0]]]])
        >>> bool((with_moments(0.7 * image + 0.1, 0.0, 1.0) - with_moments(image, 0.0, 1.0)).abs().max() < 1e-6)
        True
    """
    spread, centre = torch.std_mean(images if like is None else like, dim=(1, 2, 3), keepdim=True)
    return (images - centre) * (std / spread.clamp_min(_FLAT)) + mean


def with_moments_of(images: Tensor, others: Tensor, where: Tensor) -> Tensor:
    """Bring each channel of each image (N, C, H, W) to the mean and the standard deviation that another image has.

    Args:
        images: What is brought there.
        others: (N, C, H, W).
        where: (N, 1, H, W), 1 at the pixels that count, 0 at the others.

    Example:
        >>> image = torch.tensor([[[[0.0, 1.0]]]])
        >>> bool((with_moments_of(0.7 * image, image, torch.ones_like(image)) - image).abs().max() < 1e-6)
        True
    """
    whole = where.sum(dim=(2, 3), keepdim=True).clamp_min(1)

    def moments(of: Tensor) -> tuple[Tensor, Tensor]:
        centre = (of * where).sum(dim=(2, 3), keepdim=True) / whole
        variance = ((of - centre).square() * where).sum(dim=(2, 3), keepdim=True) / whole
        return centre, variance.sqrt()

    (centre, spread), (wanted, wanted_spread) = moments(images), moments(others)
    return (images - centre) * (wanted_spread / spread.clamp_min(_FLAT)) + wanted


def shaded(images: Tensor, image_range: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """Put each image (N, C, H, W) under a light of its own, smoothly from 0.5 to 1.5 times as bright, cut to the range.

    Example:
        >>> import numpy as np
        >>> light = shaded(torch.ones(1, 1, 8, 8), (0.0, 9.0), np.random.default_rng(0))
        >>> 0.3 < float(light.min()) < float(light.max()) < 1.7
        True
    """
    knots = torch.from_numpy(rng.uniform(1 - _LIGHT, 1 + _LIGHT, (len(images), 1, _KNOTS, _KNOTS))).to(images)
    light = F.interpolate(knots, tuple(images.shape[2:]), mode="bilinear", align_corners=True)
    dark, bright = image_range
    return ((images - dark) * light + dark).clamp(dark, bright)


def on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bring maps (N, C, H, W) to a grid: larger ones are averaged in each cell, smaller ones interpolated linearly."""
    if tuple(maps.shape[2:]) == grid:
        return maps
    if maps.shape[2] >= grid[0] and maps.shape[3] >= grid[1]:
        return F.adaptive_avg_pool2d(maps, grid)
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)
