"""How class labels go into networks: found by embeddings, and by inputs that are wider than images or latent vectors.

A file shows an embedding, (classes, size), and how many units or channels the layers take; not how the two meet. As
people build them: an embedding as wide as the latent vector is multiplied with it, a narrower one put beside it; in a
discriminator it becomes a plane of the image, constant maps, or units beside the flattened pixels. Labels one-hot make
the first layer as many inputs wider as there are classes.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.operations import (
    Embedding,
    Flatten,
    ForeignNetwork,
    Gap,
    Label,
    Operation,
    Weighted,
)
from dcgan_analysis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis.checkpoints.importers.settings import ReadSettings
    from dcgan_analysis.models.architecture import Role

__all__ = ["labelled", "without_heads"]

_HEADS = re.compile(
    r"(?:^|[._])(?:aux\w*|cls\w*|class(?:ifier|es)?(?:_?(?:layer|head))?|fc_?(?:aux|class))(?:[._]\d+)*$", re.I
)
_USUAL_CLASSES = 10
_CHANNELS = (1, 3)
_FIRST_BY_NAME = re.compile(r"(?:^|\.)label_emb$")  # github.com/eriklindernoren/PyTorch-GAN puts it before the noise


def without_heads(arrays: dict[str, Array]) -> dict[str, Array]:
    """Leave out the second head of a discriminator that also names the class, beside one that judges."""
    heads = [name for name in arrays if _HEADS.search(name.rpartition(".")[0])]
    judges = [
        name for name in arrays if re.search(r"(?:^|[._])(?:adv\w*|dis\w*|real\w*|validity\w*|source\w*)[._]", name)
    ]
    return {name: array for name, array in arrays.items() if not (heads and judges and name in heads)}


def labelled(
    networks: Sequence[ForeignNetwork], roles: Sequence[Role | None], settings: ReadSettings
) -> list[ForeignNetwork]:
    """Put the labels where they go in; networks without any come back as they are.

    Args:
        networks: As read.
        roles: Which network each is, as far as its name says.
        settings: ``classes``, ``label`` and ``label_first`` say what is not found out.

    Raises:
        CheckpointError: If an embedding fits nothing.
    """
    known = [role or _role_of(network) for network, role in zip(networks, roles, strict=True)]
    classes = settings.classes or _classes(networks, known, settings)
    if not classes:
        return list(networks)
    return [
        _generator(network, classes, settings) if role == "generator" else _discriminator(network, classes, settings)
        for network, role in zip(networks, known, strict=True)
    ]


def _role_of(network: ForeignNetwork) -> Role:
    last = [each for each in network.operations if isinstance(each, Weighted)][-1:]
    ends_in_one = bool(last) and 1 in last[0].weight.shape[:2] and last[0].weight.size == max(last[0].weight.shape[:2])
    first = next((each for each in network.operations if isinstance(each, Weighted)), None)
    small = (
        first is not None and first.kind != "linear" and min(first.weight.shape[:2]) <= _CHANNELS[-1] + _USUAL_CLASSES
    )
    judged = bool(last) and (1 in last[0].weight.shape[:2]) and small
    return "discriminator" if ends_in_one or judged else "generator"


def _classes(networks: Sequence[ForeignNetwork], roles: Sequence[Role], settings: ReadSettings) -> int:
    """Say how many classes there are; 0: none."""
    for network in networks:
        for each in network.operations:
            if isinstance(each, Embedding):
                return each.weight.shape[0]
    made = next((_made(network) for network, role in zip(networks, roles, strict=True) if role == "generator"), None)
    for network, role in zip(networks, roles, strict=True):
        first = _first(network)
        if role == "discriminator" and first is not None:
            return _beside_an_image(first, made)
    return 0


def _beside_an_image(first: Weighted, made: int | None) -> int:
    """Return how many inputs a discriminator's first layer has beside those of an image, labels one-hot; 0: none."""
    if first.kind == "linear":
        beside = not _is_image(first.inputs) and _is_image(first.inputs - _USUAL_CLASSES)
        return _USUAL_CLASSES if beside else 0
    taken = first.weight.shape[1]
    if taken <= max(_CHANNELS) + 1:
        return 0
    if made is None:
        return _USUAL_CLASSES if taken - _USUAL_CLASSES in _CHANNELS else 0
    return max(taken - made, 0)


def _made(network: ForeignNetwork) -> int | None:
    """Return the channels that a generator's last layer makes."""
    last = [each for each in network.operations if isinstance(each, Weighted)][-1]
    ends = [extent for extent in last.weight.shape[:2] if extent in _CHANNELS]
    return min(ends) if ends and last.kind != "linear" else None


