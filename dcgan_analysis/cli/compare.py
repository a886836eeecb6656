"""``dcgan-analyze compare RUN RUN...``: several results side by side."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console

__all__ = ["command"]


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.json_option
def command(runs: tuple[Path, ...], as_json: bool) -> None:
    """Show results of several run folders side by side, with what differs between them."""
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.report import comparison_table, print_table

    table = comparison_table([Result.load(run) for run in runs])
    if as_json:
        click.echo(table.model_dump_json(indent=2))
    else:
        print_table(table, console())
