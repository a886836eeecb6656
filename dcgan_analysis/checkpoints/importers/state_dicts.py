"""From named arrays to operations: what a state dict, a safetensors file or an archive of NumPy arrays says.

Names group arrays into modules; shapes say what a module is. In an ``nn.Sequential`` modules are numbered, so that a
number left out is a module without weights, an activation most of all: a :class:`~.operations.Gap` of known size.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, NoReturn

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.leaves import fold, split_name
from dcgan_analysis.checkpoints.importers.operations import (
    Activate,
    Embedding,
    Gap,
    Label,
    Normalise,
    Operation,
    Weighted,
)
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcgan_analysis.models.architecture import NormKind, Role

__all__ = ["is_channels_last", "operations_of", "orders"]

_KERNEL_AXES, _MATRIX_AXES = 4, 2
_LARGEST_KERNEL = 16
_MOST_ORDERS, _MOST_STEPS = 20, 2000
_BRANCHES = re.compile(
    r"(?:^|[._])(?:res(?:idual)?_?(?:block|net|blk)?s?\d*|shortcut|skip|c_sc|conv_sc|attn|attention|self_?attn|non_?local"
    r"|mapping|style|to_?rgbs?|from_?rgbs?|downsample)(?:[._\d]|$)",
    re.IGNORECASE,
)
_NORM_NAMES: tuple[tuple[re.Pattern[str], NormKind], ...] = (
    (re.compile(r"(?:^|[._])(?:in|inst(?:ance)?_?norm\w*|instance\w*)\d*$", re.IGNORECASE), "instance"),
    (re.compile(r"(?:^|[._])(?:gn|group_?norm\w*)\d*$", re.IGNORECASE), "group"),
    (re.compile(r"(?:^|[._])(?:ln|layer_?norm\w*)\d*$", re.IGNORECASE), "layer"),
)
_PRELU = re.compile(r"(?:^|[._])(?:p_?relu|act(?:ivation)?|relu)\d*$", re.IGNORECASE)
_BATCHNORM = re.compile(r"(?:^|[._])(?:bn|batch_?norm\w*|norm\w*)\d*$", re.IGNORECASE)
_KERAS_KERNEL = re.compile(r"conv2d(_transpose)?(?:_\d+)?")
_EMBEDDING = re.compile(r"emb|label", re.IGNORECASE)


def is_channels_last(arrays: Mapping[str, Array]) -> bool:
    """Say whether kernels are (height, width, in, out), as TensorFlow and Flax keep them."""
    kernels = [
        array.shape for name, array in arrays.items() if len(array.shape) == _KERNEL_AXES and split_name(name)[1]
    ]
    first = sum(shape[0] == shape[1] <= _LARGEST_KERNEL for shape in kernels)
    last = sum(shape[2] == shape[3] <= _LARGEST_KERNEL for shape in kernels)
    if first == last:
        return any(name.removesuffix(":0").endswith(("kernel", "moving_mean")) for name in arrays)
    return first > last


def operations_of(arrays: Mapping[str, Array], *, channels_last: bool = False) -> tuple[Operation, ...]:
    """Make out the operations of one network, in the order of the names given.

    Args:
        arrays: Arrays of one network by name.
        channels_last: Whether matrices are (in, out) and kernels (height, width, in, out).

    Raises:
        CheckpointError: If an array is of a kind that no DCGAN has.
    """
    modules: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        module, leaf = split_name(name)
        if leaf is None or leaf in modules.get(module, {}):
            _stranger(name, array)
        if _BRANCHES.search(module):
            msg = (
                f"Array '{name}' belongs to a branch (residual, attention or style), which a table of layers cannot "
                "say. Use the network in Python: dcgan_analysis.wrap(generator=...)."
            )
            raise CheckpointError(msg)
        modules.setdefault(module, {})[leaf] = Array(name, array.shape, array.read)
    operations = [_module(name, fold(name, leaves), channels_last) for name, leaves in modules.items()]
    gaps = _gaps(list(modules))
    joined: list[Operation] = []
    for operation, gap in zip(operations, gaps, strict=True):
        joined.append(operation)
        if gap.count != 0:
            joined.append(gap)
    return tuple(joined)


def _stranger(name: str, array: Array) -> NoReturn:
    msg = (
        f"Array '{name}' of shape {array.shape} belongs to no kind of layer that a DCGAN has. Leave it out "
        f"(--set ignore='[\"{name}\"]'), or use the network in Python: dcgan_analysis.wrap(generator=...)."
    )
    raise CheckpointError(msg)


def _module(name: str, leaves: dict[str, Array], channels_last: bool) -> Operation:  # noqa: C901 - cases
    weight = leaves.get("weight")
    if "mean" in leaves or "variance" in leaves:
        return _norm(name, leaves, "batch")
    if weight is None:
        _stranger(*next((array.name, array) for array in leaves.values()))
    bias = leaves.get("bias")
    axes = len(weight.shape)
    if axes == _KERNEL_AXES:
        if channels_last:
            shape = (weight.shape[3], weight.shape[2], *weight.shape[:2])
            weight = weight.turned(shape, lambda values: values.permute(3, 2, 0, 1))
            known = _KERAS_KERNEL.fullmatch(name.rsplit(".", 1)[-1])
            if known:
                return Weighted(name, "deconv" if known[1] else "conv", weight, bias)
        return Weighted(name, "kernel", weight, bias)
    if axes == _MATRIX_AXES:
        if _EMBEDDING.search(name) and bias is None:
            return Embedding(name, weight)
        if channels_last:
            weight = weight.turned(weight.shape[::-1], lambda values: values.t())
        return Weighted(name, "linear", weight, bias)
    if axes <= 1:
        if _PRELU.search(name) or (bias is None and weight.size == 1):
            return Activate("prelu", weight=weight.turned((weight.size,), lambda values: values.flatten()), name=name)
        return _norm(name, leaves, next((kind for pattern, kind in _NORM_NAMES if pattern.search(name)), "batch"))
    if axes == 3 and bias is not None and bias.shape == weight.shape:
        return _norm(name, leaves, "layer")
    _stranger(weight.name, weight)


def _norm(name: str, leaves: Mapping[str, Array], kind: NormKind) -> Normalise:
    parts = [leaves[leaf] for leaf in ("weight", "bias", "mean", "variance") if leaf in leaves]
    shape = parts[0].shape
    for part in parts:
        if part.shape != shape or not shape:
            msg = f"Array '{part.name}' has shape {part.shape}, '{parts[0].name}' beside it {shape}."
            raise CheckpointError(msg)
    affine = "weight" in leaves or "bias" in leaves
    return Normalise(
        name,
        kind,
        parts[0].size if len(shape) > 1 else shape[0],
        leaves.get("weight"),
        leaves.get("bias"),
        leaves.get("mean"),
        leaves.get("variance"),
        affine=affine,
        count=leaves.get("count"),
    )


def _gaps(names: list[str]) -> list[Gap]:
    """Say how many modules without weights may follow each module."""
    between = [_between(a, b) for a, b in itertools.pairwise(names)]
    # Containers whose numbers leave none out are lists of modules, with anything between them in the code.
    holes = {container for container, count in between if count}
    gaps = [Gap(count if container in holes else None) for container, count in between]
    return [*gaps, Gap(None)] if names else []


def _between(a: str, b: str) -> tuple[str | None, int | None]:
    """Return the container that numbers both modules and how many numbers lie between them, or Nones."""
    first, second = a.split("."), b.split(".")
    if len(first) == len(second) and first[:-1] == second[:-1] and first[-1].isdecimal() and second[-1].isdecimal():
        return ".".join(first[:-1]), max(int(second[-1]) - int(first[-1]) - 1, 0)
    return None, None


def orders(operations: tuple[Operation, ...], role: Role) -> Iterator[tuple[Operation, ...]]:
    """Yield orders in which the operations may be computed, the file's own first.

    Files list modules as their class declares them, or by name. Where that is no order of computation: natural order
    of names, then kernels in order, each followed by the normalisation that fits, then kernels as their sizes chain,
    a generator's linear ones first, a discriminator's last.
    """
    yield operations
    named: list[Operation] = [each for each in operations if not isinstance(each, Gap)]
    if any(isinstance(each, Label) for each in named):
        return
    if any(isinstance(each, Weighted) and each.stride is not None for each in named):
        return
    natural = sorted(named, key=lambda each: _natural(getattr(each, "name", "")))
    yield _by_container(natural, role)
    yield from _rematched(named)
    yield _with_gaps(natural, _gaps([getattr(each, "name", "") for each in natural]))
    yield from _rematched(natural)
    kernels = [each for each in natural if isinstance(each, Weighted)]
    kernels.sort(key=lambda each: (each.kind == "linear") == (role == "discriminator"))
    others = [each for each in natural if not isinstance(each, Weighted)]
    for row in itertools.islice(_rows(kernels, [], [_MOST_STEPS]), _MOST_ORDERS):
        yield from _rematched([*row, *others])


def _by_container(natural: list[Operation], role: Role) -> tuple[Operation, ...]:
    """Sort by containers, those with linear layers first or last: by name, ``conv_blocks`` comes before ``l1``."""
    containers: dict[str, list[Operation]] = {}
    for each in natural:
        containers.setdefault(getattr(each, "name", "").rpartition(".")[0], []).append(each)
    flat = {name: any(_is_linear(each) for each in inner) for name, inner in containers.items()}
    ordered = sorted(containers, key=lambda name: flat[name] == (role == "discriminator"))
    row = [each for name in ordered for each in containers[name]]
    return _with_gaps(row, _gaps([getattr(each, "name", "") for each in row]))


def _is_linear(operation: Operation) -> bool:
    return isinstance(operation, Weighted) and operation.kind == "linear"


def _rematched(operations: list[Operation]) -> list[tuple[Operation, ...]]:
    """Put normalisations behind kernels whose outputs they fit: as numbers in names say, or from either end."""
    orders = [_numbered(operations), _matched(operations)]
    backwards = _matched(operations[::-1])
    orders.append(None if backwards is None else _behind(backwards[::-1]))
    return [_with_gaps(each, [Gap(None)] * len(each)) for each in orders if each is not None]


def _numbered(operations: list[Operation]) -> list[Operation] | None:
    """Put each normalisation behind the kernel of the same number: bn2 behind conv2."""
    kernels = [each for each in operations if isinstance(each, Weighted)]
    after: dict[int, list[Operation]] = {}
    for each in operations:
        if isinstance(each, Weighted):
            continue
        own = _numbers(each)
        places = [
            n for n, kernel in enumerate(kernels) if own and _numbers(kernel) == own and _fits(kernel, _size(each))
        ]
        if len(places) != 1:
            return None
        after.setdefault(places[0], []).append(each)
    return [each for position, kernel in enumerate(kernels) for each in (kernel, *after.get(position, ()))]


def _numbers(operation: Operation) -> list[str]:
    return re.findall(r"\d+", getattr(operation, "name", ""))


def _behind(operations: list[Operation]) -> list[Operation]:
    """Undo a reversal: what stands before a kernel belongs behind it."""
    result: list[Operation] = []
    waiting: list[Operation] = []
    for each in operations:
        if isinstance(each, Weighted):
            result += [each, *waiting]
            waiting = []
        else:
            waiting.append(each)
    return result


def _rows(kernels: list[Weighted], row: list[Weighted], steps: list[int]) -> Iterator[list[Weighted]]:
    """Yield the orders in which each kernel takes as many maps or units as the one before it makes."""
    steps[0] -= 1
    if not kernels:
        yield row
    if not kernels or steps[0] < 0:
        return
    for position, kernel in enumerate(kernels):
        if not row or _follows(row[-1], kernel):
            yield from _rows([*kernels[:position], *kernels[position + 1 :]], [*row, kernel], steps)


def _follows(before: Weighted, kernel: Weighted) -> bool:
    outputs = before.weight.shape[:2] if before.kind == "kernel" else (before.outputs,)
    inputs = kernel.weight.shape[:2] if kernel.kind == "kernel" else (kernel.inputs,)
    if "linear" in (before.kind, kernel.kind):
        # Units become maps, maps become units: a square of pixels each.
        pairs = [(max(a, b), min(a, b)) for a in outputs for b in inputs]
        return any(a % b == 0 and math.isqrt(a // b) ** 2 == a // b for a, b in pairs)
    return bool(set(outputs) & set(inputs))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _with_gaps(operations: list[Operation], gaps: list[Gap]) -> tuple[Operation, ...]:
    joined: list[Operation] = []
    for operation, gap in zip(operations, gaps, strict=True):
        joined += [operation] if gap.count == 0 else [operation, gap]
    return tuple(joined)


def _matched(operations: list[Operation]) -> list[Operation] | None:
    """Put normalisations and PReLUs behind the kernels whose outputs they fit, in order; None where one fits none."""
    kernels = [each for each in operations if isinstance(each, Weighted)]
    after: dict[int, list[Operation]] = {position: [] for position in range(len(kernels))}
    for group in (
        [n for n in operations if isinstance(n, Normalise)],
        [n for n in operations if isinstance(n, Activate)],
    ):
        at = 0
        for each in group:
            while at < len(kernels) and not _fits(kernels[at], _size(each)):
                at += 1
            if at == len(kernels):
                return None
            after[at].append(each)
            at += 1
    return [each for position, kernel in enumerate(kernels) for each in (kernel, *after[position])]


def _size(operation: Operation) -> int:
    if isinstance(operation, Normalise):
        return operation.size or 0
    weight = operation.weight if isinstance(operation, Activate) else None
    return 1 if weight is None else weight.size


def _fits(kernel: Weighted, size: int) -> bool:
    outputs = kernel.weight.shape[:2] if kernel.kind == "kernel" else (kernel.outputs,)
    return size in (1, *outputs) or (kernel.kind == "linear" and size > 0 and kernel.outputs % size == 0)


def without(arrays: Mapping[str, Array], ignored: tuple[str, ...]) -> dict[str, Array]:
    """Leave out the arrays named, and all that lie in the modules named."""
    return {
        name: array
        for name, array in arrays.items()
        if not any(name == each or name.startswith(f"{each}.") for each in ignored)
    }
