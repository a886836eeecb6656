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

    from torch import Tensor, nn

__all__ = ["column_scores", "hypercolumns", "pixel_columns"]

_PATCH = 5


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
        return torch.cat([_on_grid(outputs[tap], grid) for tap in taps], dim=1)


def column_scores(
    network: nn.Module,
    taps: Sequence[str],
    images: Tensor,
    grid: tuple[int, int],
    weights: Tensor,
    labels: Tensor | None = None,
) -> Tensor:
    """Return what a linear probe says of each place: ``hypercolumns(...)`` times ``weights`` (D,), (N, *grid).

    Bringing maps to the grid is linear, so each tap's maps are weighted and summed first: a fraction of the memory.
    """
    with torch.inference_mode(), capture(network, taps) as outputs:
        network(images) if labels is None else network(images, labels.to(images.device))
        parts = torch.split(weights, [outputs[tap].shape[1] for tap in taps])
        scores = [
            _on_grid(torch.einsum("nchw,c->nhw", outputs[tap], part)[:, None], grid)
            for tap, part in zip(taps, parts, strict=True)
        ]
        return torch.cat(scores, dim=1).sum(dim=1)


def pixel_columns(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the pixels around each place, no network at all: (N, C x 25, *grid), patches of 5x5 pixels.

    Example:
        >>> pixel_columns(torch.zeros(2, 3, 8, 8), (4, 4)).shape
        torch.Size([2, 75, 4, 4])
    """
    n, _, height, width = images.shape
    patches = F.unfold(F.pad(images, [_PATCH // 2] * 4, mode="replicate"), _PATCH)
    return _on_grid(patches.view(n, -1, height, width), grid)


def _on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[2:]) == grid:
        return maps
    if maps.shape[2] >= grid[0] and maps.shape[3] >= grid[1]:
        return F.adaptive_avg_pool2d(maps, grid)
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)
