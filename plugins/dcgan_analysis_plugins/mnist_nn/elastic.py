"""Samples by hand: training images, shifted and elastically deformed.

The idea of InfiMNIST (Loosli, Canu, Bottou, "Training Invariant Support Vector Machines using Selective Sampling",
2007) with the deformations of Simard, Steinkraus, Platt, "Best Practices for Convolutional Neural Networks Applied to
Visual Document Analysis", ICDAR 2003: a field of uniform noise, smoothed by a Gaussian and scaled, moves every pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from dcgan_analysis.data.splits import by_class
from dcgan_analysis_plugins.mnist_nn.source import BLOCK, block_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis.data.dataset import DatasetSplit


class ElasticSamples:
    """Deformed images of a labelled split: sample k is a random image of class k mod K, moved and bent at random.

    Args:
        split: Its images and labels.
        seed: Of the choice of images and of the deformations.
        shift: Largest shift in pixels, along either axis, drawn from all whole numbers up to it.
        alpha: Factor of the smoothed noise, in pixels; 0: no deformation.
        sigma: Standard deviation of the Gaussian that smoothes it, in pixels.

    Raises:
        AnalysisError: If a class has no image, or there are no labels.
    """

    size: int | None = None

    def __init__(
        self, split: DatasetSplit, seed: int, *, shift: int = 1, alpha: float = 8.0, sigma: float = 4.0
    ) -> None:
        self._members = by_class(split)
        self._split, self._seed = split, seed
        self._shift, self._alpha, self._sigma = shift, alpha, sigma
        self.identity: dict[str, Any] = {
            "source": "elastic",
            "images": split.sha256,
            "seed": seed,
            "shift": shift,
            "alpha": alpha,
            "sigma": sigma,
            "block": BLOCK,
        }

    def images(self, number: int) -> NDArray[np.uint8]:
        """Return a block, uint8 (BLOCK, C, H, W)."""
        rng = block_rng(self._seed, number)
        labels = self.labels(np.arange(number * BLOCK, (number + 1) * BLOCK))
        sizes = np.array([len(images) for images in self._members])
        picks = (rng.random(BLOCK) * sizes[labels]).astype(np.int64)
        chosen = np.array([self._members[label][pick] for label, pick in zip(labels, picks, strict=True)])
        images = torch.from_numpy(self._split.images[chosen])
        shifts = rng.integers(-self._shift, self._shift + 1, (BLOCK, 2))
        noise = rng.random((BLOCK, 2, *images.shape[2:]), dtype=np.float32) * 2 - 1
        field = self._alpha * smooth(torch.from_numpy(noise), self._sigma)
        return deform(images, field + torch.from_numpy(shifts)[:, :, None, None]).numpy()

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class numbers of samples: k mod K."""
        return indices % len(self._members)


def deform(images: Tensor, field: Tensor) -> Tensor:
    """Move every pixel: bilinear, black outside.

    Args:
        images: uint8 (N, C, H, W).
        field: (N, 2, H, W), pixels: how far right and how far down of a place its new content is taken from.

    Returns:
        uint8 (N, C, H, W), rounded.

    Example:
        >>> image = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)
        >>> deform(image, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 3)).tolist()
        [[[[20, 30, 0]]]]
    """
    height, width = images.shape[2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # grid_sample counts from -1 to 1 from edge to edge of the image (align_corners=False).
    places = torch.stack([x, y]) + field
    scale = torch.tensor([2 / width, 2 / height]).view(2, 1, 1)
    grid = ((places + 0.5) * scale - 1).permute(0, 2, 3, 1)
    moved = F.grid_sample(images.float(), grid.float(), "bilinear", "zeros", align_corners=False)
    return moved.round().clamp(0, 255).byte()


def smooth(noise: Tensor, sigma: float) -> Tensor:
    """Smooth fields (N, 2, H, W) by a Gaussian, mirrored at the edges: a product along either axis."""
    down, across = (_gaussian(length, sigma).to(noise.dtype) for length in noise.shape[2:])
    return down.T @ noise @ across


def _gaussian(length: int, sigma: float) -> Tensor:
    """Return the weight (length, length) of each pixel of a line, by row, in each smoothed one, by column."""
    # Three standard deviations to either side, but less than the image, as mirroring asks for.
    reach = min(math.ceil(3 * sigma), length - 1)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    mirrored = F.pad(torch.eye(length, dtype=torch.float64)[None], (reach, reach), "reflect")[0]
    return mirrored.unfold(1, 2 * reach + 1, 1) @ (weights / weights.sum())
