"""What a network calls while it runs, seen one call at a time: names of torch's functions, and what they do.

Hooks see modules alone. A network may as well call ``F.leaky_relu``, or write ``torch.max(x, 0.2 * x)``: torch shows
every such call to a ``TorchFunctionMode``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONVOLUTIONS = _names("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
WEIGHTED = CONVOLUTIONS | _names("linear bilinear addmm mm matmul rmatmul bmm baddbmm einsum")
"""Operations that may hold a layer's weights."""

ACTIVATIONS = _names(
    "celu clamp clamp_max clamp_min clip elu expit gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu "
    "logsigmoid mish prelu relu relu6 rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold"
)
_LINEAR = _names(
    "add sub rsub multiply mul div true_divide divide neg negative positive float to type_as contiguous dropout "
    "dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout clone"
)
_NONLINEAR = _names(
    "abs absolute cos erf exp expm1 eq fmax fmin ge gt heaviside le log log1p logaddexp lt max maximum min minimum ne "
    "pow reciprocal rsqrt sign sin sqrt square where"
)
_POINTWISE = ACTIVATIONS | _LINEAR | _NONLINEAR
NORMALISATIONS = _names("batch_norm group_norm instance_norm layer_norm local_response_norm normalize rms_norm")
SHAPING = NORMALISATIONS | _names(
    "adaptive_avg_pool2d adaptive_max_pool2d avg_pool2d cat concat flatten interpolate max_pool2d pad pixel_shuffle "
    "reshape unflatten upsample view"
)
"""Operations that stand between a layer's weights and its activation: normalisation, pooling, joining, reshaping."""


def operation_name(function: Callable[..., Any]) -> str:
    """Return how torch calls an operation, whether it is a function or a method and whether it works in place.

    Example:
        >>> import torch
        >>> [operation_name(f) for f in (torch.relu, torch.Tensor.relu_, torch.Tensor.__rmul__)]
        ['relu', 'relu', 'mul']
    """
    name: str = getattr(function, "__name__", "")
    plain = name.strip("_")
    if name.startswith("__") and plain not in _POINTWISE:
        plain = plain.removeprefix("r").removeprefix("i")
    return {"truediv": "div"}.get(plain, plain)


def tensors_in(values: object) -> Iterator[Tensor]:
    """Yield the tensors among a call's arguments, those in lists and dictionaries too."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


def writes(function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bool:
    """Whether a call may write over one of its arguments; rather yes than no.

    ``inplace`` is one of several flags that modules hand over by position: any that is set counts.
    """
    name: str = getattr(function, "__name__", "")
    by_name = (name.endswith("_") and not name.endswith("__")) or name in {"__setitem__", "__set__"}
    flags = [*arguments, keywords.get("inplace"), keywords.get("training")]
    return by_name or keywords.get("out") is not None or any(flag is True for flag in flags)


class Following:
    """Follows what elementwise operations make of a value, up to and including an activation.

    An activation may be one call (``F.leaky_relu(x, 0.2)``), or several (``torch.max(x, 0.2 * x)``,
    ``x * x.sigmoid()``): then its value is where their results meet.

    Args:
        value: Of shape (N, ...).
        through: Names of operations to follow as well as long as there is no activation.

    Attributes:
        result: What the activation made of it, or None as long as none came.
        linear: The last normalised or scaled value before the activation.
    """

    def __init__(self, value: Tensor, through: Collection[str] = ()) -> None:
        self._through = through
        # Tensors are kept, so that no other gets the id of one.
        self._met: dict[int, tuple[Tensor, bool]] = {id(value): (value, False)}
        self._complete = False
        self.linear = value
        self.result: Tensor | None = None

    def see(self, name: str, arguments: list[Tensor], result: object) -> bool:
        """Look at a call; return whether its result is the activation's value, as far as one can see."""
        traced = [argument for argument in arguments if id(argument) in self._met]
        if not traced or not isinstance(result, Tensor):
            return False
        if name in self._through and self.result is None:
            self._met[id(result)] = (result, False)
            if name in NORMALISATIONS:
                self.linear = result
            return False
        joins = len({id(argument) for argument in traced}) > 1
        foreign = any(id(argument) not in self._met and not _is_constant(argument, traced[0]) for argument in arguments)
        # What follows a complete activation is no part of it, unless it brings two of its results together.
        part_of_it = name in _POINTWISE and result.shape == traced[0].shape and (joins or not self._complete)
        if not part_of_it or (foreign and (not self._through or self.result is not None)):
            return False
        nonlinear = name in ACTIVATIONS or name in _NONLINEAR or any(self._met[id(argument)][1] for argument in traced)
        self._met[id(result)] = (result, nonlinear)
        self._complete |= name in ACTIVATIONS
        if not nonlinear:
            self.linear = result
        elif result.is_floating_point():
            self.result = result
        return nonlinear and result.is_floating_point()

    def replace(self, value: Tensor) -> None:
        """Go on with another value than the result that was just seen."""
        self._met[id(value)] = (value, True)
        self.result = value


def _is_constant(tensor: Tensor, beside: Tensor) -> bool:
    """Whether a tensor is a parameter or a number, or a factor of whole maps, beside a batch of values."""
    return isinstance(tensor, nn.Parameter) or tensor.shape != beside.shape
