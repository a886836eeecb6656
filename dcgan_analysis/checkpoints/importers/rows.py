"""From settled operations to a layer table of this framework and the state dict that belongs to it.

A row of a table is an operation, then normalisation and activation. Units that become maps, or maps that become units,
go by (channels, height, width) here; arrays of files that go by channels last are put in that order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.operations import (
    Activate,
    Flatten,
    Label,
    Normalise,
    Operation,
    Pad,
    Pool,
    Reshape,
    Resize,
    Shuffle,
    Weighted,
)
from dcgan_analysis.checkpoints.importers.structure import Structure, shape_after
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.architecture import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LayerTable", "layer_table"]

EPS = 1e-5
_NAMED_BY = ("operation.weight", "embedding.weight", "norm.weight", "activation.weight")
_ELEMENTWISE = ("none", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid")


@dataclass(frozen=True)
class LayerTable:
    """A network as rows, with the arrays that fill it.

    Attributes:
        layers: The rows.
        arrays: Arrays of the state dict by its names, not yet read.
        sources: By row, the names in the file of its kernels and of its normalisation's scales, or means.
        operations: By row, the operations that it stands for.
    """

    layers: tuple[Layer, ...]
    arrays: dict[str, Array]
    sources: dict[str, list[str]]
    operations: dict[str, list[Operation]]


@dataclass
class _Row:
    """A row in the making."""

    kind: Any
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    normalised: bool = False
    activation: str = "none"
    after: bool = False

    @property
    def bare(self) -> bool:
        """Whether units may still become maps within the row."""
        elementwise = self.activation in _ELEMENTWISE and not self.after
        return self.kind == "linear" and "reshape" not in self.fields and elementwise


def layer_table(structure: Structure, channels_last: bool) -> LayerTable:
    """Group a network's operations into rows.

    Args:
        structure: A settled network.
        channels_last: Whether its flat arrays go by (height, width, channels).

    Raises:
        CheckpointError: If a table cannot say what the network does.
    """
    shape: tuple[int, ...] = (structure.z_size,) if structure.role == "generator" else structure.image_shape
    operations = structure.operations
    if channels_last:
        operations = _channels_first(operations, shape)
    rows: list[_Row] = []
    flattened: tuple[int, ...] | None = None
    for position, operation in enumerate(operations):
        following = operations[position + 1] if position + 1 < len(operations) else None
        before = shape if len(shape) == 3 or not isinstance(operation, Weighted) else _entered(operation, shape)
        after = shape_after(operation, before)
        if isinstance(operation, Flatten):
            flattened = shape if len(shape) == 3 and shape[1:] != (1, 1) else None
        elif isinstance(operation, Weighted):
            flattened = None
        elif flattened is not None and (isinstance(operation, Normalise) or _is_prelu(operation)):
            msg = (
                f"Normalisation '{getattr(operation, 'name', '')}' works on flattened maps of shape {flattened}, which "
                "a table of layers cannot say. Use the network in Python: dcgan_analysis.wrap(discriminator=...)."
            )
            raise CheckpointError(msg)
        _add(rows, operation, following, before)
        assert after is not None  # the search has run through these very shapes
        shape = after
    return _named(rows, structure)


def _is_prelu(operation: Operation) -> bool:
    return isinstance(operation, Activate) and operation.kind == "prelu"


def _entered(operation: Weighted, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if operation.kind == "linear" else (*shape, 1, 1)


def _add(  # noqa: C901 - cases
    rows: list[_Row],
    operation: Operation,
    following: Operation | None,
    shape: tuple[int, ...],
) -> None:
    match operation:
        case Weighted():
            rows.append(_weighted(rows, operation))
        case Label():
            rows.append(_Row("label", {"conditional": True}, operations=[operation]))
        case Normalise():
            _normalise(rows, operation)
        case Activate():
            _activate(rows, operation, shape[0])
        case Reshape():
            if not rows or not rows[-1].bare:
                rows.append(_Row("identity"))
            rows[-1].fields["reshape"] = operation.shape
            rows[-1].operations.append(operation)
        case Resize():
            how = {"size": operation.size} if operation.size else {"stride": _plain(operation.factor)}
            rows.append(_Row("upsample", {**how, "mode": operation.mode}, operations=[operation]))
        case Shuffle():
            rows.append(_Row("pixel_shuffle", {"stride": operation.factor}, operations=[operation]))
        case Pool(kind="global"):
            rows.append(_Row("global_average_pool", operations=[operation]))
        case Pool():
            values = {
                "kernel": _plain(operation.kernel),
                "stride": _plain(operation.stride),
                "padding": _plain(operation.padding),
            }
            rows.append(_Row(f"{operation.kind}_pool", values, operations=[operation]))
        case Pad():
            if not _takes(following):
                # The mean over one pixel is that pixel.
                padded = {"kernel": 1, "stride": 1, "padding": _plain(operation.sides)}
                rows.append(_Row("average_pool", padded, operations=[operation]))
            else:
                rows.append(_Row("pad", {"padding": operation.sides}, operations=[operation]))
        case Flatten():
            if rows and rows[-1].kind == "pad":
                rows.append(_Row("identity"))


def _takes(following: Operation | None) -> bool:
    """Say whether an operation can take zeros around its input upon itself."""
    return isinstance(following, Weighted) and following.kind == "conv" and isinstance(following.padding, tuple)


def _plain(value: Any) -> Any:
    """One number where all are the same."""
    return value[0] if isinstance(value, tuple) and len({*value}) == 1 else value


def _weighted(rows: list[_Row], operation: Weighted) -> _Row:
    fields: dict[str, Any] = {"out": operation.outputs, "bias": operation.bias is not None}
    operations: list[Operation] = [operation]
    if operation.kind != "linear":
        padding = operation.padding
        if rows and rows[-1].kind == "pad" and isinstance(padding, tuple):
            pad = rows.pop()
            padding = tuple(a + b for a, b in zip(padding, pad.fields["padding"], strict=True))
            operations = [*pad.operations, operation]
        fields |= {"kernel": _plain(operation.kernel), "stride": operation.stride, "padding": _plain(padding)}
        if operation.output_padding:
            fields["output_padding"] = operation.output_padding
            if not isinstance(fields["padding"], int) or operation.output_padding >= (operation.stride or 1):
                # As much less is cut off at right and bottom.
                left, right, top, bottom = padding if isinstance(padding, tuple) else (0, 0, 0, 0)
                rest = fields.pop("output_padding")
                fields["padding"] = (left, right - rest, top, bottom - rest)
    weight = operation.weight
    arrays: dict[str, Array] = {}
    if rows and rows[-1].kind == "label":
        (label,) = rows.pop().operations
        assert isinstance(label, Label)
        operations = [label, *operations]
        fields["conditional"] = True
        if label.weight is not None:
            fields |= {"label": label.how} | ({"embedding": label.size} if label.how == "embedding" else {})
            arrays["embedding.weight"] = label.weight
        if label.first and label.added:
            axis = 0 if operation.kind == "deconv" else 1
            weight = weight.turned(weight.shape, lambda values: values.roll(-label.added, axis))
    arrays["operation.weight"] = weight
    if operation.bias is not None:
        arrays["operation.bias"] = operation.bias
    return _Row(operation.kind, fields, arrays, operations)


def _normalise(rows: list[_Row], operation: Normalise) -> None:
    if not rows or rows[-1].normalised or rows[-1].kind == "pad":
        rows.append(_Row("identity"))
    row = rows[-1]
    row.normalised = True
    row.after = row.activation != "none"
    row.operations.append(operation)
    row.fields["norm"] = operation.kind
    if row.after:
        row.fields["norm_after_activation"] = True
    elif row.kind == "linear" and "reshape" in row.fields:
        row.fields["batchnorm_maps"] = True
    eps = EPS if operation.eps is None else operation.eps
    if eps != EPS:
        row.fields["norm_eps"] = eps
    if operation.kind == "group":
        row.fields["norm_groups"] = operation.groups
    if not operation.affine:
        row.fields["norm_affine"] = False
    parts = {
        "weight": operation.weight,
        "bias": operation.bias,
        "running_mean": operation.mean,
        "running_var": operation.variance,
        "num_batches_tracked": operation.count,
    }
    row.arrays |= {f"norm.{name}": array for name, array in parts.items() if array is not None}
    size = operation.size
    if operation.affine and size is not None and (operation.weight is None) != (operation.bias is None):
        # Keras can leave out one of the two.
        missing, value = ("weight", 1.0) if operation.weight is None else ("bias", 0.0)
        other = operation.bias if operation.weight is None else operation.weight
        shape = other.shape if other is not None else (size,)
        row.arrays[f"norm.{missing}"] = Array("", shape, lambda: torch.full(shape, value))


def _activate(rows: list[_Row], operation: Activate, channels: int) -> None:
    if operation.kind == "none":
        return
    if not rows or rows[-1].activation != "none" or rows[-1].after or rows[-1].kind == "pad":
        rows.append(_Row("identity"))
    row = rows[-1]
    row.activation = operation.kind
    row.fields["activation"] = operation.kind
    row.operations.append(operation)
    default = {"leaky_relu": 0.2, "elu": 1.0}.get(operation.kind)
    if operation.slope is not None and operation.slope != default:
        row.fields["slope"] = operation.slope
    weight = operation.weight
    if weight is not None:
        shared = weight.size == 1 < channels
        # One slope for all becomes the same slope for each.
        row.arrays["activation.weight"] = (
            weight.turned((channels,), lambda values: values.expand(channels).clone()) if shared else weight
        )


def _named(rows: list[_Row], structure: Structure) -> LayerTable:
    counts: Counter[str] = Counter()
    last = max(number for number, row in enumerate(rows) if row.kind in ("linear", "conv", "deconv"))
    layers: list[Layer] = []
    arrays: dict[str, Array] = {}
    sources: dict[str, list[str]] = {}
    operations: dict[str, list[Operation]] = {}
    for number, row in enumerate(rows):
        kind: Any = "average_pool" if row.kind == "pad" else row.kind
        values = dict(row.fields)
        if row.kind == "pad":
            values = {"kernel": 1, "stride": 1, **values}
        counts[kind] += 1
        name = f"{kind}{counts[kind]}"
        if structure.role == "discriminator" and number == last:
            name = "logit"
        elif structure.role == "generator" and kind == "linear" and "reshape" in values and counts["linear"] == 1:
            name = "project"
        values.setdefault("norm", "none")
        layers.append(Layer(name, kind, **{"out": 0, **values}, batchnorm=values["norm"] == "batch"))
        arrays |= {f"{name}.{key}": array for key, array in row.arrays.items()}
        names = [row.arrays[key].name for key in _NAMED_BY if key in row.arrays]
        if "norm.running_mean" in row.arrays and "norm.weight" not in row.arrays:
            names.append(row.arrays["norm.running_mean"].name)
        sources[name] = [each for each in dict.fromkeys(names) if each]
        operations[name] = row.operations
    return LayerTable(tuple(layers), arrays, sources, operations)


def _channels_first(operations: Sequence[Operation], shape: tuple[int, ...]) -> tuple[Operation, ...]:
    """Put the arrays of flattened maps in order of (channels, height, width)."""
    result: list[Operation] = []
    order: torch.Tensor | None = None  # of the units reached, where they are flattened maps
    for operation in operations:
        if isinstance(operation, Flatten) and len(shape) == 3:
            order = _order(shape)
        elif isinstance(operation, Reshape) and operation.shape is not None:
            _turn_outputs(result, _order(operation.shape))
            order = None
        elif order is not None and isinstance(operation, Normalise):
            operation = _permuted_norm(operation, order)
        elif isinstance(operation, Weighted):
            if order is not None and operation.kind == "linear":
                operation = replace(operation, weight=_permuted(operation.weight, order, 1))
            order = None
        result.append(operation)
        if not (isinstance(operation, Weighted) and operation.kind != "linear" and len(shape) == 1):
            shape = shape_after(operation, shape) or shape
        else:
            shape = shape_after(operation, (*shape, 1, 1)) or shape
    return tuple(result)


def _order(shape: tuple[int, ...]) -> torch.Tensor:
    """Return, for each place in (channels, height, width), the place in (height, width, channels)."""
    channels, height, width = shape
    return torch.arange(channels * height * width).view(height, width, channels).permute(2, 0, 1).flatten()


def _turn_outputs(result: list[Operation], order: torch.Tensor) -> None:
    """Permute the units that the last operations made, back to the linear layer that made them."""
    for position in range(len(result) - 1, -1, -1):
        each = result[position]
        if isinstance(each, Normalise):
            result[position] = _permuted_norm(each, order)
        elif isinstance(each, Activate) and each.weight is not None and each.weight.size == len(order):
            result[position] = replace(each, weight=_permuted(each.weight, order, 0))
        elif isinstance(each, Weighted):
            if each.kind != "linear":
                break
            bias = None if each.bias is None else _permuted(each.bias, order, 0)
            result[position] = replace(each, weight=_permuted(each.weight, order, 0), bias=bias)
            return
    if not torch.equal(order, torch.arange(len(order))):
        msg = "Units become maps, channels last, before any layer that could order them. Use the network in Python."
        raise CheckpointError(msg)


def _permuted_norm(operation: Normalise, order: torch.Tensor) -> Normalise:
    if operation.size != len(order):
        return operation
    parts: dict[str, Any] = {
        name: _permuted(array, order, 0)
        for name in ("weight", "bias", "mean", "variance")
        if (array := getattr(operation, name)) is not None
    }
    return replace(operation, **parts)


def _permuted(array: Array, order: torch.Tensor, axis: int) -> Array:
    return array.turned(array.shape, lambda values: values.index_select(axis, order).contiguous())
