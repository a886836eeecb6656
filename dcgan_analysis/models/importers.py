"""What a weight importer is: it turns a foreign file into a checkpoint of this framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

    from dcgan_analysis.models.architecture import Architecture

__all__ = ["ImportedWeights", "WeightImporter"]


@dataclass(frozen=True)
class ImportedWeights:
    """What an importer returns.

    Attributes:
        architecture: The architecture that the weights belong to.
        generator: State dict of the generator, or None where the file holds none.
        discriminator: State dict of the discriminator, or None likewise.
        metadata: What is known of their training: ``z_prior``, ``data``, ``provenance``, ...
    """

    architecture: Architecture
    generator: Mapping[str, torch.Tensor] | None
    discriminator: Mapping[str, torch.Tensor] | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class WeightImporter:
    """A registered importer.

    Attributes:
        name: Name of the format: ``"theano"``.
        summary: One line for listings.
        load: Reads a file or folder. It must never execute code from it: ``allow_pickle=False``,
            ``weights_only=True``. It raises ``CheckpointError`` naming a missing, extra or misshapen array.
    """

    name: str
    summary: str
    load: Callable[[Path], ImportedWeights]
