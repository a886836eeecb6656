"""Random weights for any network: the paper's rule where it speaks of a layer, the layer's own where it does not.

A random twin is a control only if nothing of the trained network is left in it. So every parameter is drawn anew,
also where it is reparametrised (spectral and weight normalisation, in torch's present and former style) and where it
belongs to a module that nobody here has heard of.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from dcgan_analysis.core.randomness import seeded
from dcgan_analysis.errors import ArchitectureError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STD = 0.02
_POWER_ITERATIONS = 15  # as many as torch takes when it makes a spectral norm
_SEEDS = 1 << 32  # torch's generators know no larger ones
_BATCHNORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_OPERATIONS = (nn.Linear, *_CONVOLUTIONS)
_DIRECTION = re.compile(r"_[uv]$")  # of spectral norms written by others
_SHIFT = re.compile(r"bias|beta|shift|offset")
_SCALE = re.compile(r"weight|gamma|scale|gain")
_MEAN, _VARIANCE = (re.compile(rf"(running|stored|moving)_?({words})$") for words in ("mean", "var|variance|std"))


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights as the paper does: N(0, 0.02); batch normalisation N(1, 0.02) scale, zero shift; biases zero.

    The scale's distribution is the authors' code's; the paper speaks only of "all weights" (section 4). Of what the
    paper does not know, other normalisations, embeddings, PReLU, recurrent layers, a module's own ``reset_parameters``
    draws it. Parameters that no rule covers are N(0, 0.02), unless they are shifts (zero), scales of one number a
    channel (one), or hold nothing but zeros or ones already. Running statistics are reset, and the vectors of spectral
    norms are settled on the new weights.

    Args:
        network: Any module; changed in place.
        generator: Source of randomness; the result depends on its state alone. Global random states are left alone.

    Raises:
        ArchitectureError: If a module's ``reset_parameters`` gives the same weights whatever the seed: a random twin
            would keep them.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> initialise(layer, torch.Generator().manual_seed(0))
        >>> layer.bias
        Parameter containing:
        tensor([0.], requires_grad=True)
    """
    for path, module in network.named_modules():
        _reset_statistics(module)
        if isinstance(module, ParametrizationList):
            continue  # its module has set it
        if is_parametrized(module):
            _draw_parametrised(module, generator)
        if isinstance(module, _BATCHNORMS):
            for name, parameter in module.named_parameters(recurse=False):
                _draw_batchnorm(name, parameter, generator)
        elif isinstance(module, _OPERATIONS) and _resets_as_torch(module):
            _draw_operation(module, generator)
        else:
            _draw_own(path, module, generator)