def _is_image(units: int) -> bool:
    return any(units % c == 0 and math.isqrt(units // c) ** 2 == units // c for c in _CHANNELS)


def _first(network: ForeignNetwork) -> Weighted | None:
    return next((each for each in network.operations if isinstance(each, Weighted)), None)


def _inputs(layer: Weighted, role: Role) -> int:
    """Return what a network's first layer takes; a generator's undecided kernel is a transposed one."""
    return layer.weight.shape[0] if layer.kind == "kernel" and role == "generator" else layer.inputs


def _split(network: ForeignNetwork) -> tuple[Embedding | None, list[Operation]]:
    """Take the embedding out, with a linear layer that only it goes through, in the same container."""
    operations = list(network.operations)
    places = [number for number, each in enumerate(operations) if isinstance(each, Embedding)]
    if len(places) > 1:
        _refuse(network, f"it has {len(places)} embeddings")
    if not places:
        return None, operations
    at = places[0]
    embedding = operations.pop(at)
    assert isinstance(embedding, Embedding)
    while at < len(operations) and isinstance(operations[at], Gap):
        operations.pop(at)
    container = embedding.name.rpartition(".")[0]
    following = operations[at] if at < len(operations) else None
    if isinstance(following, Weighted) and following.kind == "linear" and following.inputs == embedding.weight.shape[1]:
        beside = following.name.rpartition(".")[0] == container and container
        if beside or re.search(r"label|emb|class|cond", following.name):
            operations.pop(at)
            while at < len(operations) and isinstance(operations[at], Gap):
                operations.pop(at)
            return _through(embedding, following), operations
    return embedding, operations


def _through(embedding: Embedding, linear: Weighted) -> Embedding:
    """What a linear layer makes of an embedding is an embedding."""
    classes = embedding.weight.shape[0]

    def read() -> Tensor:
        table = embedding.weight.tensor() @ linear.weight.tensor().t()
        return table if linear.bias is None else table + linear.bias.tensor()

    return replace(embedding, weight=Array(embedding.weight.name, (classes, linear.outputs), read))


def _label(
    embedding: Embedding | None,
    classes: int,
    role: Role,
    settings: ReadSettings,
    **fields: Any,
) -> Label:
    own = settings.of(role)
    first = own.label_first
    by_name = embedding is not None and role == "generator" and bool(_FIRST_BY_NAME.search(embedding.name))
    how = fields.pop("how", "one_hot" if embedding is None else "embedding")
    return Label(
        how,
        classes,
        weight=None if embedding is None else embedding.weight,
        first=by_name if first is None else first,
        assumed=True,
        **fields,
    )


def _generator(network: ForeignNetwork, classes: int, settings: ReadSettings) -> ForeignNetwork:
    embedding, operations = _split(network)
    at = next(number for number, each in enumerate(operations) if isinstance(each, Weighted))
    layer = operations[at]
    assert isinstance(layer, Weighted)
    taken = _inputs(layer, "generator")
    if embedding is None:
        if taken <= classes:
            _refuse(network, f"its first layer takes {taken} numbers, and there are {classes} classes")
        label = _label(None, classes, "generator", settings, size=classes)
        return replace(network, operations=(*operations[:at], label, *operations[at:]))
    size = embedding.weight.shape[1]
    if size == taken:
        joined = settings.of("generator").label
        how = joined if joined in ("embedding_add", "embedding_multiply") else "embedding_multiply"
        label = _label(embedding, classes, "generator", settings, how=how, size=size)
    elif size < taken and not _before_maps(operations, at, size):
        label = _label(embedding, classes, "generator", settings, size=size)
    else:
        return replace(network, operations=_on_first_maps(network, operations, embedding, classes, settings))
    return replace(network, operations=(*operations[:at], label, *operations[at:]))


def _before_maps(operations: list[Operation], at: int, size: int) -> bool:
    """Say whether an embedding is a plane of the maps that the first layer's units become."""
    layer = operations[at]
    kernels = [each for each in operations if isinstance(each, Weighted) and each.kind != "linear"]
    if not (isinstance(layer, Weighted) and layer.kind == "linear" and kernels and math.isqrt(size) ** 2 == size):
        return False
    return any(layer.outputs == (taken - 1) * size for taken in kernels[0].weight.shape[:2])


def _on_first_maps(
    network: ForeignNetwork, operations: list[Operation], embedding: Embedding, classes: int, settings: ReadSettings
) -> tuple[Operation, ...]:
    size = embedding.weight.shape[1]
    side = math.isqrt(size)
    at = next((n for n, each in enumerate(operations) if isinstance(each, Weighted) and each.kind != "linear"), None)
    if at is None or side * side != size:
        _refuse(network, f"its embedding of size {size} fits none of its layers")
    label = _label(embedding, classes, "generator", settings, size=(1, side, side))
    return (*operations[:at], label, *operations[at:])


def _discriminator(network: ForeignNetwork, classes: int, settings: ReadSettings) -> ForeignNetwork:
    embedding, operations = _split(network)
    at = next(number for number, each in enumerate(operations) if isinstance(each, Weighted))
    layer = operations[at]
    assert isinstance(layer, Weighted)
    before: tuple[Operation, ...] = ()
    size: int | tuple[int, int, int] | None = None
    if layer.kind == "linear":
        size = classes if embedding is None else embedding.weight.shape[1]
        before = (Flatten(),)
        if embedding is None and (_is_image(layer.inputs) or not _is_image(layer.inputs - classes)):
            return network
    elif embedding is None:
        if layer.weight.shape[1] - classes not in _CHANNELS:
            return network
        size = classes
    else:
        size = _planes(embedding.weight.shape[1], layer.weight.shape[1])
    if size is None:
        _refuse(network, f"its embedding of size {embedding.weight.shape[1] if embedding else 0} fits no image")
    label = _label(embedding, classes, "discriminator", settings, size=size)
    if layer.kind == "kernel":
        operations[at] = replace(layer, kind="conv")
    return replace(network, operations=(*operations[:at], *before, label, *operations[at:]))


def _planes(size: int, taken: int) -> int | tuple[int, int, int] | None:
    """Return the shape of an embedding beside an image: whole planes, or constant maps."""
    for channels in _CHANNELS:
        planes = taken - channels
        if planes > 0 and size % planes == 0:
            side = math.isqrt(size // planes)
            if side > 3 and side * side * planes == size:
                return planes, side, side
        if planes == size:
            return size
    return None


def _refuse(network: ForeignNetwork, why: str) -> NoReturn:
    where = f"'{network.key}' in '{network.file}'" if network.key else f"File '{network.file}'"
    msg = (
        f"{where} is conditioned on classes in a way that is not known here: {why}. Use it in Python: "
        "dcgan_analysis.wrap(generator=..., classes=...), or register_module_architecture."
    )
    raise CheckpointError(msg)
