"""From what an importer read to a checkpoint: statistics of batch normalisation, hashes of the files, the licence."""

from __future__ import annotations

import time
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.metadata import CheckpointMetadata
from dcgan_analysis.checkpoints.sampling import STATISTICS, with_sample_statistics
from dcgan_analysis.checkpoints.statistics import stale_statistics, with_image_statistics, with_missing_statistics
from dcgan_analysis.core.hashing import hash_file
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.batchnorm import batchnorm_layers
from dcgan_analysis.models.builder import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.importers.contract import ImportedWeights
    from dcgan_analysis.data.dataset import DatasetSplit

__all__ = ["assemble"]

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_LONGEST_LICENCE = 100_000
_STORED = "in the files"
_UNKNOWN = "not in the files (mean 0, variance 1 stand in): use BatchNorm mode reestimated or batch"


def assemble(imported: ImportedWeights, name: str, format: str, reference: DatasetSplit | None = None) -> Checkpoint:
    """Make a checkpoint of imported weights.

    Where the files hold no running statistics, the generator's are re-estimated on latent vectors from ``z_prior``, as
    the authors' code, which samples in batch mode, normalises them. The discriminator's need images: the reference, or,
    where re-estimation is asked for, samples of the generator. Without them they stay at mean 0, variance 1.
    ``provenance["batchnorm"]`` says what was done, ``provenance["warnings"]`` what should be looked at.

    Args:
        imported: What an importer returned.
        name: What to call the checkpoint.
        format: The importer's name, for the provenance.
        reference: Images to re-estimate the discriminator's statistics on.

    Raises:
        CheckpointError: If the weights do not fit their architecture, the metadata are not a checkpoint's, or there is
            nothing to re-estimate statistics on.
    """
    states = {"generator": imported.generator, "discriminator": imported.discriminator}
    weights: dict[Role, Mapping[str, Tensor]] = {}
    kept: dict[Role, bool] = {}
    for role in ROLES:
        state = states[role]
        if state is not None:
            weights[role], kept[role] = with_missing_statistics(
                build(partial(imported.architecture.network, role)), state
            )
    checkpoint = Checkpoint(name, imported.architecture, weights, _metadata(imported, format))
    for role in weights:
        # Building the network checks names and shapes, which a stranger's importer may have got wrong.
        checkpoint.network(role)
    for role in weights:
        checkpoint = _with_known_statistics(checkpoint, role, kept[role], imported.reestimate, reference)
    return checkpoint


def _with_known_statistics(
    checkpoint: Checkpoint, role: Role, kept: bool, again: bool, reference: DatasetSplit | None
) -> Checkpoint:
    """Estimate the statistics of one network where they are missing or it is asked for; note what was done."""
    provenance = checkpoint.metadata.provenance
    layers = batchnorm_layers(checkpoint.network(role))
    stale = stale_statistics(checkpoint, role) if kept else ""
    how = _STORED if kept else _UNKNOWN
    if role == "generator" and ((again and layers) or not kept):
        checkpoint, how = with_sample_statistics(checkpoint), STATISTICS
    elif role == "discriminator" and layers and (again or reference is not None):
        checkpoint, how = with_image_statistics(checkpoint, reference)
    elif stale:
        how = f"in the files, but {stale}"
        provenance["warnings"].append(
            f"{role}: BatchNorm statistics are {how}; outputs are wrong unless that was meant. "
            "Estimate them anew: --set batchnorm=reestimate"
        )
    provenance["batchnorm"][role] = how
    return checkpoint


def _metadata(imported: ImportedWeights, format: str) -> CheckpointMetadata:
    architecture = imported.architecture
    metadata = dict(imported.metadata)
    provenance = {
        "origin": "imported",
        "format": format,
        "files": {path.name: hash_file(path) for path in imported.files},
        "batchnorm": {},
        "warnings": [],
        "dcgan_analysis": version("dcgan-analysis"),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        **_licence(imported.files),
    }
    try:
        return CheckpointMetadata(
            architecture=architecture.name,
            parameters=dict(architecture.parameters),
            image_range=architecture.image_range,
            provenance=provenance | dict(metadata.pop("provenance", {})),
            **metadata,
        )
    except (ValidationError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        msg = f"Importer '{format}' returned metadata that no checkpoint has: {text}."
        raise CheckpointError(msg) from None


def _licence(files: Sequence[Path]) -> dict[str, Any]:
    """Return the text of a licence that lies beside the files, under ``licence``."""
    for folder in dict.fromkeys(path.parent for path in files):
        for name in _LICENCES:
            if (folder / name).is_file():
                with (folder / name).open(encoding="utf-8", errors="replace") as stream:
                    return {"licence": stream.read(_LONGEST_LICENCE)}
    return {}
