"""Keras models, ``.h5`` and ``.keras``: the layers as JSON, the arrays as HDF5. Keras itself is not needed.

What differs from torch: kernels are (height, width, in, out), transposed ones (height, width, out, in), matrices (in,
out); maps flatten by (height, width, channels); ``padding="same"`` puts the odd zero at right and bottom; batch
normalisation adds 1e-3; LeakyReLU has slope 0.3.

Source: ``keras/src/saving/`` (``saving_lib.py``, ``legacy/hdf5_format.py``) and the layers' ``get_config``.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from dcgan_analysis.checkpoints.importers.arrays import MOST_PARAMETERS, Array
from dcgan_analysis.checkpoints.importers.detect import zip_members
from dcgan_analysis.checkpoints.importers.hdf5 import attribute_texts, read_arrays
from dcgan_analysis.checkpoints.importers.leaves import LEAVES
from dcgan_analysis.checkpoints.importers.networks import role_of_name
from dcgan_analysis.checkpoints.importers.operations import (
    Activate,
    Flatten,
    ForeignNetwork,
    Normalise,
    Operation,
    Pad,
    Pool,
    Reshape,
    Resize,
    Weighted,
)
from dcgan_analysis.checkpoints.importers.state_dicts import operations_of
from dcgan_analysis.core.documents import DocumentError, parse_json
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["EPS", "read_keras"]

_LONGEST_JSON = 1 << 24
_WEIGHTS = "model.weights.h5"
_MODELS = ("Sequential", "Functional", "Model")
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_IDENTITY = re.compile(r"InputLayer|\w*Dropout\w*|GaussianNoise|ActivityRegularization|Identity")
EPS = 1e-3
"""What Keras adds to the variance in batch normalisation."""

_SLOPE = 0.3


def read_keras(path: Path) -> list[ForeignNetwork]:
    """Read a Keras model, or its weights alone.

    Returns:
        The networks in it: one, or the two of a model that joins generator and discriminator.

    Raises:
        CheckpointError: If the file is damaged, or the model does what a table of layers cannot say.
    """
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    if zipped:
        text, source = _unzipped(path)
        arrays, attributes = read_arrays(path, source)
    else:
        arrays, attributes = read_arrays(path, path)
        text = attributes.get("", {}).get("model_config", "")
    if text:
        return _models(_File(path, arrays, attributes, zipped), _json(path, text))
    return [_weights_alone(path, arrays, attributes)]


def _refuse(path: Path, text: str) -> NoReturn:
    msg = f"File '{path}': {text}"
    raise CheckpointError(msg)


def _unzipped(path: Path) -> tuple[str, io.BytesIO]:
    members = zip_members(path)
    config, weights = members["config.json"], members[_WEIGHTS]
    largest = min(4 * MOST_PARAMETERS, 200 * max(weights.compress_size, 1 << 20))
    if config.file_size > _LONGEST_JSON or weights.file_size > largest:
        _refuse(path, f"it claims {config.file_size + weights.file_size:,} bytes, far more than are stored.")
    try:
        with zipfile.ZipFile(path) as file:
            return file.read(config).decode("utf-8"), io.BytesIO(file.read(weights))
    except Exception as error:  # Damaged archives fail in any way.
        text = " ".join(str(error).split())
        _refuse(path, f"it cannot be read: truncated or damaged ({text}). Copy it again.")


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        document = parse_json(text)
    except DocumentError as error:
        _refuse(path, f"its description of the model is damaged ({error}).")
    if not isinstance(document, dict):
        _refuse(path, "its description of the model is no object.")
    return document


@dataclass(frozen=True)
class _File:
    path: Path
    arrays: Mapping[str, Array]
    attributes: Mapping[str, Mapping[str, Any]]
    by_number: bool
    """Whether arrays are numbered (``vars/0``), as in today's format, or named."""


# The model: its layers in order, models in models spread out.


@dataclass(frozen=True)
class _Layer:
    """A layer as JSON, and where its arrays are."""

    kind: str
    name: str
    config: Mapping[str, Any]
    place: str
    parents: tuple[str, ...]


