"""Single units of a network as functions of the image: what attributions explain and gradient ascent maximises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.hooks import run_to
from dcgan_analysis.units.responses import as_maps

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Units:
    """One unit for each of N images.

    Attributes:
        features: Number of the map, int64 (N,).
        positions: Place in the map, row * width + column, int64 (N,).
    """

    features: Tensor
    positions: Tensor

    @classmethod
    def of(cls, features: Sequence[int], positions: Sequence[int]) -> Units:
        """Make them of plain numbers."""
        return cls(torch.tensor(list(features)), torch.tensor(list(positions)))

    def __getitem__(self, index: slice) -> Units:
        return Units(self.features[index], self.positions[index])

    def __len__(self) -> int:
        return len(self.features)


class UnitResponse(nn.Module):
    """A network cut at a tap: images in, the activation of one unit for each image out.

    Args:
        network: A discriminator; it is used as it is, not copied.
        tap: Module path.

    Example:
        >>> from dcgan_analysis.models.initialisation import initialise
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> network = dcgan32(width=8).discriminator().eval()
        >>> initialise(network, torch.Generator().manual_seed(0))
        >>> units = Units.of(features=[0, 5], positions=[0, 15])
        >>> UnitResponse(network, "conv6")(torch.zeros(2, 3, 32, 32), units.features, units.positions).shape
        torch.Size([2])
    """

    def __init__(self, network: nn.Module, tap: str) -> None:
        super().__init__()
        self.network = network
        self.tap = tap

    def forward(self, images: Tensor, features: Tensor, positions: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the activations (N,) of the units ``features``, ``positions`` (N,) for images (N, C, H, W).

        Raises:
            AnalysisError: If a feature's number is larger than the layer.
        """
        maps = as_maps(run_to(self.network, self.tap, *((images,) if labels is None else (images, labels))))
        if int(features.max()) >= maps.shape[1]:
            msg = f"Tap '{self.tap}' has features 0 to {maps.shape[1] - 1}, got {int(features.max())}."
            raise AnalysisError(msg)
        result: Tensor = maps.flatten(2)[torch.arange(len(maps)), features, positions]
        return result
