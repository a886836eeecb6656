"""Tables of named things with the owner of each, and the call of what plugins registered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeVar

from dcgan_analysis.errors import DcganAnalysisError, RegistrationError, describe_error, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Registry(Generic[T]):
    """A table of named things of one kind.

    Args:
        kind: What it holds, in the singular, as messages shall call it: ``"dataset"``.
        failed: Returns the names of plugins that could not be loaded, for messages: what is missing may be theirs.

    Example:
        >>> table = Registry[int]("number")
        >>> table.add("one", 1, owner="example")
        >>> table["one"], table.names(), table.owner("one")
        (1, ['one'], 'example')
    """

    def __init__(self, kind: str, failed: Callable[[], Sequence[str]] = tuple) -> None:
        self.kind = kind
        self.failed = failed
        self._items: dict[str, T] = {}
        self._owners: dict[str, str] = {}

    def add(self, name: str, item: T, *, owner: str) -> None:
        """Add one thing.

        Args:
            name: Lower-case words joined by hyphens: ``"svm-cifar"``.
            item: The thing.
            owner: Who registers it (plugin and distribution), for messages and listings.

        Raises:
            RegistrationError: If the name is malformed or taken; a taken name's owners are both named.
        """
        if not isinstance(name, str) or not _NAME.match(name):
            msg = (
                f"{owner} registers the {self.kind} {name!r}; "
                "a name is lower-case words and digits joined by hyphens, like 'svm-cifar'."
            )
            raise RegistrationError(msg)
        if name in self._items:
            msg = (
                f"{self.kind.capitalize()} '{name}' is registered twice: by {self._owners[name]} and by {owner}. "
                "Disable one of the two with DCGAN_ANALYSIS_PLUGINS."
            )
            raise RegistrationError(msg)
        self._items[name] = item
        self._owners[name] = owner

    def remove_owner(self, owner: str) -> None:
        """Forget everything that ``owner`` registered (used when a plugin fails half-way)."""
        for name in [name for name, known in self._owners.items() if known == owner]:
            del self._items[name], self._owners[name]

    def owner(self, name: str) -> str:
        """Return who registered ``name``."""
        self[name]
        return self._owners[name]

    def names(self) -> list[str]:
        """Return all names in alphabetical order."""
        return sorted(self._items)

    def __getitem__(self, name: str) -> T:
        if name not in self._items:
            raise unknown_name(self.kind, name, self._items, self.failed())
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._items)


def call_registered(
    make: Callable[[], object], expected: type[T], error: type[DcganAnalysisError], *, failure: str, name: str
) -> T:
    """Return what a registered function makes; it may be a stranger's.

    Args:
        make: The function.
        expected: What it must make.
        error: Raised where it fails or makes something else.
        failure: Beginning of the message: ``"Dataset 'x' could not be loaded"``.
        name: What messages call the function: ``"loader"``.

    Raises:
        DcganAnalysisError: ``error``, or what the function raised of that kind.

    Example:
        >>> call_registered(lambda: 3, int, RegistrationError, failure="Number 'x' could not be made", name="maker")
        3
    """
    try:
        made = make()
    except DcganAnalysisError:
        raise
    except Exception as cause:
        msg = f"{failure}: {describe_error(cause)}. Its {name} must be fixed."
        raise error(msg) from cause
    if not isinstance(made, expected):
        msg = f"{failure}: its {name} returned {made!r}; it must return {expected.__module__}.{expected.__name__}."
        raise error(msg)
    return made
