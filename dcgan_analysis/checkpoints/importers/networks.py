"""Finds networks in what was saved: a state dict or a module, bare or in dictionaries of any nesting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcgan_analysis.checkpoints.importers.arrays import Array
from dcgan_analysis.checkpoints.importers.leaves import split_name
from dcgan_analysis.checkpoints.importers.modules import children, is_module
from dcgan_analysis.checkpoints.importers.pickles import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcgan_analysis.models.architecture import Role

__all__ = ["Candidate", "candidates", "epoch_of", "role_of_name"]

_DEEPEST = 6
_MOST_NODES = 20_000
_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("g", "gen", "generator", "generators", "netg", "gnet"), "generator"),
    **dict.fromkeys(("d", "dis", "disc", "discrim", "discriminator", "critic", "netd", "dnet"), "discriminator"),
}
_NOT_WEIGHTS = frozenset(
    [
        "optim",
        "optims",
        "optimizer",
        "optimizers",
        "optimiser",
        "opt",
        "optg",
        "optd",
        "optimg",
        "optimd",
        "optimizerg",
        "optimizerd",
        "scheduler",
        "schedulers",
        "sched",
        "lr",
        "loss",
        "losses",
        "scaler",
        "scalers",
        "callbacks",
        "loops",
        "rng",
        "amp",
        "hyper",
        "history",
        "args",
        "opts",
        "config",
    ]
)
_WRAPPERS = frozenset(("module", "_orig_mod", "_forward_module"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class Candidate:
    """What may be a network.

    Attributes:
        key: Where it stands in the file, joined by dots; empty: it is all of it.
        content: Arrays by name, or the record of a module.
        role: What its name says that it is, or None.
        left_out: What lies beside the arrays and is none: names.
    """

    key: str
    content: Mapping[str, Array] | Record
    role: Role | None = None
    left_out: tuple[str, ...] = ()


def role_of_name(name: str) -> Role | None:
    """Say which network a name means, if any.

    Example:
        >>> role_of_name("netG_state_dict"), role_of_name("optimizerD"), role_of_name("model")
        ('generator', None, None)
    """
    words = _words(name)
    if _NOT_WEIGHTS & set(words):
        return None
    roles = {_ROLES[word] for word in words if word in _ROLES}
    return roles.pop() if len(roles) == 1 else None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def candidates(document: Any) -> list[Candidate]:
    """Return all networks that a file holds, in its order."""
    return list(_Walk().walk(document, (), None, 0))


class _Walk:
    def __init__(self) -> None:
        # The same object may be meant in many places, and a crafted file may hold itself.
        self._seen: set[int] = set()
        self._alive: list[Any] = []

    def walk(self, value: Any, path: tuple[str, ...], role: Role | None, depth: int) -> Iterator[Candidate]:
        if depth > _DEEPEST or id(value) in self._seen or len(self._seen) > _MOST_NODES:
            return
        if not isinstance(value, dict | list | tuple | Record):
            return
        self._seen.add(id(value))
        self._alive.append(value)
        if is_module(value):
            yield from self._module(value, path, role, depth)
        elif isinstance(value, Record):
            merged = {**value.state, **value.entries}
            if merged:
                yield from self.walk(merged, path, role, depth + 1)
        elif isinstance(value, dict):
            yield from self._dictionary(value, path, role, depth)
        else:
            for number, each in enumerate(value[:20]):
                yield from self.walk(each, (*path, str(number)), role, depth + 1)

    def _module(self, module: Record, path: tuple[str, ...], role: Role | None, depth: int) -> Iterator[Candidate]:
        inner = children(module)
        parts = {name: role_of_name(name) for name in inner}
        if set(parts.values()) >= {"generator", "discriminator"}:
            # A class that holds both networks, such as a LightningModule.
            for name, part in parts.items():
                if part is not None:
                    yield from self.walk(inner[name], (*path, name), part, depth + 1)
            return
        own = role_of_name(module.name.rsplit(".", 1)[-1])
        yield Candidate(".".join(path), module, role or own)

    def _dictionary(
        self, entries: dict[Any, Any], path: tuple[str, ...], role: Role | None, depth: int
    ) -> Iterator[Candidate]:
        if "param_groups" in entries and "state" in entries:
            return
        arrays: dict[str, Array] = {}
        inner: dict[str, Any] = {}
        others: list[str] = []
        for key, each in entries.items():
            name = str(key) if isinstance(key, str | int) else ""
            if isinstance(each, Array):
                arrays[name] = Array(name, each.shape, each.read)
            elif isinstance(each, dict) and each and _is_layer(each):
                arrays |= {f"{name}.{leaf}": Array(f"{name}.{leaf}", a.shape, a.read) for leaf, a in each.items()}
            elif isinstance(each, dict | list | tuple | Record):
                inner[name] = each
            else:
                others.append(name)
        weights = {name: array for name, array in arrays.items() if split_name(name)[1] is not None}
        if any(len(array.shape) in (2, 4) for array in weights.values()):
            # Beside whole networks, arrays of their own (the noise of the samples shown) are none.
            yield from _split(arrays if not inner else weights, path, role, tuple(others))
        for name, each in inner.items():
            if not _NOT_WEIGHTS & set(_words(name)):
                yield from self.walk(each, (*path, name), role_of_name(name) or role, depth + 1)


def _is_layer(entries: dict[Any, Any]) -> bool:
    """Say whether a dictionary holds the arrays of one layer."""
    return all(
        isinstance(key, str)
        and isinstance(each, Array)
        and split_name(key) == ("", split_name(key)[1])
        and split_name(key)[1]
        for key, each in entries.items()
    )


def _split(
    arrays: dict[str, Array], path: tuple[str, ...], role: Role | None, left_out: tuple[str, ...]
) -> Iterator[Candidate]:
    """Part the arrays of several networks by their prefixes: ``netG.main.0.weight``."""
    groups: dict[tuple[str, Role | None], dict[str, Array]] = {}
    for name, array in arrays.items():
        groups.setdefault(_owner(name), {})[name] = array
    roles = {owner[1] for owner in groups}
    if roles == {None} or len(roles - {None}) == 0:
        yield Candidate(".".join(path), arrays, role, left_out)
        return
    rest = groups.get(("", None), {})
    if roles <= {role, None} or (len(roles - {None}) == 1 and _belongs(rest, arrays)):
        # A network may call a part of itself so: the last layers of a discriminator ``disc``.
        (named,) = roles - {None} if len(roles - {None}) == 1 else (role,)
        yield Candidate(".".join(path), arrays, role or named, left_out)
        return
    for (prefix, each), part in groups.items():
        if each is not None:
            inner = {name: array for name, array in part.items()}
            yield Candidate(".".join((*path, prefix)), inner, each, left_out)
    if any(len(array.shape) == 4 for array in rest.values()):
        yield Candidate(".".join(path), rest, role, left_out)


def _belongs(rest: Mapping[str, Array], arrays: Mapping[str, Array]) -> bool:
    """Say whether arrays beside a part that is named as a network belong to it: most layers, or an embedding."""
    layers = [name for name, array in rest.items() if len(array.shape) in (2, 4)]
    everything = sum(len(array.shape) in (2, 4) for array in arrays.values())
    return 2 * len(layers) > everything or any(re.search("emb|label", name, re.IGNORECASE) for name in layers)


def _owner(name: str) -> tuple[str, Role | None]:
    """Return the prefix that names a network, and which; an empty one where none does."""
    words = name.replace("/", ".").split(".")
    for position, word in enumerate(words[:-1][:4]):
        role = role_of_name(word)
        if role is not None and not word.isdecimal():
            return ".".join(words[: position + 1]), role
        if word not in _WRAPPERS and position > 1:
            break
    return "", None


def epoch_of(document: Any) -> float | None:
    """Return the epoch that a dictionary notes beside its networks."""
    if not isinstance(document, dict):
        return None
    for key in ("epoch", "epochs", "current_epoch", "last_epoch"):
        value = document.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return float(value)
    return None
