"""The arrays of one module: what each is by its name, and weights that are stored in parts put together.

Spectral normalisation keeps a kernel and two vectors (``weight_orig``, ``weight_u``, ``weight_v``; today
``parametrizations.weight.original``, ``parametrizations.weight.0._u``, ``..._v``), weight normalisation lengths and
directions (``weight_g``, ``weight_v``; ``parametrizations.weight.original0``, ``original1``). A trained network needs
only their product.

Source: ``torch/nn/utils/spectral_norm.py``, ``weight_norm.py`` and ``parametrizations.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import torch

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["LEAVES", "fold", "split_name"]

# Names of arrays in PyTorch, Keras and TensorFlow, Chainer, Flax, and by whoever writes their own.
LEAVES: Mapping[str, str] = {
    **dict.fromkeys(("weight", "w", "kernel", "kernels", "weights", "gamma", "scale", "matrix", "embedding"), "weight"),
    **dict.fromkeys(("bias", "b", "beta", "offset", "biases"), "bias"),
    **dict.fromkeys(("running_mean", "moving_mean", "avg_mean", "mean"), "mean"),
    **dict.fromkeys(("running_var", "moving_variance", "avg_var", "var", "variance", "moving_var"), "variance"),
    **dict.fromkeys(("num_batches_tracked", "n", "count"), "count"),
    **dict.fromkeys(("weight_orig", "weight_bar"), "spectral_weight"),
    "weight_u": "spectral_u",
    "weight_v": "weight_v",
    "weight_g": "weight_g",
    "u": "spectral_u",
    "parametrizations.weight.original": "spectral_weight",
    "parametrizations.weight.0._u": "spectral_u",
    "parametrizations.weight.0._v": "weight_v",
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}
_LENGTHS = (4, 3, 1)  # words of the names above, the longest first


def split_name(name: str) -> tuple[str, str | None]:
    """Split an array's name into its module's and what it is there.

    Example:
        >>> split_name("main.0.parametrizations.weight.original0")
        ('main.0', 'weight_g')
        >>> split_name("conv2d/kernel:0")
        ('conv2d', 'weight')
        >>> split_name("noise")
        ('noise', None)
    """
    words = name.removesuffix(":0").replace("/", ".").split(".")
    for count in _LENGTHS:
        leaf = LEAVES.get(".".join(words[-count:]).lower()) if len(words) >= count else None
        if leaf is not None:
            return ".".join(words[:-count]), leaf
    return ".".join(words), None


def fold(module: str, leaves: Mapping[str, Array], axis: int | None = None) -> dict[str, Array]:
    """Put together weights that are stored in parts.

    Args:
        module: The module's name, for messages.
        leaves: Its arrays by what they are.
        axis: Which axis of the kernels numbers the outputs, where it is known: 1 of transposed convolutions.

    Returns:
        The arrays without the parts, ``weight`` whole.

    Raises:
        CheckpointError: If parts are missing or do not fit.

    Example:
        >>> from dcgan_analysis.checkpoints.importers.arrays import in_memory
        >>> parts = {"weight_g": in_memory("g", torch.tensor([[5.0]])), "weight_v": in_memory("v", torch.ones(1, 4))}
        >>> fold("linear", parts)["weight"].read()
        tensor([[2.5000, 2.5000, 2.5000, 2.5000]])
    """
    rest = {
        name: array
        for name, array in leaves.items()
        if name not in ("spectral_weight", "spectral_u", "weight_v", "weight_g")
    }
    if "spectral_weight" in leaves:
        rest["weight"] = _spectral(module, leaves, axis)
    elif "weight_g" in leaves:
        rest["weight"] = _lengths_and_directions(module, leaves)
    return rest


def _spectral(module: str, leaves: Mapping[str, Array], axis: int | None) -> Array:
    weight, u, v = leaves["spectral_weight"], leaves.get("spectral_u"), leaves.get("weight_v")
    if u is None:
        # Flat arrays (biases) are not normalised, and a weight may be stored whole beside its parts.
        _miss(module, "weight_u", "spectral normalisation")
    length = u.size
    axes = [axis] if axis is not None else [each for each in (0, 1) if weight.shape[each : each + 1] == (length,)]
    if not axes or any(weight.shape[each] != length for each in axes):
        _misfit(module, weight, u)
    if v is not None and v.size * length != weight.size:
        _misfit(module, weight, v)

    def read() -> Tensor:
        values, left = weight.tensor(), u.tensor().flatten()
        sigmas = []
        for each in axes:
            matrix = values.movedim(each, 0).flatten(1)
            right = torch.nn.functional.normalize(matrix.t() @ left, dim=0) if v is None else v.tensor().flatten()
            sigmas.append(left @ (matrix @ right))
        # Of a square kernel either axis could be meant; along the wrong one the vectors find next to nothing.
        sigma = max(sigmas, key=lambda value: float(value.abs()))
        return values / sigma

    return Array(weight.name, weight.shape, read)


def _lengths_and_directions(module: str, leaves: Mapping[str, Array]) -> Array:
    lengths, directions = leaves["weight_g"], leaves.get("weight_v")
    if directions is None:
        _miss(module, "weight_v", "weight normalisation")
    axes = [axis for axis, extent in enumerate(lengths.shape) if extent != 1]
    fits = len(lengths.shape) == len(directions.shape) and len(axes) <= 1
    if not fits or any(lengths.shape[axis] != directions.shape[axis] for axis in axes):
        _misfit(module, directions, lengths)

    def read() -> Tensor:
        values, scale = directions.tensor(), lengths.tensor()
        # The axis that has lengths; with one output, any axis that the directions have one of.
        kept = axes[0] if axes else next((axis for axis, n in enumerate(values.shape) if n == 1), None)
        over = [axis for axis in range(values.dim()) if axis != kept]
        return values * (scale / values.square().sum(over, keepdim=True).sqrt())

    return Array(directions.name, directions.shape, read)


def _miss(module: str, leaf: str, what: str) -> NoReturn:
    msg = f"Array '{module}.{leaf}' is missing: '{module}' was saved with {what}, which needs it."
    raise CheckpointError(msg)


def _misfit(module: str, weight: Array, part: Array) -> NoReturn:
    msg = f"Array '{part.name or module}' of shape {part.shape} does not fit '{weight.name}' of shape {weight.shape}."
    raise CheckpointError(msg)
