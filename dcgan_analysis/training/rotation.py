"""Self-supervision by rotation: the discriminator also tells by how many quarter turns images were turned.

SS-GAN (Chen et al. 2019, arXiv 1811.11212): a second head on what the discriminator's last layer works on. A quarter of
the images of a minibatch are turned by 0, 90, 180 and 270 degrees; the discriminator learns the turns of real images,
the generator to make images whose turns can be told. Weights of the two losses as there: 1 and 0.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.core.randomness import torch_generator
from dcgan_analysis.models.hooks import run_to
from dcgan_analysis.models.shapes import output_shape

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture

GENERATOR_WEIGHT = 0.2
"""Of the generator's loss; the discriminator's has weight 1."""

TURNS = 4


def quarter_turns(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first quarter of images, at least one, in four orientations, and their quarter turns.

    Args:
        images: (N, C, H, W), square.

    Returns:
        Images (4 M, C, H, W), M each of 0 to 3 turns, and the turns (4 M,).

    Example:
        >>> turned, turns = quarter_turns(torch.arange(4.0).reshape(1, 1, 2, 2))
        >>> turned[:, 0, 0].tolist(), turns.tolist()
        ([[0.0, 1.0], [1.0, 3.0], [3.0, 2.0], [2.0, 0.0]], [0, 1, 2, 3])
    """
    quarter = images[: max(1, len(images) // TURNS)]
    turned = torch.cat([torch.rot90(quarter, turns, (2, 3)) for turns in range(TURNS)])
    return turned, torch.arange(TURNS, device=images.device).repeat_interleave(len(quarter))


class RotationHead(nn.Module):
    """Tells quarter turns from what the last layer of a discriminator works on.

    Args:
        architecture: Whose discriminator; it has a layer table of two rows or more.
        seed: Of the initial weights.
    """

    def __init__(self, architecture: Architecture, seed: int) -> None:
        super().__init__()
        *hidden, _ = architecture.discriminator_layers
        self._tap = hidden[-1].name
        shape: tuple[int, ...] = architecture.image_shape
        for layer in hidden:
            shape = output_shape(layer, shape)
        self.turns = nn.Linear(math.prod(shape), TURNS)
        with torch.no_grad():
            self.turns.weight.normal_(0, 0.02, generator=torch_generator("rotation head", seed))
            self.turns.bias.zero_()

    def forward(self, discriminator: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the cross entropy of the turns of a quarter of some images, in float32.

        Args:
            discriminator: Whose features; batch normalisation sees the turned images alone.
            images: (N, C, H, W).
            labels: Class numbers (N,), for a conditional discriminator.
        """
        turned, turns = quarter_turns(images)
        arguments = [turned] if labels is None else [turned, labels[: len(turned) // TURNS].repeat(TURNS)]
        features = run_to(discriminator, self._tap, *arguments)
        return F.cross_entropy(self.turns(features.flatten(1)).float(), turns)
