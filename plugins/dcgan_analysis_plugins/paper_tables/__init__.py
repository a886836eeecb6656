"""table: the paper's tables with this program's rows beside the published ones, as a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis.api import CommandEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


@hookimpl
def dcgan_register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register the command ``table``."""
    register(CommandEntry("table", "Print a table of the paper with this program's rows beside it.", _load))


def _load() -> click.Command:
    from dcgan_analysis_plugins.paper_tables.command import command

    return command
