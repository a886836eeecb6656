"""What a weight importer is: it turns a foreign file into the weights of a checkpoint of this framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.models.registry import ArchitectureEntry

__all__ = ["ImportRequest", "ImportedWeights", "WeightImporter"]


@dataclass(frozen=True)
class ImportRequest:
    """What an importer is asked to read.

    Attributes:
        paths: The file or folder; or two, where the networks lie in one each.
        settings: What was given by ``--set``, not yet checked; ``config.Settings.build`` refuses unknown keys.
        architectures: All registered architectures by name.
    """

    paths: tuple[Path, ...]
    settings: Mapping[str, Any]
    architectures: Registry[ArchitectureEntry]

    @property
    def path(self) -> Path:
        """The one file or folder.

        Raises:
            CheckpointError: If two were given.
        """
        if len(self.paths) != 1:
            msg = f"This format is read from one file or folder, got {len(self.paths)}. Name one."
            raise CheckpointError(msg)
        return self.paths[0]


@dataclass(frozen=True)
class ImportedWeights:
    """What an importer returns.

    State dicts use this framework's names. Running statistics of batch normalisation and their counters may be left
    out where the file holds none: the framework re-estimates the generator's on latent vectors, the discriminator's on
    images where there are some, or notes in the checkpoint that they are to be re-estimated.

    Attributes:
        architecture: The architecture that the weights belong to.
        generator: State dict of the generator, or None where the file holds none.
        discriminator: State dict of the discriminator, or None likewise.
        files: The files read; the checkpoint keeps their hashes, and the text of a licence that lies beside them.
        reestimate: Whether statistics of batch normalisation that the file holds are to be estimated anew.
        metadata: What is known of the training, as fields of ``CheckpointMetadata``: ``z_prior``, ``data``,
            ``training``, ``epoch``, ``provenance``.
    """

    architecture: Architecture
    generator: Mapping[str, torch.Tensor] | None
    discriminator: Mapping[str, torch.Tensor] | None
    files: tuple[Path, ...] = ()
    reestimate: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightImporter:
    """A registered importer.

    Attributes:
        name: Name of the format: ``"theano"``.
        summary: One line for listings.
        recognises: Says whether a path is of this format, so that nobody needs to name it; None: never.
        load: Reads a file or folder. It must never execute code from it: ``allow_pickle=False``,
            ``weights_only=True``. It raises ``CheckpointError`` naming a missing, extra or misshapen array.
    """

    name: str
    summary: str
    load: Callable[[ImportRequest], ImportedWeights]
    recognises: Callable[[Path], bool] | None = None
