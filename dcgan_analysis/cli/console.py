"""Where the command line writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import sys

import click
from rich.console import Console

__all__ = ["console", "say"]


def console() -> Console:
    """Return a console on standard output, which shows square brackets in names and messages as they stand."""
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """Write one line to standard error."""
    click.echo(text, err=True)
