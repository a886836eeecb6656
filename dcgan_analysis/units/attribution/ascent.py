"""Activation maximisation: images found by gradient ascent on a unit's response, kept image-like by regularisers.

Erhan et al. 2009 ("Visualizing higher-layer features of a deep network"); L2 decay as in Simonyan et al. 2013
(arXiv 1312.6034), blur as in Yosinski et al. 2015 (arXiv 1506.06579), total variation as in Mahendran and Vedaldi 2014
(arXiv 1412.0035), jitter as in Mordvintsev et al. 2015.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.units.attribution.units import UnitResponse, Units


@dataclass(frozen=True)
class Ascent:
    """How images are searched. Pixels count from -1 to 1 here, responses in standard deviations of real ones.

    Attributes:
        steps: Steps of Adam.
        rate: Its learning rate.
        l2: Weight of the mean square of the pixels: the distance from gray.
        tv: Weight of the total variation: the mean absolute difference of neighbours.
        seen: Pixels that a unit sees; both means are over so many, though all pixels count, so that a weight means the
            same for a unit of 3x3 pixels and for one that sees everything. 0: all pixels of the image.
        jitter: Pixels that the image is shifted by at most, at random, in each step.
        blur: Standard deviation in pixels of the Gaussian that smooths the image every ``blur_every`` steps; 0: none.
        blur_every: Steps between.
        start: Standard deviation of the noise around gray that the search starts from.
    """

    steps: int = 96
    rate: float = 0.05
    l2: float = 8.0
    tv: float = 2.0
    seen: int = 0
    jitter: int = 2
    blur: float = 0.5
    blur_every: int = 4
    start: float = 0.05


def total_variation(images: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels of each image (N, C, H, W), vertical plus horizontal.

    Example:
        >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))
        tensor([1.])
    """
    vertical, horizontal = images.diff(dim=2).abs(), images.diff(dim=3).abs()
    parts = [differences.flatten(1).mean(1) for differences in (vertical, horizontal) if differences.numel()]
    return torch.stack(parts).sum(0) if parts else images.new_zeros(len(images))


def smooth(images: Tensor, sigma: float) -> Tensor:
    """Blur images (N, C, H, W) by a Gaussian; edges are repeated. Below 0.2 pixels nothing changes."""
    radius = math.ceil(2 * sigma)
    if sigma < 0.2 or radius >= min(images.shape[2:]):
        return images
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, rows, groups=channels), rows.transpose(2, 3), groups=channels)


def ascend(
    response: UnitResponse,
    units: Units,
    image_shape: tuple[int, int, int],
    ascent: Ascent,
    generator: torch.Generator,
    *,
    image_range: tuple[float, float] = (-1.0, 1.0),
    scales: Tensor | None = None,
    labels: Tensor | None = None,
    device: torch.device | None = None,
    step: Callable[[int], None] | None = None,
) -> Tensor:
    """Search an image for each unit that makes it respond strongly; the images do not influence one another.

    Args:
        response: The network, cut at a tap, in evaluation mode.
        units: N units.
        image_shape: (C, H, W).
        ascent: Steps and regularisers.
        generator: Source of start and jitter, on the CPU; it alone decides what is drawn.
        image_range: Lowest and highest pixel value that the network takes.
        scales: Standard deviation of real responses of each unit (N,): makes the weights of the regularisers mean the
            same for every layer. None: 1.
        labels: (N,), for a conditional network.
        device: Where to compute.
        step: Called with the number of steps done.

    Returns:
        Images (N, C, H, W) in ``image_range``, on the device.

    Example:
        >>> from dcgan_analysis.units.attribution import UnitResponse, Units
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False))
        >>> _ = torch.nn.init.constant_(network[0].weight, 1.0)
        >>> plain = Ascent(steps=60, l2=0, tv=0, jitter=0, blur=0)
        >>> source = torch.Generator().manual_seed(0)
        >>> images = ascend(UnitResponse(network, "0"), Units.of([0], [1]), (1, 1, 2), plain, source)
        >>> images[0, 0, 0, 1].item()
        1.0
    """
    device = device or torch.device("cpu")
    low, high = image_range
    gray, half = (low + high) / 2, (high - low) / 2
    pixels = (torch.randn(len(units), *image_shape, generator=generator) * ascent.start).to(device)
    pixels = pixels.clamp(-1, 1).requires_grad_(True)
    features, positions = units.features.to(device), units.positions.to(device)
    weights = torch.ones(len(units), device=device) if scales is None else 1 / scales.to(device)
    optimizer = torch.optim.Adam([pixels], lr=ascent.rate)
    share = image_shape[1] * image_shape[2] / ascent.seen if ascent.seen else 1.0
    for done in range(1, ascent.steps + 1):
        moves = torch.randint(-ascent.jitter, ascent.jitter + 1, (2,), generator=generator).tolist()
        moved = torch.roll(pixels, moves, dims=(2, 3)) if any(moves) else pixels
        activation = response(gray + half * moved, features, positions, labels)
        penalty = ascent.l2 * pixels.square().flatten(1).mean(1) + ascent.tv * total_variation(pixels)
        optimizer.zero_grad()
        (share * penalty - weights * activation).sum().backward()
        optimizer.step()
        with torch.no_grad():
            if ascent.blur and done % ascent.blur_every == 0 and done < ascent.steps:
                pixels.copy_(smooth(pixels, ascent.blur))
            pixels.clamp_(-1, 1)
        if step is not None:
            step(done)
    return (gray + half * pixels.detach()).clamp(low, high)
