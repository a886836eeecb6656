"""Differentiable augmentation of everything that the discriminator sees (Zhao et al. 2020, arXiv 2006.10738).

Real and generated images are changed alike and gradients flow back to the generator, so that the generator need not
learn the changes. Amounts are the paper's: brightness by up to a quarter of the range, saturation by a factor of 0 to
2, contrast of 0.5 to 1.5, shifts of up to an eighth of a side, a square of zeros of half a side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Augmentation = Literal["color", "translation", "cutout"]

_SHIFT = 1 / 8
_SQUARE = 1 / 2


class DiffAugment:
    """Changes of a minibatch, drawn once and then applied to images.

    Args:
        policy: Which augmentations; they are applied in the order color, translation, cutout.
        image_range: Lowest and highest pixel value.

    Example:
        >>> augment = DiffAugment(["translation"], (-1.0, 1.0))
        >>> augment(torch.ones(4, 3, 32, 32), key=(0,)).shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(self, policy: Sequence[Augmentation], image_range: tuple[float, float]) -> None:
        self.policy = tuple(policy)
        self._low, self._high = image_range

    def __call__(self, images: Tensor, key: tuple[int, ...], rows: slice | None = None, total: int = 0) -> Tensor:
        """Augment images (N, C, H, W), each in its own way: the same for the same key.

        Args:
            images: In the image range.
            key: Of the randomness.
            rows: Which of ``total`` images of a minibatch these are; by default all.
            total: Size of the minibatch, where ``rows`` is given.
        """
        if not self.policy:
            return images
        # Seven numbers an image whatever the policy, so that leaving one out changes no other.
        drawn = np.random.default_rng(key).random((total or len(images), 7), dtype=np.float32)
        chance = torch.from_numpy(drawn[rows or slice(None)]).to(images.device)
        if "color" in self.policy:
            images = _color(images, chance[:, :3], self._high - self._low)
        if "translation" in self.policy:
            images = _translate(images, chance[:, 3:5])
        if "cutout" in self.policy:
            images = _cut_out(images, chance[:, 5:])
        return images


def _column(values: Tensor, images: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1).to(images.dtype)


def _color(images: Tensor, chance: Tensor, extent: float) -> Tensor:
    images = images + _column((chance[:, 0] - 0.5) * extent / 2, images)
    gray = images.mean(1, keepdim=True)
    images = (images - gray) * _column(chance[:, 1] * 2, images) + gray
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * _column(chance[:, 2] + 0.5, images) + mean


def _places(extent: int, images: Tensor) -> Tensor:
    return torch.arange(extent, device=images.device)


def _translate(images: Tensor, chance: Tensor) -> Tensor:
    """Shift each image by whole pixels; what comes in at the edge is zero."""
    n, _, height, width = images.shape
    pad_y, pad_x = round(height * _SHIFT), round(width * _SHIFT)
    down = (chance[:, 0] * (2 * pad_y + 1)).long().clamp(max=2 * pad_y)
    right = (chance[:, 1] * (2 * pad_x + 1)).long().clamp(max=2 * pad_x)
    padded = torch.nn.functional.pad(images, (pad_x, pad_x, pad_y, pad_y))
    rows = _places(height, images) + down[:, None]  # (N, H)
    columns = _places(width, images) + right[:, None]  # (N, W)
    image = torch.arange(n, device=images.device)
    moved = padded.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _cut_out(images: Tensor, chance: Tensor) -> Tensor:
    """Zero a square at a random place, which may reach over the edge."""
    height, width = images.shape[2:]
    side_y, side_x = round(height * _SQUARE), round(width * _SQUARE)
    top = (chance[:, 0] * (height + 1)).long() - side_y // 2
    left = (chance[:, 1] * (width + 1)).long() - side_x // 2
    y, x = _places(height, images), _places(width, images)
    in_y = (y >= top[:, None]) & (y < top[:, None] + side_y)  # (N, H)
    in_x = (x >= left[:, None]) & (x < left[:, None] + side_x)  # (N, W)
    inside = in_y[:, None, :, None] & in_x[:, None, None, :]
    return images.masked_fill(inside, 0)
