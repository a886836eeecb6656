"""From the record of a pickled ``nn.Module`` to operations: strides, paddings, eps and slopes stand in its attributes.

What happens between the modules of somebody's own class is code, which is not there: the order in which the class
declares them is taken, with gaps between. Inside an ``nn.Sequential`` nothing is open.

Source: the attributes of the classes in ``torch/nn/modules/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.leaves import fold, split_name
from dcgan_analysis.checkpoints.importers.operations import (
    Activate,
    Embedding,
    Flatten,
    Gap,
    Normalise,
    Operation,
    Pad,
    Pool,
    Reshape,
    Resize,
    Shuffle,
    Sides,
    Weighted,
)
from dcgan_analysis.checkpoints.importers.pickles import Record
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from dcgan_analysis.models.architecture import NormKind

__all__ = ["children", "is_module", "module_operations"]

_TORCH = re.compile(r"torch\.nn\.(?:modules|parallel|backends|utils)\.[\w.]+\.(\w+)|torch\._dynamo\.eval_frame\.(\w+)")
_WRAPPERS = ("DataParallel", "DistributedDataParallel", "OptimizedModule")
_NOTHING = re.compile(
    r"Dropout\w*|AlphaDropout|FeatureAlphaDropout|Identity|Noise|GaussianNoise|Print\w*|Debug\w*", re.IGNORECASE
)
_RESHAPES = re.compile(r"\w*(?:view|reshape|flatten|squeeze|lambda)\w*", re.IGNORECASE)
_BRANCHES = re.compile(r"res(?:idual|net|_?block|blk)|attention|attn|non_?local|dense_?block|style|skip", re.IGNORECASE)
_KNOWN_HOOKS = ("SpectralNorm", "WeightNorm")
_DEEPEST = 30

_Attributes = Mapping[Any, Any]


def is_module(value: Any) -> TypeGuard[Record]:
    """Say whether a record is one of an ``nn.Module``."""
    return isinstance(value, Record) and isinstance(value.state.get("_modules"), dict)


def children(module: Record) -> dict[str, Record]:
    """Return the modules in a module, by name."""
    modules = module.state["_modules"]
    return {str(name): each for name, each in modules.items() if is_module(each)}


def module_operations(module: Record) -> tuple[Operation, ...]:
    """Return the operations of a module, the modules in it included.

    Raises:
        CheckpointError: If a module does what a table of layers cannot say.
    """
    operations = _walk(module, "", 0)
    joined: list[Operation] = []
    for each in operations:
        # A gap of any size takes in its neighbours.
        if not (isinstance(each, Gap) and joined and isinstance(joined[-1], Gap)):
            joined.append(each)
    if joined and isinstance(joined[0], Gap):
        joined.pop(0)
    return tuple(joined)


def _walk(module: Record, path: str, depth: int) -> list[Operation]:
    if depth > _DEEPEST:
        msg = f"Module '{path}' lies more than {_DEEPEST} modules deep."
        raise CheckpointError(msg)
    kind = _kind(module)
    inner = children(module)
    leaves = _leaves(module, path)
    _check_hooks(module, path)
    if kind in _READERS:
        return _READERS[kind](path, module.state, leaves)
    if kind in _WRAPPERS and inner:
        return [each for name, child in inner.items() for each in _walk(child, name, depth + 1)]
    if leaves:
        name = next(iter(leaves.values())).name
        msg = (
            f"Module '{path or 'itself'}' is of class {module.name} with an array of its own ('{name}'): what it does "
            "is code, which is not read. Use the network in Python: dcgan_analysis.wrap(generator=...)."
        )
        raise CheckpointError(msg)
    if kind == "Sequential":
        return [each for name, child in inner.items() for each in _walk(child, _joined(path, name), depth + 1)]
    if not inner:
        return _without_arrays(module, path, kind)
    if len(inner) > 1 and _BRANCHES.search(module.name.rsplit(".", 1)[-1]):
        msg = (
            f"Module '{path or 'itself'}' is of class {module.name}, a branch (residual, attention or style), which a "
            "table of layers cannot say. Use the network in Python: dcgan_analysis.wrap(generator=...)."
        )
        raise CheckpointError(msg)
    operations: list[Operation] = [Gap(None)]
    for name, child in inner.items():
        operations += [*_walk(child, _joined(path, name), depth + 1), Gap(None)]
    return operations


def _check_hooks(module: Record, path: str) -> None:
    for holder in ("_forward_pre_hooks", "_forward_hooks"):
        hooks = module.state.get(holder)
        for hook in hooks.values() if isinstance(hooks, dict) else ():
            name = getattr(hook, "name", type(hook).__name__)
            if name.rsplit(".", 1)[-1] not in _KNOWN_HOOKS:
                _unsayable(path, f"one with a hook ({name}), code that changes what it computes")


def _without_arrays(module: Record, path: str, kind: str) -> list[Operation]:
    name = kind or module.name.rsplit(".", 1)[-1]
    if _NOTHING.fullmatch(name):
        return []
    if not kind and _RESHAPES.fullmatch(name):
        # The next operation says what shape it needs.
        return []
    if "Loss" in name:
        return []
    _unsayable(path, f"of class {kind or module.name}")


def _unsayable(path: str, what: str) -> NoReturn:
    msg = (
        f"Module '{path or 'itself'}' is {what}, which a table of layers cannot say. "
        "Use the network in Python: dcgan_analysis.wrap(generator=...)."
    )
    raise CheckpointError(msg)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(module: Record) -> str:
    match = _TORCH.fullmatch(module.name)
    return (match[1] or match[2]) if match else ""


def _leaves(module: Record, path: str) -> dict[str, Array]:
    leaves: dict[str, Array] = {}
    for holder in ("_parameters", "_buffers"):
        arrays = module.state.get(holder)
        for name, value in arrays.items() if isinstance(arrays, dict) else ():
            if isinstance(value, Array):
                full = _joined(path, str(name))
                leaf = split_name(str(name))[1]
                if leaf is None:
                    msg = f"Module '{path or 'itself'}' of class {module.name} has an array '{name}' that is unknown."
                    raise CheckpointError(msg)
                leaves[leaf] = Array(full, value.shape, value.read)
    return leaves


# Readers of torch's own modules: (path, attributes, arrays) -> operations.


def _pair(path: str, attributes: _Attributes, name: str, default: Any = None) -> tuple[int, int]:
    value = attributes.get(name, default)
    if value is None and name == "stride":
        value = attributes.get("kernel_size")
    pair = (value, value) if isinstance(value, int) else value
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair)):
        _unsayable(path, f"one with {name} {value!r}")
    return pair


def _number(path: str, attributes: _Attributes, name: str, default: float) -> float:
    value = attributes.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not -1e6 < value < 1e6:
        _unsayable(path, f"one with {name} {value!r}")
    return float(value)


def _linear(path: str, _attributes: _Attributes, leaves: dict[str, Array]) -> list[Operation]:
    arrays = fold(path, leaves, 0)
    return [Weighted(path, "linear", _of(path, arrays, 2), arrays.get("bias"))]


def _of(path: str, arrays: Mapping[str, Array], axes: int) -> Array:
    weight = arrays.get("weight")
    if weight is None or len(weight.shape) != axes:
        _unsayable(path, "one without an array of weights")
    return weight


def _embedding(path: str, _attributes: _Attributes, leaves: dict[str, Array]) -> list[Operation]:
    return [Embedding(path, _of(path, leaves, 2))]


def _convolution(transpose: bool) -> Callable[[str, _Attributes, dict[str, Array]], list[Operation]]:
    def read(path: str, attributes: _Attributes, leaves: dict[str, Array]) -> list[Operation]:
        weight = _of(path, arrays := fold(path, leaves, int(transpose)), 4)
        if _pair(path, attributes, "dilation", 1) != (1, 1):
            _unsayable(path, f"a convolution with dilation {attributes['dilation']}")
        if attributes.get("groups", 1) != 1:
            _unsayable(path, f"a convolution in {attributes['groups']!r} groups")
        if attributes.get("padding_mode", "zeros") != "zeros":
            _unsayable(path, f"a convolution with padding of {attributes['padding_mode']!r}")
        stride, kernel = _pair(path, attributes, "stride", 1), weight.shape[2:]
        rest = _pair(path, attributes, "output_padding", 0) if transpose else (0, 0)
        if stride[0] != stride[1] or rest[0] != rest[1]:
            _unsayable(path, f"a convolution with stride {stride} and output padding {rest}")
        around = _padding(path, attributes, (kernel[0], kernel[1]))
        kind = "deconv" if transpose else "conv"
        return [Weighted(path, kind, weight, arrays.get("bias"), stride[0], around, rest[0])]  # type: ignore[arg-type]

    return read


def _padding(path: str, attributes: _Attributes, kernel: tuple[int, int]) -> Sides:
    value = attributes.get("padding", 0)
    if value == "valid":
        return (0, 0, 0, 0)
    if value == "same":
        # Stride 1 only, the odd one behind.
        height, width = kernel[0] - 1, kernel[1] - 1
        return (width // 2, width - width // 2, height // 2, height - height // 2)
    rows, columns = _pair(path, attributes, "padding", 0)
    return (columns, columns, rows, rows)


def _norm(kind: NormKind) -> Callable[[str, _Attributes, dict[str, Array]], list[Operation]]:
    def read(path: str, attributes: _Attributes, leaves: dict[str, Array]) -> list[Operation]:
        size = attributes.get("num_features", attributes.get("num_channels"))
        shape = attributes.get("normalized_shape")
        if isinstance(shape, tuple) and all(type(n) is int for n in shape):
            size = 1
            for extent in shape:
                size *= extent
        if type(size) is not int:
            _unsayable(path, "a normalisation of unknown size")
        if kind == "instance" and "mean" in leaves:
            _unsayable(path, "an instance normalisation with running statistics")
        groups = attributes.get("num_groups", 1)
        operation = Normalise(
            path,
            kind,
            size,
            leaves.get("weight"),
            leaves.get("bias"),
            leaves.get("mean"),
            leaves.get("variance"),
            _number(path, attributes, "eps", 1e-5),
            groups if type(groups) is int else 1,
            affine="weight" in leaves,
            count=leaves.get("count"),
        )
        return [operation]

    return read


def _activation(kind: str, slope: str = "", default: float = 0.0) -> Any:
    def read(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
        if attributes.get("approximate", "none") != "none":
            _unsayable(path, "an approximate GELU")
        return [Activate(kind, _number(path, attributes, slope, default) if slope else None, name=path)]

    return read


def _prelu(path: str, _attributes: _Attributes, leaves: dict[str, Array]) -> list[Operation]:
    return [Activate("prelu", weight=_of(path, leaves, 1), name=path)]


def _upsample(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
    mode = attributes.get("mode", "nearest")
    corners = attributes.get("align_corners")
    if mode not in ("nearest", "bilinear"):
        _unsayable(path, f"an upsampling of mode {mode!r}")
    if mode == "bilinear" and corners:
        mode = "bilinear_corners"
    size = attributes.get("size")
    if size is not None:
        height, width = _pair(path, attributes, "size")
        return [Resize(size=(height, width), mode=mode)]
    value = attributes.get("scale_factor")
    factors = value if isinstance(value, tuple) else (value, value)
    if len(factors) != 2 or not all(isinstance(f, int | float) and f == int(f) >= 1 for f in factors):
        _unsayable(path, f"an upsampling by {value!r}")
    return [Resize((int(factors[0]), int(factors[1])), mode=mode)]


def _shuffle(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
    factor = attributes.get("upscale_factor")
    if type(factor) is not int or factor < 1:
        _unsayable(path, f"a pixel shuffle by {factor!r}")
    return [Shuffle(factor)]


def _pool(kind: Any) -> Any:
    def read(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
        if attributes.get("ceil_mode") or _pair(path, attributes, "dilation", 1) != (1, 1):
            _unsayable(path, "a pooling with ceil_mode or dilation")
        rows, columns = _pair(path, attributes, "padding", 0)
        if kind == "average" and (rows or columns) and not attributes.get("count_include_pad", True):
            _unsayable(path, "a pooling that does not count its padding")
        kernel, stride = _pair(path, attributes, "kernel_size"), _pair(path, attributes, "stride")
        return [Pool(kind, kernel, stride, (columns, columns, rows, rows))]

    return read


def _adaptive(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
    size = attributes.get("output_size")
    if size not in (1, (1, 1)):
        _unsayable(path, f"a pooling to {size!r}")
    return [Pool("global")]


def _flatten(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
    if attributes.get("start_dim", 1) != 1 or attributes.get("end_dim", -1) not in (-1, 3):
        _unsayable(path, "a flattening of some axes only")
    return [Flatten()]


def _unflatten(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
    shape = attributes.get("unflattened_size")
    if not isinstance(shape, tuple) or len(shape) != 3 or attributes.get("dim") not in (1, -1):
        _unsayable(path, f"a reshape to {shape!r}")
    return [Reshape((int(shape[0]), int(shape[1]), int(shape[2])))]


def _zero_pad(path: str, attributes: _Attributes, _leaves: dict[str, Array]) -> list[Operation]:
    value = attributes.get("padding")
    around = (value,) * 4 if isinstance(value, int) else value
    if not (isinstance(around, tuple) and len(around) == 4 and all(type(n) is int and n >= 0 for n in around)):
        _unsayable(path, f"a padding by {value!r}")
    return [Pad(around)]


_READERS: dict[str, Callable[[str, _Attributes, dict[str, Array]], list[Operation]]] = {
    "Linear": _linear,
    "Embedding": _embedding,
    "Conv2d": _convolution(False),
    "ConvTranspose2d": _convolution(True),
    "BatchNorm1d": _norm("batch"),
    "BatchNorm2d": _norm("batch"),
    "SyncBatchNorm": _norm("batch"),
    "InstanceNorm2d": _norm("instance"),
    "GroupNorm": _norm("group"),
    "LayerNorm": _norm("layer"),
    "ReLU": _activation("relu"),
    "LeakyReLU": _activation("leaky_relu", "negative_slope", 0.01),
    "ELU": _activation("elu", "alpha", 1.0),
    "SELU": _activation("selu"),
    "GELU": _activation("gelu"),
    "SiLU": _activation("silu"),
    "Softplus": _activation("softplus"),
    "Tanh": _activation("tanh"),
    "Sigmoid": _activation("sigmoid"),
    "PReLU": _prelu,
    "Upsample": _upsample,
    "UpsamplingNearest2d": _upsample,
    "UpsamplingBilinear2d": _upsample,
    "PixelShuffle": _shuffle,
    "MaxPool2d": _pool("max"),
    "AvgPool2d": _pool("average"),
    "AdaptiveAvgPool2d": _adaptive,
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "ZeroPad2d": _zero_pad,
}