def _models(file: _File, document: dict[str, Any]) -> list[ForeignNetwork]:
    kind, config = _entry(file, document)
    if kind not in _MODELS:
        _refuse(
            file.path, f"its model is of class {kind}, whose computation is code. Save the networks, one file each."
        )
    inner = [_entry(file, each) for each in _chain(file, config)]
    models = [(each_kind, each) for each_kind, each in inner if each_kind in _MODELS]
    layers = list(_spread(file, kind, config, "", ()))
    if len(models) < 2:
        return [_network(file, "", layers, str(config.get("name", "")))]
    names = [str(each.get("name", "")) for _, each in models]
    return [_network(file, name, [each for each in layers if name in each.parents], name) for name in names]


def _entry(file: _File, entry: Any) -> tuple[str, Mapping[str, Any]]:
    config = entry.get("config") if isinstance(entry, dict) else None
    if isinstance(config, list):
        config = {"layers": config}  # Keras 2.0
    if not isinstance(config, dict) or not isinstance(entry.get("class_name"), str):
        _refuse(file.path, "its description of the model is damaged: a layer has no class or no settings.")
    return entry["class_name"], config


def _spread(
    file: _File, kind: str, config: Mapping[str, Any], place: str, parents: tuple[str, ...], depth: int = 0
) -> list[_Layer]:
    if depth > 10:
        _refuse(file.path, "its models lie more than ten deep in one another.")
    layers: list[_Layer] = []
    counts: dict[str, int] = {}
    places: dict[str, str] = {}
    # Numbers of equal classes go by the order of the list, which need not be that of the computation.
    for entry in config.get("layers", ()):
        each_kind, each = _entry(file, entry)
        snake = _snake(each_kind)
        counts[snake] = counts.get(snake, -1) + 1
        numbered = f"{snake}_{counts[snake]}" if counts[snake] else snake
        places[_name(entry, each)] = f"{place}/{{layers}}/{numbered}"
    for entry in _chain(file, config):
        each_kind, each = _entry(file, entry)
        name = _name(entry, each)
        if each_kind in _MODELS:
            layers += _spread(file, each_kind, each, places[name], (*parents, name), depth + 1)
        else:
            layers.append(_Layer(each_kind, name, each, places[name], parents))
    return layers


