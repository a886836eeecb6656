"""A discriminator that is made to tell K classes apart: the same layers, its last unit replaced by K logits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.builder import Block
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.models.summary import output_shape

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """Maps images to K logits with the layers of an architecture's discriminator.

    Labels join no layer, also where the discriminator is conditional: they are what is to be found.

    Args:
        architecture: Its discriminator must have a layer table whose last row is one linear unit.
        classes: K, at least 2.

    Attributes:
        architecture: The same.
        trunk: All layers but the last.
        head: The last.

    Raises:
        ArchitectureError: If there is no such table.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> network = Classifier.random(dcgan32(width=8), classes=10, generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        table = architecture.discriminator_layers
        if len(table) < 2 or table[-1].kind != "linear":
            msg = (
                f"Architecture '{architecture.name}' has no discriminator table that ends in a linear unit; "
                "a classifier can only be made of one that has."
            )
            raise ArchitectureError(msg)
        bare = replace(architecture, classes=0)
        shape: tuple[int, ...] = architecture.image_shape
        blocks = []
        for row in (*table[:-1], replace(table[-1], out=classes)):
            layer = replace(row, conditional=False)
            blocks.append(Block(layer, shape, bare))
            shape = output_shape(layer, shape)
        self.trunk, self.head = nn.ModuleList(blocks[:-1]), blocks[-1]

    @classmethod
    def random(cls, architecture: Architecture, classes: int, generator: torch.Generator) -> Classifier:
        """Return one with weights drawn as the paper does; torch's global random state is left alone."""
        with torch.device("meta"):
            network = cls(architecture, classes)
        network.to_empty(device="cpu")
        initialise(network, generator)
        return network

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer sees, (N, D), of images (N, C, H, W) in the architecture's range."""
        x = images
        for block in self.trunk:
            x = block(x, None)
        return x.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        result: Tensor = self.head(self.features(images), None)
        return result
