"""figure: the paper's figures with networks of this program, as a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis import hookimpl
from dcgan_analysis.api import CommandEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


@hookimpl
def dcgan_register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register the command ``figure``."""
    register(CommandEntry("figure", "Make a figure of the paper with this program's networks or yours.", _load))


def _load() -> click.Command:
    from dcgan_analysis_plugins.paper_figures.command import command

    return command