def _name(entry: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    return str(config.get("name") or entry.get("name") or "")


def _snake(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _chain(file: _File, config: Mapping[str, Any]) -> list[Any]:
    """Return the layers of a model in the order of the computation, which must be one row."""
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > 1000:
        _refuse(file.path, "its description of the model lists no layers.")
    if not any(isinstance(entry, dict) and entry.get("inbound_nodes") for entry in layers):
        return layers
    named = {_name(entry, _entry(file, entry)[1]): entry for entry in layers}
    after: dict[str, list[str]] = {}
    for name, entry in named.items():
        sources = list(dict.fromkeys(_sources(entry.get("inbound_nodes"))))
        if len(sources) > 1:
            joined = f"layer '{name}' ({entry.get('class_name')}) joins {len(sources)} inputs"
            _refuse(file.path, f"{joined}, which a table of layers cannot say. Use the network in Python.")
        after.setdefault(sources[0] if sources else "", []).append(name)
    order: list[Any] = []
    at = ""
    while at in after and len(order) <= len(named):
        if len(after[at]) > 1:
            several = ", ".join(after[at][:3])
            what = f"layer '{at}' feeds {several}" if at else f"the model has several inputs ({several})"
            _refuse(file.path, f"{what}, which a table of layers cannot say. Use the network in Python.")
        at = after[at][0]
        order.append(named[at])
    if len(order) != len(named):
        _refuse(file.path, "its layers are no single row. Use the network in Python.")
    return order


def _sources(nodes: Any, depth: int = 0) -> list[str]:
    """Find the names of the layers whose outputs go in, in the nodes of any version."""
    if depth > 12:
        return []
    if isinstance(nodes, dict):
        history = nodes.get("config", {}).get("keras_history") if isinstance(nodes.get("config"), dict) else None
        if isinstance(history, list) and history:
            return [str(history[0])]
        return [name for each in nodes.values() for name in _sources(each, depth + 1)]
    if isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            return [nodes[0]]
        return [name for each in nodes for name in _sources(each, depth + 1)]
    return []


def _network(file: _File, key: str, layers: list[_Layer], name: str) -> ForeignNetwork:
    channels_last = not any(each.config.get("data_format") == "channels_first" for each in layers)
    build = _Build(file, channels_last)
    for layer in layers:
        build.add(layer)
    return ForeignNetwork(
        key,
        file.path,
        tuple(build.operations),
        role_of_name(name),
        channels_last,
        build.input_shape,
    )


class _Build:
    """Turns layers into operations, one after another; knows whether units or maps have been reached."""

    def __init__(self, file: _File, channels_last: bool) -> None:
        self._file = file
        self._channels_last = channels_last
        self._on_maps: bool | None = None
        self.operations: list[Operation] = []
        self.input_shape: tuple[int, ...] | None = None

    def add(self, layer: _Layer) -> None:
        shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
        if self.input_shape is None and isinstance(shape, list) and len(shape) in (2, 4):
            self._enter(shape[1:])
        if _IDENTITY.fullmatch(layer.kind):
            return
        method = _LAYERS.get(layer.kind)
        if method is None:
            self._refuse(layer, "Lambda layers hold code, which is not run" if layer.kind == "Lambda" else "")
        method(self, layer)

    def _enter(self, shape: list[Any]) -> None:
        if all(type(extent) is int and extent > 0 for extent in shape):
            moved = [shape[-1], *shape[:-1]] if len(shape) == 3 and self._channels_last else shape
            self.input_shape = tuple(moved)
        self._on_maps = len(shape) == 3

    def _refuse(self, layer: _Layer, text: str) -> NoReturn:
        why = (
            text or "which a table of layers cannot say. Use the network in Python: dcgan_analysis.wrap(generator=...)"
        )
        joint = ": " if text else ", "
        _refuse(self._file.path, f"layer '{layer.name}' is of class {layer.kind}{joint}{why}.")

    def _arrays(self, layer: _Layer, order: list[str]) -> dict[str, Array]:
        """Return a layer's arrays by what they are; ``order`` is that in which Keras numbers or lists them."""
        leaves = _numbered(self._file, layer) if self._file.by_number else _named(self._file, layer)
        arrays: dict[str, Array] = {}
        for position, (leaf, array) in enumerate(leaves):
            what = LEAVES.get(leaf.lower()) if not leaf.isdecimal() else None
            if what is None or what not in order:
                what = order[position] if position < len(order) else "more"
            arrays[what] = Array(f"{layer.name}/{what}", array.shape, array.read)
        missing = [what for what in order if what not in arrays]
        if missing or len(leaves) != len(order):
            self._refuse(layer, f"it needs {len(order)} arrays, the file holds {len(leaves)} for it")
        return arrays

    def _activation(self, layer: _Layer) -> None:
        value = layer.config.get("activation", "linear")
        if isinstance(value, dict):
            kind, config = value.get("class_name"), value.get("config")
            if kind == "function" and isinstance(config, str):
                value = config
            else:
                self.add(_Layer(str(kind), layer.name, config if isinstance(config, dict) else {}, "", ()))
                return
        known = {
            "linear": "none",
            **{name: name for name in ("relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus")},
            "swish": "silu",
            "leaky_relu": "leaky_relu",
        }
        if value is None or value == "linear":
            return
        if value not in known:
            self._refuse(layer, f"its activation {value!r} is none that a table of layers can say")
        self.operations.append(Activate(known[value], 0.2 if value == "leaky_relu" else None, name=layer.name))

    # One method for each class of layers.

    def dense(self, layer: _Layer) -> None:
        if self._on_maps:
            self._refuse(layer, "it works on maps that were not flattened, on each pixel")
        arrays = self._arrays(layer, ["weight", *self._bias(layer)])
        weight = self._of(layer, arrays, 2)
        turned = weight.turned(weight.shape[::-1], lambda values: values.t())
        self.operations.append(Weighted(layer.name, "linear", turned, arrays.get("bias")))
        self._on_maps = False
        self._activation(layer)

    def _bias(self, layer: _Layer) -> list[str]:
        return ["bias"] if layer.config.get("use_bias", True) else []

    def _of(self, layer: _Layer, arrays: Mapping[str, Array], axes: int) -> Array:
        if len(arrays["weight"].shape) != axes:
            self._refuse(layer, f"its kernel has shape {arrays['weight'].shape}")
        return arrays["weight"]

    def convolution(self, layer: _Layer) -> None:
        transpose = layer.kind in ("Conv2DTranspose", "Convolution2DTranspose")
        config = layer.config
        if self._pair(layer, "dilation_rate", 1) != (1, 1) or config.get("groups", 1) != 1:
            self._refuse(layer, "it has a dilation or groups")
        self._format(layer)
        strides = self._pair(layer, "strides", 1)
        if strides[0] != strides[1]:
            self._refuse(layer, f"its strides are {strides}")
        padding = config.get("padding", "valid")
        if padding not in ("same", "valid"):
            self._refuse(layer, f"its padding is {padding!r}")
        if config.get("output_padding") is not None:
            self._refuse(layer, "it has an output padding")
        arrays = self._arrays(layer, ["weight", *self._bias(layer)])
        weight = self._of(layer, arrays, 4)
        height, width, a, b = weight.shape
        turned = weight.turned((b, a, height, width), lambda values: values.permute(3, 2, 0, 1))
        around: Any = "same" if padding == "same" else (0, 0, 0, 0)
        rest = max(strides[0] - height, 0) if transpose and padding == "valid" else 0
        kind = "deconv" if transpose else "conv"
        self.operations.append(Weighted(layer.name, kind, turned, arrays.get("bias"), strides[0], around, rest))  # type: ignore[arg-type]
        self._on_maps = True
        self._activation(layer)

    def batch_normalization(self, layer: _Layer) -> None:
        config = layer.config
        axis = config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        channel = (-1, 3) if self._on_maps and self._channels_last else (1,) if self._on_maps else (-1, 1)
        if axis not in channel:
            self._refuse(layer, f"it normalises along axis {axis}, which is not that of the channels")
        affine = [leaf for leaf, key in (("weight", "scale"), ("bias", "center")) if config.get(key, True)]
        arrays = self._arrays(layer, [*affine, "mean", "variance"])
        size = arrays["mean"].shape
        eps = config.get("epsilon", EPS)
        if len(size) != 1 or not isinstance(eps, int | float) or not eps > 0:
            self._refuse(layer, f"its arrays have shape {size}, its epsilon is {eps!r}")
        self.operations.append(
            Normalise(
                layer.name,
                "batch",
                size[0],
                arrays.get("weight"),
                arrays.get("bias"),
                arrays["mean"],
                arrays["variance"],
                float(eps),
                affine=bool(affine),
            )
        )

    def leaky_relu(self, layer: _Layer) -> None:
        slope = layer.config.get("negative_slope", layer.config.get("alpha", _SLOPE))
        if isinstance(slope, dict):
            slope = slope.get("value", slope)
        if not isinstance(slope, int | float):
            self._refuse(layer, f"its slope is {slope!r}")
        self.operations.append(Activate("leaky_relu", float(slope), name=layer.name))

    def relu(self, layer: _Layer) -> None:
        config = layer.config
        if config.get("max_value") is not None or config.get("threshold"):
            self._refuse(layer, "it is cut off or begins elsewhere than at 0")
        slope = config.get("negative_slope") or 0.0
        self.operations.append(
            Activate("leaky_relu", float(slope), name=layer.name) if slope else Activate("relu", name=layer.name)
        )

    def elu(self, layer: _Layer) -> None:
        alpha = layer.config.get("alpha", 1.0)
        self.operations.append(Activate("elu", float(alpha), name=layer.name))

    def prelu(self, layer: _Layer) -> None:
        alpha = self._arrays(layer, ["weight"])["weight"]
        if self._on_maps and alpha.size != alpha.shape[-1 if self._channels_last else 0]:
            self._refuse(layer, "it has a slope of its own for every pixel")
        flat = alpha.turned((alpha.size,), lambda values: values.flatten())
        self.operations.append(Activate("prelu", weight=flat, name=layer.name))

    def activation(self, layer: _Layer) -> None:
        self._activation(layer)

    def reshape(self, layer: _Layer) -> None:
        shape = layer.config.get("target_shape")
        if not isinstance(shape, list) or not all(type(extent) is int for extent in shape) or len(shape) not in (1, 3):
            self._refuse(layer, f"it reshapes to {shape!r}")
        if len(shape) == 1:
            self.flatten(layer)
            return
        if self._on_maps:
            self._refuse(layer, "it reshapes maps")
        if -1 in shape:
            units = self._units(layer)
            shape = [units // max(1, -math.prod(shape)) if extent == -1 else extent for extent in shape]
        channels, height, width = (shape[2], shape[0], shape[1]) if self._channels_last else shape
        self.operations.append(Reshape((channels, height, width)))
        self._on_maps = True

    def _units(self, layer: _Layer) -> int:
        for each in reversed(self.operations):
            if isinstance(each, Weighted):
                return each.outputs
        if self.input_shape is not None:
            return math.prod(self.input_shape)
        self._refuse(layer, "how many units it reshapes is not said")

    def flatten(self, layer: _Layer) -> None:
        self._format(layer)
        if self._on_maps:
            self.operations.append(Flatten())
        self._on_maps = False

    def up_sampling(self, layer: _Layer) -> None:
        self._format(layer)
        mode = layer.config.get("interpolation", "nearest")
        if mode not in ("nearest", "bilinear"):
            self._refuse(layer, f"its interpolation is {mode!r}")
        self.operations.append(Resize(self._pair(layer, "size", 2), mode=mode))

    def pooling(self, layer: _Layer) -> None:
        self._format(layer)
        padding = layer.config.get("padding", "valid")
        kernel = self._pair(layer, "pool_size", 2)
        strides = kernel if layer.config.get("strides") is None else self._pair(layer, "strides", 2)
        if padding not in ("same", "valid"):
            self._refuse(layer, f"its padding is {padding!r}")
        kind = "max" if layer.kind.startswith("Max") else "average"
        # Keras leaves zeros around out of the mean, which only matters where there are any.
        self.operations.append(Pool(kind, kernel, strides, "same" if padding == "same" else (0, 0, 0, 0)))  # type: ignore[arg-type]

    def global_pooling(self, layer: _Layer) -> None:
        self._format(layer)
        self.operations.append(Pool("global"))
        self._on_maps = bool(layer.config.get("keepdims"))

    def zero_padding(self, layer: _Layer) -> None:
        self._format(layer)
        value = layer.config.get("padding", 1)
        if isinstance(value, int):
            value = [[value, value], [value, value]]
        rows = [[each, each] if isinstance(each, int) else each for each in value] if isinstance(value, list) else []
        if len(rows) != 2 or not all(
            isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair) for pair in rows
        ):
            self._refuse(layer, f"it pads by {value!r}")
        (top, bottom), (left, right) = rows
        self.operations.append(Pad((left, right, top, bottom)))

    def _format(self, layer: _Layer) -> None:
        if layer.config.get("data_format") == "channels_first" and self._channels_last:
            self._refuse(layer, "some layers go by channels first, some by channels last")

    def _pair(self, layer: _Layer, name: str, default: int) -> tuple[int, int]:
        value = layer.config.get(name, default)
        pair = [value, value] if isinstance(value, int) else value
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and n >= 1 for n in pair)):
            self._refuse(layer, f"its {name} is {value!r}")
        return pair[0], pair[1]


