"""Arrays under this framework's own names, for an architecture that is named beside them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field
from safetensors import SafetensorError, safe_open

from dcgan_analysis.checkpoints.importers.contract import ImportedWeights
from dcgan_analysis.checkpoints.importers.layout import Slot, collect
from dcgan_analysis.checkpoints.importers.settings import ImportSettings
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.builder import build

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.importers.contract import ImportRequest
    from dcgan_analysis.models.architecture import Architecture

__all__ = ["SafetensorsSettings", "load"]

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class SafetensorsSettings(ImportSettings):
    """What the file does not say."""

    architecture: str = Field(default="", description="registered name: dcgan32")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the architecture: parameters.width=64")
    network: Role | None = Field(default=None, description="whose arrays these are, where their names do not say it")


def load(request: ImportRequest) -> ImportedWeights:
    """Read a safetensors file.

    Arrays are called ``generator.<parameter>`` and ``discriminator.<parameter>``, or just ``<parameter>`` where
    ``network`` is set. Running statistics of batch normalisation may be left out, all of a network's or none.

    Raises:
        CheckpointError: If the file is damaged, or an array is missing, extra or misshapen.
        ArchitectureError, ConfigError, UnknownNameError: If a setting is wrong.
    """
    settings = SafetensorsSettings.build(request.settings)
    if not settings.architecture:
        msg = "Safetensors weights do not say what they are for: add --set architecture=dcgan32 (or another name)."
        raise CheckpointError(msg)
    architecture = request.architectures[settings.architecture].create(**settings.parameters)
    where = f"File '{request.path}'"
    arrays = _read(request.path)
    if settings.network is not None:
        prefix = f"{settings.network}."
        arrays = {prefix + name.removeprefix(prefix): array for name, array in arrays.items()}
    states: dict[Role, dict[str, Tensor] | None] = {}
    for role in ROLES:
        own_arrays = {name: array for name, array in arrays.items() if name.startswith(f"{role}.")}
        network = f"the {role} of {architecture.name}"
        states[role] = (
            collect(_slots(architecture, role, own_arrays), own_arrays, network, where) if own_arrays else None
        )
    for name in arrays:
        if name.partition(".")[0] not in ROLES:
            msg = (
                f"{where}: array '{name}' belongs to neither network; names begin with 'generator.' or "
                "'discriminator.', or add --set network=discriminator."
            )
            raise CheckpointError(msg)
    if not arrays:
        msg = f"{where} holds no arrays."
        raise CheckpointError(msg)
    return ImportedWeights(
        architecture,
        states["generator"],
        states["discriminator"],
        (request.path,),
        settings.batchnorm == "reestimate",
        settings.metadata("uniform"),
    )


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        msg = f"Safetensors file '{path}' does not exist."
        raise CheckpointError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        msg = f"File '{path}' cannot be read as safetensors: {error}. Copy or convert it again."
        raise CheckpointError(msg) from None


def _slots(architecture: Architecture, role: Role, arrays: Mapping[str, Tensor]) -> list[Slot]:
    network = build(partial(architecture.network, role))
    without = not any(name.endswith(_STATISTICS[:2]) for name in arrays)
    return [
        Slot(
            f"{role}.{name}",
            name,
            tuple(tensor.shape),
            optional=name.endswith(_STATISTICS[2]) or (without and name.endswith(_STATISTICS)),
        )
        for name, tensor in network.state_dict().items()
    ]
