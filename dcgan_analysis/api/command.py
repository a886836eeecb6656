"""A subcommand of ``dcgan-analyze`` that a plugin brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


@dataclass(frozen=True)
class CommandEntry:
    """Declaration of a subcommand; the click command itself is made when it is called.

    Attributes:
        name: Lower-case words joined by hyphens; must not be the name of a built-in command.
        summary: One line, shown by ``dcgan-analyze --help``.
        load: Returns the ``click.Command``, which may be a group. Import heavy packages inside it: entries are made
            whenever plugins are loaded, while ``load`` is called only when the command runs.

    Example:
        >>> import click
        >>> entry = CommandEntry("greet", "Say hello.", lambda: click.Command("greet"))
        >>> entry.load().name
        'greet'
    """

    name: str
    summary: str
    load: Callable[[], click.Command]
