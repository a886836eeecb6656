"""``dcgan-analyze plugins``: what is installed, what it registered, why something failed, and whether it is sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import complain, echo, print_json
from dcgan_analysis.core.text import shown

if TYPE_CHECKING:
    from dcgan_analysis.host.host import PluginInfo

_WIDEST = 120
# Names of one kind that are written out.
_NAMED = 3
# Seconds of an import from which on they are named: every command that loads plugins waits for them.
_SLOW = 0.5
_SINGULAR = {
    "analyses": "analysis",
    "architectures": "architecture",
    "commands": "command",
    "datasets": "dataset",
    "importers": "importer",
}


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
    """Print the plugins of each distribution under its name, one line for each."""
    groups: dict[str, list[PluginInfo]] = {}
    for info in plugins:
        groups.setdefault(info.package or "registered by this program", []).append(info)
    widest = max(len(info.name) for info in plugins)
    for package, members in groups.items():
        out = click.HelpFormatter(max_width=_WIDEST)
        out.write(click.style(shown(package), bold=True) + "\n")
        with out.indentation():
            out.write_dl([(shown(info.name.ljust(widest)), shown(_state(info))) for info in members])
        click.echo(out.getvalue())


def _state(info: PluginInfo) -> str:
    """Say what a plugin registered, or why it did not; many names of one kind are counted."""
    if info.state != "loaded":
        return info.error or info.state
    parts = []
    for kind, names in info.registered.items():
        if names == (info.name,):
            parts.append(_SINGULAR[kind])
        else:
            parts.append(f"{kind}: {', '.join(names)}" if len(names) <= _NAMED else f"{len(names)} {kind}")
    observes = [hook.removeprefix("dcgan_") for hook in info.hooks if not hook.startswith("dcgan_register_")]
    text = "; ".join([*parts, *observes]) or "registers nothing"
    return f"{text}; takes {info.seconds:.1f} s to import" if info.seconds >= _SLOW else text


@command.command()
@click.argument("name")
@options.json_option
@options.verbosity_options
def check(name: str, as_json: bool) -> None:
    """Check that everything the plugin NAME registers keeps the contract; nothing is downloaded.

    Analyses run on a tiny network and made-up images: settings, result, repeatability, cancelling, what is written
    where, and whether model and images are left as they were. Architectures are built, datasets that are there are
    read, importers see files of no format, commands are made, observers and sections follow a small run.
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
            echo(f"{each.state:8} {each.kind} {each.name}{': ' if each.message else ''}{each.message}")
    broken = sum(each.state == "failed" for each in checks)
    if broken:
        complain(f"Plugin '{name}': {broken} of {len(checks)} checks failed.")
        click.get_current_context().exit(1)