def unchanged_parameter(network: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first parameter of a network that a state dict holds unchanged; None: there is none.

    Parameters that hold one number throughout (zero biases, scales of one) say nothing and are passed over.
    """
    for name, parameter in network.named_parameters():
        if name in state and not _is_constant(parameter) and torch.equal(parameter.cpu(), state[name].cpu()):
            return name
    return None


def _normal(tensor: Tensor, generator: torch.Generator, mean: float = 0.0, std: float = _STD) -> None:
    if tensor.device == generator.device:
        tensor.normal_(mean, std, generator=generator)
    else:
        tensor.copy_(torch.empty(tensor.shape, dtype=tensor.dtype).normal_(mean, std, generator=generator))


def _is_constant(tensor: Tensor) -> bool:
    return tensor.numel() == 0 or bool((tensor == tensor.flatten()[0]).all())


def _is_zero_or_one(tensor: Tensor) -> bool:
    return _is_constant(tensor) and bool((tensor == 0).all() or (tensor == 1).all())


def _resets_as_torch(module: nn.Module) -> bool:
    """Whether a convolution or linear layer leaves its initialisation to torch, for which the paper's rule stands."""
    method = getattr(type(module), "reset_parameters", None)
    return getattr(method, "__module__", "").startswith("torch.")


def _reset_statistics(module: nn.Module) -> None:
    reset = getattr(module, "reset_running_stats", None)
    if callable(reset):
        reset()
        return
    for name, buffer in module.named_buffers(recurse=False):
        if _MEAN.search(name) or name == "num_batches_tracked":
            buffer.zero_()
        elif _VARIANCE.search(name):
            buffer.fill_(1)


def _draw_batchnorm(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    if name == "weight":
        _normal(parameter, generator, mean=1.0)
    else:
        parameter.zero_()


def _draw_operation(module: nn.Module, generator: torch.Generator) -> None:
    former = [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, SpectralNorm | WeightNorm)]
    settled = {f"{hook.name}{end}" for hook in former for end in ("_orig", "_g", "_v")}
    for name, parameter in module.named_parameters(recurse=False):
        if name == "weight":
            _normal(parameter, generator)
        elif name == "bias":
            parameter.zero_()
        elif name not in settled:
            _draw_by_kind(name, parameter, generator)
    for hook in former:
        _draw_former(module, hook, generator)


def _draw_former(module: nn.Module, hook: SpectralNorm | WeightNorm, generator: torch.Generator) -> None:
    """Draw a weight that torch's former norms, which are hooks, keep in pieces."""
    if isinstance(hook, WeightNorm):
        direction = getattr(module, f"{hook.name}_v")
        _normal(direction, generator)
        getattr(module, f"{hook.name}_g").copy_(torch.norm_except_dim(direction, 2, hook.dim))
        setattr(module, hook.name, hook.compute_weight(module))
        return
    _normal(getattr(module, f"{hook.name}_orig"), generator)
    for end in ("_u", "_v"):
        _draw_direction(getattr(module, f"{hook.name}{end}"), generator)
    for _ in range(_POWER_ITERATIONS):
        setattr(module, hook.name, hook.compute_weight(module, do_power_iteration=True))


def _draw_direction(vector: Tensor, generator: torch.Generator) -> None:
    _normal(vector, generator, std=1.0)
    vector.div_(vector.norm())


def _draw_parametrised(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the tensors of a module that are computed from others (``torch.nn.utils.parametrize``)."""
    parametrisations: Mapping[str, ParametrizationList] = module.parametrizations  # type: ignore[assignment]
    for name, parametrisation in parametrisations.items():
        _assign(module, name, generator)
        others = [original.clone() for original in parametrisation.parameters(recurse=False)]
        _assign(module, name, generator)
        for original, reset_one in zip(parametrisation.parameters(recurse=False), others, strict=True):
            # Left as it was, or always the same: the parametrisation cannot be inverted, or keeps the value elsewhere.
            if torch.equal(original, reset_one) and not _is_zero_or_one(original):
                _normal(original, generator)
        for part in parametrisation:
            _settle(part, parametrisation, generator)


def _assign(module: nn.Module, name: str, generator: torch.Generator) -> None:
    """Set a parametrised tensor to new values, if it can be set."""
    value = getattr(module, name).detach().clone()
    if isinstance(module, _BATCHNORMS):
        _draw_batchnorm(name, value, generator)
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        _normal(value, generator, std=1.0)
    elif isinstance(module, _OPERATIONS) and name == "weight":
        _normal(value, generator)
    else:
        _draw_by_kind(name, value, generator)
    with suppress(NotImplementedError, RuntimeError, ValueError):
        setattr(module, name, value)


def _settle(parametrisation: nn.Module, of: ParametrizationList, generator: torch.Generator) -> None:
    """Let a spectral norm find the direction of the new weight's largest singular value."""
    vectors = [buffer for name, buffer in parametrisation.named_buffers(recurse=False) if name in ("_u", "_v")]
    if not vectors:
        return
    for vector in vectors:
        _draw_direction(vector, generator)
    mode = parametrisation.training
    parametrisation.train()
    for _ in range(_POWER_ITERATIONS):
        parametrisation(of.original)
    parametrisation.train(mode)


def _draw_own(path: str, module: nn.Module, generator: torch.Generator) -> None:
    """Draw the parameters that a module itself holds, by its ``reset_parameters`` or else by their kind."""
    own = {
        name: parameter
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.numel() and (parameter.is_floating_point() or parameter.is_complex())
    }
    before = {name: parameter.clone() for name, parameter in own.items()}
    if own and callable(getattr(module, "reset_parameters", None)) and not is_parametrized(module):
        other = None if type(module).__module__.startswith("torch.") else _reset(module, own, generator)
        _reset(module, own, generator)
        if other is not None:
            _refuse_fixed(path, module, own, other)
        own = {name: parameter for name, parameter in own.items() if bool(parameter.isnan().any())}
    for name, parameter in own.items():
        parameter.copy_(before[name])
        _draw_by_kind(name, parameter, generator)


def _draw_by_kind(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    if _DIRECTION.search(name) and parameter.dim() == 1:
        _draw_direction(parameter, generator)
    elif _SHIFT.search(name) and parameter.dim() <= 1:
        parameter.zero_()
    elif parameter.dim() == 1 and parameter.numel() > 1 and _SCALE.search(name):
        parameter.fill_(1)
    elif not _is_zero_or_one(parameter):
        _normal(parameter, generator)


def _reset(module: nn.Module, own: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Call ``reset_parameters`` under a seed of the generator; what it leaves out, or reads, is not a number then."""
    seed = int(torch.randint(_SEEDS, (), generator=generator))
    for parameter in own.values():
        parameter.fill_(torch.nan)
    # A module whose method fails is one whose parameters no rule covers.
    with seeded(seed), suppress(Exception):
        module.reset_parameters()  # type: ignore[operator]
    return {name: parameter.clone() for name, parameter in own.items()}


def _refuse_fixed(path: str, module: nn.Module, own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    for name, parameter in own.items():
        if not _is_constant(parameter) and torch.equal(parameter, other[name]):
            full = f"{path}.{name}" if path else name
            msg = (
                f"Parameter '{full}' is the same whatever the seed: reset_parameters() of {type(module).__name__} does "
                "not draw it, and a random twin would keep it. Draw it there with torch, or make it a buffer."
            )
            raise ArchitectureError(msg)
