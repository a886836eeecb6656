"""Where the command line writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "say"]


def console() -> Console:
    """Return a console on standard output, which shows square brackets in names and messages as they stand."""
    # rich takes a tenth of a second to import and to draw with; what is light does without.
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """Write one line to standard error."""
    click.echo(text, err=True)
