"""``dcgan-analyze plugins``: what is installed, what it registered, and why something failed."""

from __future__ import annotations

import json

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console

__all__ = ["command"]


@click.command()
@options.json_option
def command(as_json: bool) -> None:
    """Show installed plugins: distribution, version, hooks, what each registered, state, and causes of failure."""
    from dcgan_analysis.plugins import default_host

    plugins = default_host().plugins
    if as_json:
        click.echo(json.dumps([info.document() for info in plugins], indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("plugin", "distribution", "version", "state", "registers"):
        table.add_column(column, overflow="fold")
    for info in plugins:
        registered = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in info.registered.items())
        colour = {"loaded": "green", "failed": "red"}.get(info.state, "dim")
        state = Text(info.state, style=colour)
        table.add_row(info.name, info.distribution, info.version, state, info.error or registered)
    console().print(table)
