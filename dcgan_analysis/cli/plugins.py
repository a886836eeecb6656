"""``dcgan-analyze plugins``: what is installed, what it registered, why something failed, and whether it is sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import complain, console, print_json

if TYPE_CHECKING:
    from dcgan_analysis.host.host import PluginInfo

__all__ = ["command"]


@click.group(invoke_without_command=True)
@options.json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show installed plugins: distribution, version, hooks, what each registered, state, and causes of failure."""
    from dcgan_analysis.host.host import default_host

    if ctx.invoked_subcommand is not None:
        return
    plugins = default_host().plugins
    if as_json:
        print_json(json.dumps([info.document() for info in plugins], indent=2))
    else:
        _print(plugins)


def _print(plugins: list[PluginInfo]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("plugin", "distribution", "version", "state", "hooks", "registers"):
        table.add_column(column, overflow="fold")
    for info in plugins:
        registered = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in info.registered.items())
        colour = {"loaded": "green", "failed": "red"}.get(info.state, "dim")
        state = Text(info.state, style=colour)
        # Every hook begins alike.
        hooks = ", ".join(hook.removeprefix("dcgan_") for hook in info.hooks)
        table.add_row(info.name, info.distribution, info.version, state, hooks, info.error or registered)
    console().print(table)


@command.command()
@click.argument("name")
@options.json_option
@options.verbosity_options
def check(name: str, as_json: bool) -> None:
    """Check that everything the plugin NAME registers keeps the contract; nothing is downloaded.

    Analyses run on a tiny network and made-up images: settings, result, repeatability, cancelling, what is written
    where, and whether the model is left as it was. Architectures are built, datasets that are there are read.
    """
    from dcgan_analysis.cli.progress import shown_progress
    from dcgan_analysis.conformance.plugin import check_plugin
    from dcgan_analysis.host.host import default_host

    with shown_progress(f"checking {name}") as progress:
        checks = check_plugin(name, default_host(), progress=progress)
    if as_json:
        print_json(json.dumps([each.document() for each in checks], indent=2))
    else:
        for each in checks:
            click.echo(f"{each.state:8} {each.kind} {each.name}{': ' if each.message else ''}{each.message}")
    broken = sum(each.state == "failed" for each in checks)
    if broken:
        complain(f"{broken} of {len(checks)} checks failed.")
        click.get_current_context().exit(1)
