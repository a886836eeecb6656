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
from dcgan_analysis.core.hashing import hash_file
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.batchnorm import batchnorm_layers
from dcgan_analysis.models.builder import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.importers.contract import ImportedWeights

__all__ = ["assemble"]

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_LONGEST_LICENCE = 100_000
_UNKNOWN = "not in the files (mean 0, variance 1 stand in): use BatchNorm mode reestimated or batch"


def assemble(imported: ImportedWeights, name: str, format: str) -> Checkpoint:
    """Make a checkpoint of imported weights.

    Where the files hold no running statistics, the generator's are re-estimated on latent vectors from ``z_prior``, as
    the authors' code, which samples in batch mode, normalises them. The discriminator's need images, which are not
    here: they stay at mean 0, variance 1, and ``provenance["batchnorm"]`` says so.

    Args:
        imported: What an importer returned.
        name: What to call the checkpoint.
        format: The importer's name, for the provenance.

    Raises:
        CheckpointError: If the weights do not fit their architecture, or the metadata are not a checkpoint's.
    """
    states = {"generator": imported.generator, "discriminator": imported.discriminator}
    weights: dict[Role, Mapping[str, Tensor]] = {}
    batchnorm: dict[str, str] = {}
    for role in ROLES:
        state = states[role]
        if state is None:
            continue
        weights[role], known = _with_statistics(build(partial(imported.architecture.network, role)), state)
        batchnorm[role] = "in the files" if known else STATISTICS if role == "generator" else _UNKNOWN
    checkpoint = Checkpoint(name, imported.architecture, weights, _metadata(imported, format, batchnorm))
    for role in weights:
        # Building the network checks names and shapes, which a stranger's importer may have got wrong.
        checkpoint.network(role)
    return with_sample_statistics(checkpoint) if batchnorm.get("generator") == STATISTICS else checkpoint


def _with_statistics(network: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """Fill in mean 0, variance 1 and count 0 where they are missing; also say whether none of the first two was."""
    filled = dict(state)
    known = True
    for path, layer in batchnorm_layers(network).items():
        layer.reset_running_stats()
        for key, buffer in layer.named_buffers():
            if f"{path}.{key}" not in state:
                filled[f"{path}.{key}"] = buffer.clone()
                known = known and key == "num_batches_tracked"
    return filled, known


def _metadata(imported: ImportedWeights, format: str, batchnorm: dict[str, str]) -> CheckpointMetadata:
    architecture = imported.architecture
    given = dict(imported.metadata)
    provenance = {
        "origin": "imported",
        "format": format,
        "files": {path.name: hash_file(path) for path in imported.files},
        "batchnorm": batchnorm,
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
            provenance=provenance | dict(given.pop("provenance", {})),
            **given,
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
