"""A subcommand of ``dcgan-analyze`` that a plugin brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

__all__ = ["CommandEntry"]


@dataclass(frozen=True)
class CommandEntry:
    """How a subcommand is declared; its click command is made when it is called.

    Attributes:
        name: Lower-case words joined by hyphens; not that of a command of dcgan-analysis.
        summary: One line, shown by ``dcgan-analyze --help``.
        load: Returns the ``click.Command``, which may be a group. Import what is heavy inside it: entries are made
            whenever the plugins are loaded, and ``--help`` never calls it.

    Example:
        >>> import click
        >>> entry = CommandEntry("greet", "Say hello.", lambda: click.Command("greet"))
        >>> entry.load().name
        'greet'
    """

    name: str
    summary: str
    load: Callable[[], click.Command]