_LAYERS: Mapping[str, Callable[[_Build, _Layer], None]] = {
    "Dense": _Build.dense,
    "Conv2D": _Build.convolution,
    "Convolution2D": _Build.convolution,
    "Conv2DTranspose": _Build.convolution,
    "Convolution2DTranspose": _Build.convolution,
    "BatchNormalization": _Build.batch_normalization,
    "BatchNormalizationV1": _Build.batch_normalization,
    "BatchNormalizationV2": _Build.batch_normalization,
    "SyncBatchNormalization": _Build.batch_normalization,
    "LeakyReLU": _Build.leaky_relu,
    "ReLU": _Build.relu,
    "ELU": _Build.elu,
    "PReLU": _Build.prelu,
    "Activation": _Build.activation,
    "Reshape": _Build.reshape,
    "Flatten": _Build.flatten,
    "UpSampling2D": _Build.up_sampling,
    "MaxPooling2D": _Build.pooling,
    "AveragePooling2D": _Build.pooling,
    "GlobalAveragePooling2D": _Build.global_pooling,
    "ZeroPadding2D": _Build.zero_padding,
}


# Where a layer's arrays are.


def _numbered(file: _File, layer: _Layer) -> list[tuple[str, Array]]:
    for container in _CONTAINERS:
        place = f"{layer.place.replace('{layers}', container).lstrip('/')}/vars/"
        numbered = [(name.removeprefix(place), array) for name, array in file.arrays.items() if name.startswith(place)]
        if numbered:
            return sorted(numbered, key=lambda each: int(each[0]) if each[0].isdecimal() else 0)
    return []


