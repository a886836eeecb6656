"""State dicts of PyTorch's widespread 64x64 DCGAN example: ``netG_epoch_24.pth``, ``netD_epoch_24.pth``.

Source: github.com/pytorch/examples, ``dcgan/main.py``. Both networks are one ``nn.Sequential`` called ``main``, so the
arrays are numbered by position: ``main.0.weight``. The generator's projection is a 4x4 fractional-strided convolution
from 1x1, the discriminator's logit a 4x4 convolution to 1x1; here both are linear layers, which is the same map.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.checkpoints.importers.contract import ImportedWeights
from dcgan_analysis.checkpoints.importers.layout import Slot, collect, fit
from dcgan_analysis.checkpoints.importers.settings import EpochSettings
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.shapes import layer_inputs
from dcgan_analysis.models.tables import dcgan64_4x4

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.importers.contract import ImportRequest
    from dcgan_analysis.models.architecture import Architecture, Layer

__all__ = ["load"]

_FILE = re.compile(r"net(?P<side>[GD])(?:_epoch_(?P<epoch>\d+))?\.(?:pth|pt)")
_SIDES: dict[str, Role] = {"G": "generator", "D": "discriminator"}
_SIZES = ("generator_width", "width", "z_size", "image_channels")
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def load(request: ImportRequest) -> ImportedWeights:
    """Read one state dict, or a folder with one of either network.

    Raises:
        CheckpointError: If a file is damaged, hides code, or is no state dict of that example; if an array is missing,
            extra or misshapen.
        ConfigError: If a setting is wrong.
    """
    settings = EpochSettings.build(request.settings)
    files = _choose(request.path, settings.epoch)
    read = {path: _without_prefix(_read(path)) for path in files}
    roles: dict[Role, Path] = {_role(arrays, path): path for path, arrays in read.items()}
    if len(roles) < len(files):
        msg = f"Folder '{request.path}': '{files[0].name}' and '{files[1].name}' both hold a {next(iter(roles))}."
        raise CheckpointError(msg)
    shapes = {f"{role}.{name}": tuple(array.shape) for role in roles for name, array in read[roles[role]].items()}
    architecture = dcgan64_4x4(**fit(dcgan64_4x4, _SIZES, _both, shapes))
    states: dict[Role, dict[str, Tensor]] = {}
    for role, path in roles.items():
        network = f"the {role} of {architecture.name}"
        states[role] = collect(_slots(architecture, role), read[path], network, f"File '{path}'")
    epochs = [int(match["epoch"]) + 1 for path in files if (match := _FILE.fullmatch(path.name)) and match["epoch"]]
    return ImportedWeights(
        architecture,
        states.get("generator"),
        states.get("discriminator"),
        tuple(files),
        # The example numbers its epochs from 0.
        settings.metadata("normal", epoch=float(max(epochs, default=0))),
    )


def _choose(path: Path, epoch: int | None) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        msg = f"PyTorch weights '{path}' do not exist. Name a .pth file, or a folder with netG.pth and netD.pth."
        raise CheckpointError(msg)
    found = [(file, match) for file in sorted(path.iterdir()) if (match := _FILE.fullmatch(file.name))]
    if epoch is not None:
        found = [(file, match) for file, match in found if match["epoch"] is not None and int(match["epoch"]) == epoch]
    chosen = []
    for side, role in _SIDES.items():
        mine = [file for file, match in found if match["side"] == side]
        if len(mine) > 1:
            names = ", ".join(file.name for file in mine[:3]) + (", ..." if len(mine) > 3 else "")
            msg = f"Folder '{path}' holds {len(mine)} files of a {role} ({names}). Choose one: --set epoch=NUMBER"
            raise CheckpointError(msg)
        chosen += mine
    if not chosen:
        wanted = "netG.pth or netG_epoch_24.pth" if epoch is None else f"netG_epoch_{epoch}.pth"
        msg = f"Folder '{path}' holds no state dict of the example, such as {wanted}."
        raise CheckpointError(msg)
    return chosen


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # Torch warns of old pickle protocols; what matters here is whether it reads them.
            warnings.simplefilter("ignore")
            document: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # A crafted pickle makes the reader fail in any way.
        raise CheckpointError(_why_not(path, error)) from None
    if not isinstance(document, dict) or not document:
        msg = f"File '{path}' holds a {type(document).__name__}, not a state dict."
        raise CheckpointError(msg)
    for name, value in document.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            msg = (
                f"File '{path}' is no state dict: its entry {name!r} is a {type(value).__name__}, not an array. "
                "Save netG.state_dict() alone."
            )
            raise CheckpointError(msg)
    return dict(document)


def _why_not(path: Path, error: Exception) -> str:
    text = str(error)
    if "weights_only" in text or "Weights only" in text:
        named = _GLOBAL.search(text)
        what = f" ({named[1]})" if named else ""
        return (
            f"File '{path}' hides code{what}: reading it would run more than plain arrays need. It was refused and "
            "nothing was run. Save netG.state_dict() alone."
        )
    return f"File '{path}' cannot be read as a PyTorch file: truncated, or of another kind. Copy it again."


def _without_prefix(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # nn.DataParallel puts its own name before every array's.
    return {re.sub(r"^(module\.)+", "", name): array for name, array in arrays.items()}


def _role(arrays: Mapping[str, Tensor], path: Path) -> Role:
    """Tell by the names of the arrays which network a state dict is of."""
    names = {role: {slot.source for slot in _slots(dcgan64_4x4(), role)} for role in ROLES}
    known = {role: len(names[role] & set(arrays)) for role in ROLES}
    if 2 * max(known.values()) < len(arrays):
        msg = (
            f"File '{path}' is no state dict of the 64x64 DCGAN example: its arrays are called "
            f"'{next(iter(arrays))}' and so on, not 'main.0.weight'."
        )
        raise CheckpointError(msg)
    # Names in common, less those that only the other network has: either one's are partly a subset of the other's.
    return max(ROLES, key=lambda role: 2 * known[role] - len(names[role]))


def _both(architecture: Architecture) -> list[Slot]:
    # Both networks call their arrays the same.
    return [replace(slot, source=f"{role}.{slot.source}") for role in ROLES for slot in _slots(architecture, role)]


def _slots(architecture: Architecture, role: Role) -> list[Slot]:
    slots = []
    position = 0
    for layer, inputs in layer_inputs(architecture, role):
        slots.append(_operation(layer, inputs, f"main.{position}.weight"))
        if layer.normalisation == "batch":
            position += 1
            slots += _batchnorm(layer, f"main.{position}")
        # Past this layer and its activation.
        position += 2
    return slots


def _operation(layer: Layer, inputs: tuple[int, ...], source: str) -> Slot:
    target = f"{layer.name}.operation.weight"
    if layer.reshape is not None:
        # From 1x1: output (c, i, j) is the sum over z of w[z, c, i, j].
        return Slot(source, target, (inputs[0], *layer.reshape), lambda array: array.flatten(1).t())
    if layer.kind == "linear":
        return Slot(source, target, (layer.out, *inputs), lambda array: array.flatten(1))
    channels = (layer.out, inputs[0]) if layer.kind == "conv" else (inputs[0], layer.out)
    return Slot(source, target, (*channels, *layer.kernel_size))


def _batchnorm(layer: Layer, source: str) -> list[Slot]:
    shape = (layer.reshape[0] if layer.reshape is not None else layer.out,)
    slots = [
        Slot(f"{source}.{name}", f"{layer.name}.norm.{name}", shape)
        for name in ("weight", "bias", "running_mean", "running_var")
    ]
    # Torch before 0.4.1 did not count batches.
    counter = "num_batches_tracked"
    return [*slots, Slot(f"{source}.{counter}", f"{layer.name}.norm.{counter}", (), optional=True)]
