"""The architecture ``layers``: any networks that two tables of layers can say. No torch here.

Its parameters are plain values, as JSON has them, so that a checkpoint holds all that it takes to build its networks
again. Nothing is built of a table that does not hold: rows are checked one by one, with the sizes that they make.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.architecture import (
    ROLES,
    Activation,
    Architecture,
    LabelJoin,
    Layer,
    LayerKind,
    NormKind,
    Order,
    Role,
    UpsampleMode,
)
from dcgan_analysis.models.shapes import (
    embedding_shape,
    input_shape,
    normalised_shape,
    output_shape,
    paddings,
    parameter_shapes,
)
from dcgan_analysis.models.tables import make_discriminator, make_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAME = "layers"

# Numbers in float32: the parameters of a network, and the maps of one image, take half a gigabyte at most.
_MOST = 1 << 27
_ROWS = 1000
_DEFAULTS = {each.name: each.default for each in dataclasses.fields(Layer)} | {"out": 0, "norm": "none"}


@dataclass(frozen=True)
class _Field:
    """What a field of a row may be."""

    fits: Callable[[Any], bool]
    wanted: str


def _is_whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def _are_whole(count: int, least: int = 1) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, tuple) and len(value) == count and all(_is_whole(item, least) for item in value)
    )


def _is_number(value: Any, least: float = -math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf


def _one_of(choices: Any) -> _Field:
    names = get_args(choices)
    return _Field(lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}")


# Layers are attributes of a module, whose own they must not hide; written down, as no torch is imported here.
_MODULE_MEMBERS = frozenset(
    """T_destination add_module apply architecture bfloat16 buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu
    load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty
    train training type xpu zero_grad""".split()  # noqa: SIM905 - one name a word is easier to read
)

_NUMBER_OR_PAIR = _Field(lambda value: _is_whole(value) or _are_whole(2)(value), "a whole number > 0, or two of them")
_WHOLE = _Field(_is_whole, "a whole number > 0")
_YES_OR_NO = _Field(lambda value: isinstance(value, bool), "true or false")
_ONE = _Field(lambda value: _is_whole(value) and value == 1, "1: no other is known here")
_SHAPE = _Field(_are_whole(3), "[channels, height, width]")
_FIELDS = {
    "name": _Field(
        lambda value: isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", value) is not None,
        "a word of letters, digits and _, a letter first",
    ),
    "kind": _one_of(LayerKind),
    "out": _WHOLE,
    "kernel": _NUMBER_OR_PAIR,
    "stride": _NUMBER_OR_PAIR,
    "activation": _one_of(Activation),
    "reshape": _SHAPE,
    "batchnorm_maps": _YES_OR_NO,
    "conditional": _YES_OR_NO,
    "bias": _YES_OR_NO,
    "padding": _Field(
        lambda value: _is_whole(value, 0) or _are_whole(4, 0)(value) or value == "same",
        "a whole number >= 0, [left, right, top, bottom] or same",
    ),
    "output_padding": _Field(lambda value: _is_whole(value, 0), "a whole number >= 0"),
    "dilation": _ONE,
    "groups": _ONE,
    "size": _Field(_are_whole(2), "[height, width]"),
    "mode": _one_of(UpsampleMode),
    "norm": _one_of(NormKind),
    "norm_groups": _WHOLE,
    "norm_eps": _Field(lambda value: _is_number(value, 0.0), "a number >= 0"),
    "norm_affine": _YES_OR_NO,
    "norm_after_activation": _YES_OR_NO,
    "slope": _Field(_is_number, "a number"),
    "order": _one_of(Order),
    "label": _one_of(LabelJoin),
    "embedding": _Field(
        lambda value: _is_whole(value) or _are_whole(3)(value), "a whole number > 0 or [channels, height, width]"
    ),
}

_AFTER = ("activation", "slope", "norm", "norm_groups", "norm_eps", "norm_affine", "norm_after_activation")
_LABEL = ("conditional", "label", "embedding")
_CONVOLUTION = ("out", "kernel", "stride", "padding", "bias", "dilation", "groups", *_LABEL)
_OF_KIND: dict[LayerKind, tuple[str, ...]] = {
    "linear": ("out", "bias", "reshape", "order", "batchnorm_maps", *_LABEL),
    "conv": _CONVOLUTION,
    "deconv": (*_CONVOLUTION, "output_padding"),
    "upsample": ("stride", "size", "mode"),
    "pixel_shuffle": ("stride",),
    "max_pool": ("kernel", "stride", "padding"),
    "average_pool": ("kernel", "stride", "padding"),
    "global_average_pool": (),
    "identity": ("reshape", "order"),
}
_NEEDED: dict[LayerKind, tuple[str, ...]] = {
    "linear": ("out",),
    "conv": ("out", "kernel"),
    "deconv": ("out", "kernel"),
    "max_pool": ("kernel",),
    "average_pool": ("kernel",),
}


def row(layer: Layer) -> dict[str, Any]:
    """Return a layer as a row of plain values; what has its default is left out.

    ``norm`` alone says which normalisation follows; where it is left out there is none.

    Example:
        >>> row(Layer("conv1", "conv", 64, 4, 2, activation="leaky_relu", padding=(1, 2, 1, 2)))
        {'name': 'conv1', 'kind': 'conv', 'out': 64, 'kernel': 4, 'stride': 2, 'activation': 'leaky_relu', \
'padding': [1, 2, 1, 2], 'norm': 'batch'}
    """
    values = {name: getattr(layer, name) for name in _FIELDS} | {"norm": layer.normalisation}
    kept = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


def layers(
    generator: Sequence[Layer | Mapping[str, Any]] | None = None,
    discriminator: Sequence[Layer | Mapping[str, Any]] | None = None,
    image_shape: Sequence[int] = (3, 64, 64),
    image_range: Sequence[float] = (-1.0, 1.0),
    z_size: int = 100,
    classes: int = 0,
) -> Architecture:
    """Any networks that tables of layers can say, such as those read from files of other libraries.

    Args:
        generator: Its layer table, latent vector to image: rows of plain values, the fields of ``Layer`` without
            ``batchnorm`` (``norm`` says which normalisation follows: none where it is left out), or ``Layer`` objects.
            None: there is no generator.
        discriminator: Its layer table, image to one number, the logit; a sigmoid at its end is not applied.
        image_shape: ``(C, H, W)``.
        image_range: Lowest and highest pixel value.
        z_size: Z.
        classes: Number of classes that rows with ``conditional`` join; 0: none.

    Raises:
        ArchitectureError: If there is no table, a row says what no layer can be, sizes do not follow one another, or
            the networks would be too large for memory (2^27 parameters, or numbers in the maps of one image).

    Example:
        >>> table = [
        ...     {"name": "deconv1", "kind": "deconv", "out": 8, "kernel": 4, "padding": 0, "activation": "relu"},
        ...     {"name": "deconv2", "kind": "deconv", "out": 3, "kernel": 4, "stride": 2, "activation": "tanh"},
        ... ]
        >>> layers(table, image_shape=(3, 8, 8)).generator_layers[1].kernel
        4
    """
    shape = _plain(image_shape)
    limits = _plain(image_range)
    rows = {"generator": generator, "discriminator": discriminator}
    if generator is None and discriminator is None:
        msg = f"Architecture '{NAME}': give the layer table of a generator, of a discriminator, or both."
        raise ArchitectureError(msg)
    _require(_are_whole(3)(shape) and math.prod(shape) <= _MOST, "image_shape", "[channels, height, width]", shape)
    in_order = isinstance(limits, tuple) and len(limits) == 2 and all(_is_number(limit) for limit in limits)
    _require(in_order and limits[0] < limits[1], "image_range", "[lowest, highest]", limits)
    _require(_is_whole(z_size), "z_size", "a whole number > 0", z_size)
    _require(_is_whole(classes, 0), "classes", "a whole number >= 0", classes)
    tables = {role: () if rows[role] is None else _table(rows[role], role) for role in ROLES}
    architecture = Architecture(
        name=NAME,
        parameters={
            **{role: None if rows[role] is None else [row(layer) for layer in tables[role]] for role in ROLES},
            "image_shape": list(shape),
            "image_range": [float(limit) for limit in limits],
            "z_size": z_size,
            "classes": classes,
        },
        image_shape=shape,
        image_range=(float(limits[0]), float(limits[1])),
        z_size=z_size,
        taps=_taps(tables["discriminator"]),
        make_generator=None if generator is None else make_generator,
        make_discriminator=None if discriminator is None else make_discriminator,
        classes=classes,
        generator_layers=tables["generator"],
        discriminator_layers=tables["discriminator"],
    )
    for role in filter(architecture.has, ROLES):
        _check_sizes(architecture, role)
    return architecture


def _require(fits: bool, name: str, wanted: str, value: Any) -> None:
    if not fits:
        msg = f"Architecture '{NAME}': {name} must be {wanted}, got {_shown(value)}."
        raise ArchitectureError(msg)


def _shown(value: Any) -> str:
    return reprlib.repr(list(value) if isinstance(value, tuple) else value)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _table(rows: Any, role: Role) -> tuple[Layer, ...]:
    if not isinstance(rows, list | tuple) or not 1 <= len(rows) <= _ROWS:
        msg = f"Architecture '{NAME}': {role} must be a list of 1 to {_ROWS} rows, got {_shown(rows)}."
        raise ArchitectureError(msg)
    result: list[Layer] = []
    for number, values in enumerate(rows, start=1):
        where = f"{role} row {number}"
        layer = _layer(row(values) if isinstance(values, Layer) else values, where)
        if layer.name in {before.name for before in result}:
            raise _wrong(where, "name", "another than those before it", layer.name)
        result.append(layer)
    return tuple(result)


def _layer(values: Any, where: str) -> Layer:
    """Check one row and make a layer of it."""
    if not isinstance(values, dict):
        msg = f"Architecture '{NAME}': {where} must be a table of fields and values, got {_shown(values)}."
        raise ArchitectureError(msg)
    values = {name: _plain(value) for name, value in values.items()}
    if isinstance(values.get("name"), str):
        where += f" ('{reprlib.repr(values['name'])[1:-1]}')"
    _check_fields(values, where)
    # One way to say one thing: what is the same on all sides is one number.
    for name in ("kernel", "stride", "padding"):
        value = values.get(name)
        if isinstance(value, tuple) and len({*value}) == 1:
            values[name] = value[0]
    layer = Layer(**{"out": 0, "norm": "none", **values, "batchnorm": values.get("norm") == "batch"})
    _check_row(layer, where)
    return layer


def _check_fields(values: Mapping[str, Any], where: str) -> None:
    """Check each field of a row by itself, and that its kind of layer has it."""
    where = f"Architecture '{NAME}': {where}"
    for name, value in values.items():
        if name not in _FIELDS:
            close = difflib.get_close_matches(str(name), _FIELDS, n=1)
            guess = f" Did you mean '{close[0]}'?" if close else f" Known: {', '.join(_FIELDS)}."
            msg = f"{where} has a field {_shown(name)}, which no layer has.{guess}"
            raise ArchitectureError(msg)
        # A field that may be left out may be null as well.
        if not (_FIELDS[name].fits(value) or (value is None and _DEFAULTS[name] is None)):
            msg = f"{where}: {name} must be {_FIELDS[name].wanted}, got {_shown(value)}."
            raise ArchitectureError(msg)
    for name in ("name", "kind", *_NEEDED.get(values.get("kind", "identity"), ())):
        if name not in values:
            msg = f"{where} lacks {name}: {_FIELDS[name].wanted}."
            raise ArchitectureError(msg)
    allowed = ("name", "kind", *_OF_KIND[values["kind"]], *_AFTER)
    for name, value in values.items():
        if name not in allowed and value != _DEFAULTS[name]:
            msg = f"{where} has {name} {_shown(value)}, which {values['kind']} does not take. Leave it out."
            raise ArchitectureError(msg)


def _wrong(where: str, name: str, wanted: str, value: Any) -> ArchitectureError:
    return ArchitectureError(f"Architecture '{NAME}': {where}: {name} must be {wanted}, got {_shown(value)}.")


def _check_row(layer: Layer, where: str) -> None:
    """Check fields that depend on one another, and the name against those that a module needs itself."""
    if layer.name in _MODULE_MEMBERS:
        msg = f"Architecture '{NAME}': {where}: no layer can be called '{layer.name}': torch has it. Rename it."
        raise ArchitectureError(msg)
    if layer.output_padding and not isinstance(layer.padding, int):
        raise _wrong(where, "output_padding", "0 unless padding is one number", layer.output_padding)
    if layer.output_padding >= min(layer.strides) and layer.output_padding:
        raise _wrong(where, "output_padding", "less than the stride", layer.output_padding)
    if layer.kind == "pixel_shuffle" and len({*layer.strides}) > 1:
        raise _wrong(where, "stride", "one number", layer.stride)
    if layer.size is not None and layer.strides != (1, 1):
        raise _wrong(where, "stride", "left out where size is given", layer.stride)
    if layer.label != "one_hot" and not layer.conditional:
        raise _wrong(where, "conditional", f"true where label is {layer.label}", layer.conditional)
    if layer.embedding is not None and layer.label == "one_hot":
        raise _wrong(where, "label", "an embedding where embedding is given", layer.label)
    if layer.label == "embedding" and layer.embedding is None:
        raise _wrong(where, "embedding", "given where it is joined", None)


def _check_sizes(architecture: Architecture, role: Role) -> None:
    """Check that each row can work on what the row before it makes, and that the last makes what it should."""
    shape: tuple[int, ...] = (architecture.z_size,) if role == "generator" else architecture.image_shape
    parameters = 0
    for number, layer in enumerate(architecture.layers(role), start=1):
        where = f"Architecture '{NAME}': {role} row {number} ('{layer.name}')"
        problem = _misfit(layer, shape, architecture)
        if problem:
            msg = f"{where} takes an input of shape {shape}: {problem}."
            raise ArchitectureError(msg)
        parameters += sum(map(math.prod, parameter_shapes(layer, shape, architecture).values()))
        shape_after = output_shape(layer, shape)
        if max(parameters, _numbers(layer, shape), math.prod(shape_after)) > _MOST:
            msg = f"{where} makes the network too large for memory: {parameters:,} parameters, maps {shape_after}."
            raise ArchitectureError(msg)
        shape = shape_after
    expected = architecture.image_shape if role == "generator" else (1,)
    if role == "generator" and shape != expected:
        msg = f"Architecture '{NAME}': the generator makes images of shape {shape}, image_shape is {expected}."
        raise ArchitectureError(msg)
    if role == "discriminator" and math.prod(shape) != 1:
        pooled = " Average its maps with a last row of kind global_average_pool." if shape[0] == 1 else ""
        msg = f"Architecture '{NAME}': the discriminator makes shape {shape} of an image, not one number.{pooled}"
        raise ArchitectureError(msg)


def _numbers(layer: Layer, shape: tuple[int, ...]) -> int:
    """Return how many numbers the operation meets: its padded input, or what a deconv makes before it is cut."""
    if layer.kind not in ("conv", "deconv", "max_pool", "average_pool"):
        return math.prod(shape)
    channels, height, width = input_shape(layer, shape)
    (k, j), (down, across) = layer.kernel_size, layer.strides
    if layer.kind == "deconv":
        return layer.out * ((height - 1) * down + k) * ((width - 1) * across + j)
    most = max(layer.padding) if isinstance(layer.padding, tuple) else layer.padding
    around = 2 * (most if isinstance(most, int) else max(k, j))
    return channels * (height + around) * (width + around)


def _misfit(layer: Layer, shape: tuple[int, ...], architecture: Architecture) -> str:
    """Say why a layer cannot work on an input of a shape; empty: it can."""
    taken = input_shape(layer, shape)
    if len(shape) == 1 and layer.kind not in ("linear", "conv", "deconv", "identity"):
        return f"{layer.kind} works on maps"
    if layer.conditional and not architecture.classes:
        return "conditional needs classes, how many there are"
    if layer.kind == "pixel_shuffle" and taken[0] % math.prod(layer.strides):
        return f"{taken[0]} channels cannot be spread over {layer.strides[0]} x {layer.strides[1]} pixels"
    embedded = embedding_shape(layer, shape)
    joined = layer.label == "embedding"
    if embedded is not None and (
        (len(embedded) > 1 and embedded[1:] != taken[1:]) or (not joined and embedded[0] != taken[0])
    ):
        return f"an embedding of shape {embedded} cannot be joined to {taken}"
    units = layer.out if layer.kind == "linear" else math.prod(shape)
    if layer.reshape is not None and math.prod(layer.reshape) != units:
        return f"{units} numbers cannot become {layer.reshape}"
    shape_after = output_shape(layer, shape)
    if min(shape_after) < 1:
        return f"nothing is left of it, shape {shape_after}"
    if layer.kind == "average_pool" and layer.padding == "same" and any(paddings(layer, taken)):
        return "average pooling with padding same would have to leave padding out of the average"
    normalised = normalised_shape(layer, shape)
    if layer.normalisation == "instance" and len(normalised) == 1:
        return "instance normalisation works on maps"
    if layer.normalisation == "group" and normalised[0] % layer.norm_groups:
        return f"{normalised[0]} channels cannot be split into {layer.norm_groups} groups"
    return ""


def _taps(table: tuple[Layer, ...]) -> tuple[str, ...]:
    """Return the taps of a discriminator's features: after the activation of each convolution, or of each linear layer.

    The layer that makes the logit is none, and no layer without activation where another has one. Where a
    convolution's activation follows in a row of its own, the tap is there. ``models.tracing`` finds the same.
    """
    weighted = [number for number, layer in enumerate(table) if layer.weighted]
    convolutions = [number for number in weighted[:-1] if table[number].kind != "linear"]
    taps: dict[str, bool] = {}
    for number in convolutions or weighted[:-1] or weighted:
        last = number
        while table[last].activation == "none" and last + 1 < len(table) and not table[last + 1].weighted:
            last += 1
        activated = table[last].activation != "none"
        layer = table[last if activated else number]
        inside = activated and layer.norm_after_activation and layer.normalisation != "none"
        taps[f"{layer.name}.activation" if inside else layer.name] = activated
    return tuple(tap for tap, activated in taps.items() if activated) or tuple(taps)
