"""What a checkpoint file says of itself, readable without torch: listings and checks need no weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMAT", "FORMAT_VERSION", "ROLES", "CheckpointMetadata", "Role", "read_metadata"]

FORMAT: Final = "dcgan-analysis/checkpoint"
FORMAT_VERSION = 1

Role = Literal["generator", "discriminator"]
ROLES: tuple[Role, Role] = ("generator", "discriminator")


class CheckpointMetadata(BaseModel):
    """What a checkpoint says of itself."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    format: Literal["dcgan-analysis/checkpoint"] = FORMAT
    version: int = FORMAT_VERSION
    architecture: str = Field(description="registered name")
    parameters: dict[str, Any] = Field(default_factory=dict)
    z_prior: Literal["uniform", "normal"] = "uniform"
    image_range: tuple[float, float] = (-1.0, 1.0)
    data: dict[str, Any] = Field(default_factory=dict, description="training images: name, split, n, sha256")
    training: dict[str, Any] = Field(default_factory=dict, description="training settings")
    step: int = 0
    epoch: float = 0.0
    provenance: dict[str, Any] = Field(default_factory=dict, description="who made it, when, with what")


def read_metadata(path: Path) -> CheckpointMetadata:
    """Read the metadata in a checkpoint file's header.

    Args:
        path: A safetensors file written by ``Checkpoint.save``.

    Raises:
        CheckpointError: If the file is absent, not safetensors, not a checkpoint, or of a newer version.
    """
    if not path.is_file():
        msg = f"Checkpoint file '{path}' does not exist. Known ones: dcgan-analyze list checkpoints"
        raise CheckpointError(msg)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        msg = f"Checkpoint file '{path}' cannot be read as safetensors: {error}. Copy or convert it again."
        raise CheckpointError(msg) from None
    text = header.get("dcgan_analysis")
    if text is None:
        msg = f"'{path}' is a safetensors file but no checkpoint of dcgan-analysis: its header lacks the metadata."
        raise CheckpointError(msg)
    try:
        document = json.loads(text)
        version = int(document.get("version", 0))
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"Checkpoint file '{path}' has damaged metadata: {error}."
        raise CheckpointError(msg) from None
    if version > FORMAT_VERSION:
        msg = (
            f"Checkpoint file '{path}' has format version {version}, this release reads {FORMAT_VERSION}. "
            "Update dcgan-analysis."
        )
        raise CheckpointError(msg)
    try:
        return CheckpointMetadata.model_validate(document)
    except ValidationError as error:
        item = error.errors()[0]
        where = ".".join(map(str, item["loc"]))
        msg = f"Checkpoint file '{path}' has damaged metadata: {where}: {item['msg']}."
        raise CheckpointError(msg) from None