def _named(file: _File, layer: _Layer) -> list[tuple[str, Array]]:
    top = layer.parents[0] if layer.parents else layer.name
    group = f"model_weights/{top}"
    order = attribute_texts(dict(file.attributes.get(group, {})), "weight_names")
    named = []
    for name in order:
        array = file.arrays.get(f"{group}/{name}")
        words = name.split("/")
        if array is not None and (not layer.parents or layer.name in words[:-1]):
            named.append((words[-1].removesuffix(":0"), array))
    return named


def _weights_alone(
    path: Path, arrays: Mapping[str, Array], attributes: Mapping[str, Mapping[str, Any]]
) -> ForeignNetwork:
    """Read weights without the model: names and shapes are all there is, as in a state dict."""
    root = attributes.get("", {})
    layers = attribute_texts(dict(root), "layer_names")
    ordered: dict[str, Array] = {}
    for layer in layers:
        for name in attribute_texts(dict(attributes.get(layer, {})), "weight_names"):
            array = arrays.get(f"{layer}/{name}")
            if array is not None:
                words = name.removesuffix(":0").split("/")
                ordered["/".join(words[-2:]) if len(words) > 1 else f"{layer}/{words[0]}"] = array
    if not ordered:
        ordered = _numbered_weights(arrays)
    if not ordered:
        _refuse(
            path,
            "it is an HDF5 file, but not one of Keras: it has neither a model nor layers. Save the model with "
            "model.save('generator.h5'), or plain arrays with numpy.savez('generator.npz', **arrays).",
        )
    return ForeignNetwork("", path, operations_of(ordered, channels_last=True), channels_last=True)


def _numbered_weights(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Name the arrays of a ``.weights.h5``: layer classes are named, arrays numbered."""
    layers: dict[str, list[tuple[int, Array]]] = {}
    for name, array in arrays.items():
        match = re.fullmatch(r"(?:.*/)?(?:layers|_layer_checkpoint_dependencies)/([^/]+)/vars/(\d+)", name)
        if match:
            layers.setdefault(match[1], []).append((int(match[2]), array))
    named: dict[str, Array] = {}
    for layer, numbered in layers.items():
        values = [array for _, array in sorted(numbered, key=lambda each: each[0])]
        leaves = ("kernel", "bias")
        if len(values[0].shape) == 1:
            leaves = {
                4: ("gamma", "beta", "moving_mean", "moving_variance"),
                2: ("moving_mean", "moving_variance"),
            }.get(len(values), ("beta", "moving_mean", "moving_variance"))  # type: ignore[assignment]
        named |= {f"{layer}/{leaf}": array for leaf, array in zip(leaves, values, strict=False)}
    return named
