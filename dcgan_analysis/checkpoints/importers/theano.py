"""The arrays that the authors' code saved: ``200_gen_params.jl_01.npy`` and so on, in the order of the parameters.

Source: github.com/Newmu/dcgan_code (``lib/ops.py``, ``svhn/``, ``imagenet/``). Three things differ from torch:

- Theano convolves, torch correlates: every kernel is flipped on both axes. The generator's ``deconv`` is the gradient
  of such a convolution with respect to its input, (in maps, out maps, k, k) like torch's ``ConvTranspose2d``, and its
  kernel is flipped as well; the output of the gradient is said to be ``stride`` times as large, torch's
  ``output_padding``.
- A fully connected layer is ``dot(x, w)``: w is (inputs, units), torch's transposed.
- Batch normalisation adds 1e-8 to the variance, and has no running statistics: the code samples in batch mode.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.lib.format import MAGIC_PREFIX

from dcgan_analysis.checkpoints.importers.contract import ImportedWeights
from dcgan_analysis.checkpoints.importers.layout import Slot, collect, fit, matches, unchanged
from dcgan_analysis.checkpoints.importers.settings import EpochSettings
from dcgan_analysis.core.array_files import read_npy_header
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.shapes import layer_inputs
from dcgan_analysis.models.tables import dcgan32, dcgan32_svhn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.importers.contract import ImportRequest
    from dcgan_analysis.models.architecture import Architecture

__all__ = ["load"]

_FILE = re.compile(r"(?:(?P<epoch>\d+)_)?(?P<stem>gen|discrim)_params\.jl_\d+\.npy")
_STEMS: dict[Role, str] = {"generator": "gen", "discriminator": "discrim"}
_EPS = 1e-8
# The layouts that the authors released, each with the latent vectors that its training script draws.
_LAYOUTS = ((dcgan32_svhn, "normal"), (dcgan32, "uniform"))
_EXAMPLE = "200_gen_params.jl_01.npy"


def load(request: ImportRequest) -> ImportedWeights:
    """Read a folder of the authors' arrays.

    Raises:
        CheckpointError: If the folder holds none, one of them is missing, extra, misshapen, damaged or a pickle, or the
            arrays fit no known network.
        ConfigError: If a setting is wrong.
    """
    settings = EpochSettings.build(request.settings)
    files = _choose(request.path, settings.epoch)
    arrays = {path.name: _read(path) for path in files}
    where = f"Folder '{request.path}'"
    prefix = files[0].name.partition("_")[0] + "_" if files[0].name[0].isdigit() else ""
    architecture, z_prior = _recognise(arrays, prefix, where)
    states: dict[Role, dict[str, Tensor] | None] = {}
    for role in ROLES:
        own_arrays = {name: array for name, array in arrays.items() if f"{_STEMS[role]}_params" in name}
        network = f"the {role} of {architecture.name}"
        states[role] = collect(_slots(architecture, role, prefix), own_arrays, network, where) if own_arrays else None
    return ImportedWeights(
        architecture,
        states["generator"],
        states["discriminator"],
        tuple(files),
        settings.batchnorm == "reestimate",
        settings.metadata(z_prior, epoch=float(prefix.rstrip("_") or 0)),
    )


def _choose(folder: Path, epoch: int | None) -> list[Path]:
    if not folder.is_dir():
        msg = f"Theano weights '{folder}' are no folder. Name the folder that holds the arrays ({_EXAMPLE}, ...)."
        raise CheckpointError(msg)
    names = {path: _FILE.fullmatch(path.name) for path in sorted(folder.glob("*.npy"))}
    if not any(names.values()):
        msg = f"Folder '{folder}' holds no arrays of the authors' code; their names are like {_EXAMPLE}."
        raise CheckpointError(msg)
    for path, match in names.items():
        if match is None:
            msg = f"Folder '{folder}': array '{path.name}' belongs to neither network; names are like {_EXAMPLE}."
            raise CheckpointError(msg)
    epochs = {path: match["epoch"] for path, match in names.items() if match}
    there = sorted(set(epochs.values()), key=lambda text: int(text or 0))
    if epoch is not None:
        there = [text for text in there if text is not None and int(text) == epoch]
    if len(there) != 1:
        known = ", ".join(sorted({text for text in epochs.values() if text}, key=int)) or "none"
        msg = f"Folder '{folder}' holds the epochs {known}. Choose one of them: --set epoch=NUMBER"
        raise CheckpointError(msg)
    return [path for path, text in epochs.items() if text == there[0]]


def _read(path: Path) -> Tensor:
    try:
        with path.open("rb") as stream:
            read_npy_header(stream)
        # Mapped, so that a header that promises more than the file holds is found before memory is asked for.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise CheckpointError(_why_not(path, str(error))) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = array.dtype if isinstance(array, np.ndarray) else "an archive"
        msg = f"Array file '{path}' must hold real numbers, got {kind}."
        raise CheckpointError(msg)
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _why_not(path: Path, error: str) -> str:
    with path.open("rb") as stream:
        start = stream.read(len(MAGIC_PREFIX))
    if "Python objects" in error or not MAGIC_PREFIX.startswith(start):
        return f"Array file '{path}' hides code: it is a pickle, or at least no plain array. It was refused unread."
    return " ".join(f"Array file '{path}' cannot be read: truncated or damaged ({error}). Copy it again.".split())


def _recognise(arrays: Mapping[str, Tensor], prefix: str, where: str) -> tuple[Architecture, str]:
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    best, recognised = 0, None
    for table, z_prior in _LAYOUTS:
        build = partial(table, batchnorm_eps=_EPS)
        slots = partial(_both, prefix=prefix)
        architecture = build(**fit(build, ("width", "z_size", "image_channels"), slots, shapes))
        count = matches(slots(architecture), shapes)
        if count > best:
            best, recognised = count, (architecture, z_prior)
    if recognised is None or 2 * best < len(arrays):
        first, shape = next(iter(shapes.items()))
        msg = (
            f"{where}: the arrays fit none of the authors' released networks, dcgan32-svhn (8 and 10 arrays, 5x5) and "
            f"dcgan32 (17 and 19, 3x3); '{first}' has shape {shape}."
        )
        raise CheckpointError(msg)
    return recognised


def _both(architecture: Architecture, prefix: str) -> list[Slot]:
    return [slot for role in ROLES for slot in _slots(architecture, role, prefix)]


def _slots(architecture: Architecture, role: Role, prefix: str) -> list[Slot]:
    """Return the parameters in the order of the authors' functions: w, then g and b where there is normalisation."""
    slots: list[Slot] = []

    def add(target: str, shape: tuple[int, ...], convert: Callable[[Tensor], Tensor] = unchanged) -> None:
        source = f"{prefix}{_STEMS[role]}_params.jl_{len(slots) + 1:02d}.npy"
        slots.append(Slot(source, target, shape, convert))

    for layer, inputs in layer_inputs(architecture, role):
        kernel = layer.kernel_size
        weight = f"{layer.name}.operation.weight"
        if layer.kind == "linear":
            add(weight, (int(np.prod(inputs)), layer.out), torch.t)
        elif layer.kind == "conv":
            add(weight, (layer.out, inputs[0], *kernel), _flip)
        else:
            add(weight, (inputs[0], layer.out, *kernel), _flip)
        if layer.normalisation == "batch":
            add(f"{layer.name}.norm.weight", (layer.out,))
            add(f"{layer.name}.norm.bias", (layer.out,))
    return slots


def _flip(kernels: Tensor) -> Tensor:
    return kernels.flip(2, 3)
