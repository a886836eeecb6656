"""Networks that somebody else wrote, as ``torch.nn.Module``s: copied, called as they want, never changed.

The rest of the program calls a generator with latent vectors (N, Z) and class numbers (N,), and a discriminator with
images and class numbers, and expects images (N, C, H, W) and logits (N,). What a foreign network takes and gives
instead is found by trying it on a small batch.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode

from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.architecture import Architecture, Role
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.operations import operation_name
from dcgan_analysis.models.tracing import trace_role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dcgan_analysis.models.tracing import Trace

Labels = Literal["none", "integers", "one-hot", "one-hot maps", "one-hot images"]
_LABELS: tuple[Labels, ...] = ("integers", "one-hot", "one-hot maps", "one-hot images")
_SIDES = (16, 28, 32, 48, 64, 96, 128, 192, 256, 512)
"""Sides of images that a discriminator alone is tried on."""
_PROBE = 2  # images in a trial
_LOOKED_AT = 4  # weights, from the first, whose sizes tell what a network may take
_RANGES = ((-1.0, 1.0), (0.0, 1.0))


def copied(network: nn.Module) -> nn.Module:
    """Return a deep copy without gradients; the module itself is only read.

    Tensors that a module keeps beside its parameters, as the former ``weight_norm`` does with the weight it computed,
    are copied too, though torch copies none that carries a history.
    """
    memo: dict[int, object] = {}
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)


@dataclass(frozen=True)
class CallForm:
    """How a foreign network is called, and what is made of what it returns.

    Attributes:
        role: Which of the two it is.
        latent: Shape of a latent vector, ``(Z,)`` or ``(Z, 1, 1)``; empty for a discriminator.
        classes: K, number of classes; 0: unconditional.
        labels: In which form it takes them.
        part: Which part of a tuple or a dictionary is meant; None: it returns a tensor.
        image: ``(C, H, W)`` of the images.
        sigmoid: Number of the call of a sigmoid that gives the probability, which is left out; None: it gives logits.
    """

    role: Role
    latent: tuple[int, ...] = ()
    classes: int = 0
    labels: Labels = "none"
    part: int | str | None = None
    image: tuple[int, ...] = ()
    sigmoid: int | None = None

    def arguments(self, inputs: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        """Return what the network takes, for latent vectors (N, Z) or images, and class numbers (N,)."""
        first = inputs.reshape(len(inputs), *self.latent) if self.role == "generator" else inputs
        if self.labels == "none" or labels is None:
            return [first]
        if self.labels == "integers":
            return [first, labels]
        codes = F.one_hot(labels, self.classes).to(inputs.dtype)
        if self.labels == "one-hot":
            return [first, codes]
        maps = codes[:, :, None, None]
        return [first, maps if self.labels == "one-hot maps" else maps.expand(-1, -1, *self.image[1:])]

    def result(self, output: Any) -> Tensor:
        """Return images (N, C, H, W), or logits (N,), from what the network returned."""
        tensor: Tensor = output if self.part is None else output[self.part]
        if self.role == "generator":
            return tensor.reshape(len(tensor), *self.image)
        return tensor.flatten(1).mean(1) if tensor.dim() > 1 else tensor


class _Tolerance(TorchFunctionMode):
    """Lets ``view`` work on any memory layout, and leaves a sigmoid out.

    Layouts are chosen here for speed; ``x.view(len(x), -1)``, which many networks call, refuses most of them.
    """

    def __init__(self, sigmoid: int | None = None) -> None:
        super().__init__()
        self._sigmoid = sigmoid
        self._seen = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        if func is Tensor.view and not isinstance(args[1] if len(args) > 1 else keywords.get("dtype"), torch.dtype):
            return args[0].reshape(*args[1:], **keywords)
        if self._sigmoid is not None and operation_name(func) == "sigmoid":
            self._seen += 1
            if self._seen == self._sigmoid + 1:
                return args[0]
        return func(*args, **keywords)


def tolerant(network: nn.Module, form: CallForm | None = None) -> nn.Module:
    """Let a network's ``forward`` take and give what the rest of the program does, in any memory layout.

    Args:
        network: Changed in place: a ``forward`` of its own stands before that of its class. Copies keep it.
        form: How it is called; None: as it is.
    """
    own = vars(network).get("forward")
    if getattr(own, "__func__", None) is _forward:
        if form is not None:
            network._call_form = form  # type: ignore[assignment]
        return network
    network._call_form = form  # type: ignore[assignment]
    network._inner_forward = own  # type: ignore[assignment]
    network.forward = MethodType(_forward, network)
    return network


def _forward(self: nn.Module, *arguments: Any, **keywords: Any) -> Any:
    form: CallForm | None = self._call_form  # type: ignore[assignment]
    inner: Callable[..., Any] = self._inner_forward or MethodType(type(self).forward, self)  # type: ignore[assignment]
    if form is None:
        with _Tolerance():
            return inner(*arguments, **keywords)
    with _Tolerance(form.sigmoid):
        return form.result(inner(*form.arguments(*arguments, **keywords)))


@dataclass(frozen=True)
class _Adapted:
    """A foreign network, copied, with what was found of it."""

    network: nn.Module
    form: CallForm
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HandOut:
    """Hands out a network when an architecture is built; whoever builds copies it."""

    network: nn.Module

    def __call__(self, _: Architecture) -> nn.Module:
        """Return the network."""
        return self.network


def module_architecture(
    name: str,
    *,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    latent: int | Sequence[int] | None = None,
    image: Sequence[int] | None = None,
    image_range: tuple[float, float] = (-1.0, 1.0),
    classes: int = 0,
    taps: Sequence[str] | None = None,
) -> tuple[Architecture, tuple[str, ...]]:
    """Make an architecture of modules, and say what was adapted.

    Args:
        name: What it is called.
        generator: Any module that makes images, or None.
        discriminator: Any module that judges images, or None.
        latent: Z, or the shape of a latent vector; None: found by trying.
        image: (C, H, W); None: what the generator makes, or found by trying.
        image_range: Lowest and highest pixel value, (-1, 1) or (0, 1).
        classes: K, number of classes, where they take labels: class numbers or one-hot.
        taps: Taps of the discriminator that give the features; None: after the activation of each hidden convolution.

    Returns:
        The architecture, and one sentence for each thing that was adapted. Its parameters tell the modules' structure.

    Raises:
        ArchitectureError: If a module cannot be run as a generator or a discriminator, or the two do not fit.
    """
    if generator is None and discriminator is None:
        msg = "There is no network: give a generator, a discriminator, or both."
        raise ArchitectureError(msg)
    if tuple(image_range) not in _RANGES:
        msg = f"image_range must be (-1, 1) or (0, 1), got {image_range}. Let the modules scale pixels so."
        raise ArchitectureError(msg)
    shape = None if image is None else _image_shape(image)
    makes = None if generator is None else _adapt_generator(generator, latent, shape, classes, image_range)
    if makes is not None:
        shape = _image_shape(makes.form.image)
    judges = None if discriminator is None else _adapt_discriminator(discriminator, shape, classes, image_range)
    if judges is not None:
        shape = _image_shape(judges.form.image)
    assert shape is not None
    adapted: dict[Role, _Adapted | None] = {"generator": makes, "discriminator": judges}
    architecture = Architecture(
        name=name,
        parameters={},
        image_shape=shape,
        image_range=(float(image_range[0]), float(image_range[1])),
        z_size=1 if makes is None else math.prod(makes.form.latent),
        taps=(),
        make_generator=None if makes is None else HandOut(makes.network),
        make_discriminator=None if judges is None else HandOut(judges.network),
        classes=classes if any(part is not None and part.form.labels != "none" for part in adapted.values()) else 0,
        without_labels=frozenset(role for role, part in adapted.items() if part and part.form.labels == "none"),
    )
    traces = {role: trace_role(part.network, architecture, role) for role, part in adapted.items() if part}
    chosen = tuple(taps) if taps is not None else ()
    if judges is not None:
        chosen = chosen or traces["discriminator"].feature_taps
        _check_taps(judges.network, chosen, architecture)
    parameters: dict[str, str] = {
        role: f"{type(part.network).__name__}, structure {_structure(part.network, traces[role])}"
        for role, part in adapted.items()
        if part is not None
    }
    notes = tuple(note for part in adapted.values() if part is not None for note in part.notes)
    return replace(architecture, taps=chosen, parameters=parameters), notes


def _structure(network: nn.Module, traced: Trace) -> str:
    """Hash what the modules print and what they call: functions do not print."""
    return hash_json([str(network), list(traced.operations)])[:16]


def _check_taps(network: nn.Module, taps: Sequence[str], architecture: Architecture) -> None:
    labels = [torch.zeros(_PROBE, dtype=torch.long)] if architecture.classes else []
    with torch.no_grad(), capture(network, taps):
        network(torch.zeros(_PROBE, *architecture.image_shape), *labels)


def _image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or not all(isinstance(length, int) and length > 0 for length in shape):
        msg = f"image must be (channels, height, width), got {tuple(shape)}."
        raise ArchitectureError(msg)
    channels, height, width = shape
    return channels, height, width


def _own_copy(network: nn.Module, role: Role) -> nn.Module:
    """Return a copy in evaluation mode, in float32 on the CPU, out of what it may be wrapped in."""
    inner: object = network
    for _ in range(2):  # compiled and shared out over devices
        for attribute in ("_orig_mod", "module"):
            if attribute == "_orig_mod" or isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel):
                inner = getattr(inner, attribute, inner)
    if not isinstance(inner, nn.Module):
        received = f"the class {inner.__name__}; give {inner.__name__}(...)" if isinstance(inner, type) else inner
        msg = f"The {role} must be a torch.nn.Module, got {received}."
        raise ArchitectureError(msg)
    if any(isinstance(parameter, UninitializedParameter) for parameter in inner.parameters()):
        msg = f"The {role} {type(inner).__name__} has layers without weights yet (Lazy...). Run it on a batch first."
        raise ArchitectureError(msg)
    if any(tensor.is_meta for tensor in (*inner.parameters(), *inner.buffers())):
        msg = f"The {role} {type(inner).__name__} lies on the meta device: it has no weights. Load them first."
        raise ArchitectureError(msg)
    if isinstance(inner, torch.jit.ScriptModule):
        msg = f"The {role} is TorchScript, whose layers cannot be watched. Give the module that it was made of."
        raise ArchitectureError(msg)
    return copied(inner).float().cpu().eval()


@torch.no_grad()
def _try(network: nn.Module, form: CallForm, image_range: tuple[float, float]) -> tuple[Any, str]:
    """Run a network in one form; return what it gave and an empty word, or None and why it failed."""
    source = torch.Generator().manual_seed(0)
    if form.role == "generator":
        inputs = torch.randn(_PROBE, math.prod(form.latent), generator=source)
    else:
        low, high = image_range
        inputs = torch.rand(_PROBE, *form.image, generator=source) * (high - low) + low
    labels = torch.arange(_PROBE) % form.classes if form.classes else None
    try:
        with torch.random.fork_rng(devices=[]), _Tolerance():
            return network(*form.arguments(inputs, labels)), ""
    except Exception as error:  # whatever somebody's module raises: this form is not the one
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _parts(output: Any) -> Iterator[tuple[int | str | None, Tensor]]:
    if isinstance(output, Tensor):
        yield None, output
    elif isinstance(output, tuple | list):
        yield from ((number, tensor) for number, tensor in enumerate(output) if isinstance(tensor, Tensor))
    elif isinstance(output, dict):
        yield from ((key, tensor) for key, tensor in output.items() if isinstance(tensor, Tensor))


def _label_forms(classes: int) -> tuple[Labels, ...]:
    return (*_LABELS, "none") if classes else ("none",)


def _adapt_generator(
    module: nn.Module,
    latent: int | Sequence[int] | None,
    image: tuple[int, int, int] | None,
    classes: int,
    image_range: tuple[float, float],
) -> _Adapted:
    network = _own_copy(module, "generator")
    reasons: dict[str, str] = {}
    for shape in _latent_shapes(network, latent, classes):
        for labels in _label_forms(classes):
            form = CallForm("generator", shape, classes if labels != "none" else 0, labels, image=image or ())
            output, reason = _try(network, form, image_range)
            images = _as_generator(form, output)
            if images is not None:
                return _finished_generator(network, images, output, latent, image_range)
            reasons.setdefault(f"latent vectors {shape}", reason or f"it returns {_shown(output)}, which is no image")
    raise ArchitectureError(
        _refusal("generator", module, reasons, "latent=100 or (100, 1, 1), image=(C, H, W)", classes)
    )


def _refusal(role: Role, module: nn.Module, reasons: Mapping[str, str], remedy: str, classes: int) -> str:
    tried = "; ".join(f"{what}: {reason}" for what, reason in list(reasons.items())[:3]) or "no size fits its layers"
    more = "" if classes else ", and classes=K if it takes labels"
    return f"{type(module).__name__} cannot be run as a {role}. Tried {tried}. Say what it takes: {remedy}{more}."


def _shown(output: Any) -> str:
    return str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__


def _latent_shapes(network: nn.Module, latent: int | Sequence[int] | None, classes: int) -> list[tuple[int, ...]]:
    """Return the shapes of latent vectors to try, the likeliest first."""
    if latent is not None and not isinstance(latent, int):
        return [tuple(latent)]
    sizes = [latent] if latent is not None else _first_sizes(network, classes)
    return [shape for size in sizes for shape in ((size,), (size, 1, 1)) if size > 0]


def _first_sizes(network: nn.Module, classes: int) -> list[int]:
    """Return what the first layers take, less what labels may bring into them."""
    embeddings = [part.embedding_dim for part in network.modules() if isinstance(part, nn.Embedding)]
    sizes: dict[int, None] = {}
    for weight in [parameter for parameter in network.parameters() if parameter.dim() in (2, 4)][:_LOOKED_AT]:
        # What is taken is the second axis; of transposed convolutions, the first.
        for taken in weight.shape[:2] if weight.dim() == 4 else weight.shape[1:]:
            sizes |= dict.fromkeys(taken - less for less in ([classes, *embeddings, 0] if classes else [0]))
    return [size for size in sizes if size > 1]


def _as_generator(form: CallForm, output: Any) -> CallForm | None:
    """Return the form with the part of the output that is an image and its shape; None: none is."""
    for part, tensor in _parts(output):
        if len(tensor) != _PROBE or not tensor.is_floating_point():
            continue
        shape = tuple(tensor.shape[1:])
        if len(shape) == 3 and min(shape[1:]) > 1 and (shape == form.image or (not form.image and shape[0] in (1, 3))):
            return replace(form, part=part, image=shape)
        if form.image and tensor[0].numel() == math.prod(form.image):
            return replace(form, part=part)
    return None


def _finished_generator(
    network: nn.Module, form: CallForm, output: Any, latent: object, image_range: tuple[float, float]
) -> _Adapted:
    images = form.result(output)
    low, high = image_range
    slack = 1e-3 * (high - low)
    least, largest = float(images.min()), float(images.max())
    adapted = tolerant(network, form)
    if not (low - slack <= least and largest <= high + slack):
        msg = (
            f"{type(network).__name__} makes pixels from {least:.3g} to {largest:.3g}, outside of image_range "
            f"({low:g}, {high:g}). Give image_range=(-1, 1) or (0, 1), or let the module scale them so."
        )
        raise ArchitectureError(msg)
    architecture = _lone(form, image_range)
    ends_in = trace_role(adapted, architecture, "generator").activation
    if ends_in == "sigmoid" and low < 0:
        msg = f"{type(network).__name__} ends in a sigmoid, whose pixels are 0 to 1. Give image_range=(0, 1)."
        raise ArchitectureError(msg)
    notes = [f"generator: latent vectors of shape {form.latent}"] if latent is None else []
    if form.labels not in ("none", "integers"):
        notes.append(f"generator: labels {form.labels}")
    if form.part is not None:
        notes.append(f"generator: the image is part {form.part!r} of what it returns")
    return _Adapted(adapted, form, tuple(notes))


def _lone(form: CallForm, image_range: tuple[float, float]) -> Architecture:
    """Return what tracing one network needs to know of it."""
    return Architecture(
        name="",
        parameters={},
        image_shape=_image_shape(form.image),
        image_range=image_range,
        z_size=math.prod(form.latent),
        taps=(),
        make_generator=None,
        make_discriminator=None,
        classes=form.classes,
    )


def _adapt_discriminator(
    module: nn.Module, image: tuple[int, int, int] | None, classes: int, image_range: tuple[float, float]
) -> _Adapted:
    network = _own_copy(module, "discriminator")
    reasons: dict[str, str] = {}
    judged: dict[tuple[int, ...], tuple[CallForm, Any]] = {}
    for shape in [image] if image is not None else _discriminator_shapes(network, classes):
        for labels in _label_forms(classes):
            form = CallForm("discriminator", (), classes if labels != "none" else 0, labels, image=shape)
            output, reason = _try(network, form, image_range)
            logits = _as_discriminator(form, output, exact=image is None)
            if logits is not None:
                judged[shape] = logits, output
                break
            size = "x".join(map(str, shape))
            reasons.setdefault(f"images {size}", reason or f"it returns {_shown(output)}, not one number an image")
    if len(judged) > 1:
        sizes = ", ".join(str(shape) for shape in judged)
        msg = f"{type(module).__name__} judges images of several sizes: {sizes}. Say which: image=(C, H, W)."
        raise ArchitectureError(msg)
    if not judged:
        raise ArchitectureError(_refusal("discriminator", module, reasons, "image=(3, 64, 64)", classes))
    ((form, output),) = judged.values()
    return _finished_discriminator(network, form, output, image_range)


def _discriminator_shapes(network: nn.Module, classes: int) -> list[tuple[int, int, int]]:
    """Return the shapes of images that the first layer may take, less what labels may bring into it."""
    embeddings = [part.embedding_dim for part in network.modules() if isinstance(part, nn.Embedding)]
    weight = next((parameter for parameter in network.parameters() if parameter.dim() in (2, 4)), None)
    if weight is None:
        return []
    less = [0, classes, *embeddings, 1] if classes else [0]
    inputs = dict.fromkeys(weight.shape[1] - size for size in less)
    if weight.dim() == 4:
        return [(channels, side, side) for channels in inputs if channels in (1, 3) for side in _SIDES]
    sizes = [size for size in inputs if size > 0]
    squares = [(channels, math.isqrt(size // channels), size) for size in sizes for channels in (1, 3)]
    return [(channels, side, side) for channels, side, size in squares if channels * side * side == size]


def _as_discriminator(form: CallForm, output: Any, *, exact: bool) -> CallForm | None:
    """Return the form with the part of the output that judges: one number an image, or one map of them."""
    for part, tensor in _parts(output):
        if not tensor.is_floating_point() or not tensor.dim() or len(tensor) != _PROBE:
            continue
        if tensor.numel() == _PROBE or (not exact and tensor.dim() == 4 and tensor.shape[1] == 1):
            return replace(form, part=part)
    return None


def _finished_discriminator(
    network: nn.Module, form: CallForm, output: Any, image_range: tuple[float, float]
) -> _Adapted:
    notes = []
    traced = trace_role(tolerant(network, form), _lone(form, image_range), "discriminator")
    if traced.activation == "sigmoid":
        form = replace(form, sigmoid=traced.activation_call)
        notes.append("discriminator: the probability is turned into a logit, its sigmoid left out")
    if form.part is not None:
        notes.append(f"discriminator: the judgement is part {form.part!r} of what it returns")
    judgement = output if form.part is None else output[form.part]
    if judgement.numel() > _PROBE:
        notes.append(f"discriminator: the judgement is the mean of a map of {_shown(judgement[0])}")
    if form.labels not in ("none", "integers"):
        notes.append(f"discriminator: labels {form.labels}")
    return _Adapted(tolerant(network, form), form, tuple(notes))
