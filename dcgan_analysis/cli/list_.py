"""``dcgan-analyze list``: what can be named on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import print_json, warn

if TYPE_CHECKING:
    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.host.host import PluginHost

__all__ = ["command"]

_KINDS = ("analyses", "datasets", "architectures", "checkpoints", "importers", "presets")
_WIDEST = 120


@click.command()
@click.argument("kind", type=click.Choice(_KINDS), required=False)
@options.json_option
def command(kind: str | None, as_json: bool) -> None:
    """List analyses, datasets, architectures, checkpoints, importers or training presets; all of them by default."""
    from dcgan_analysis.host.host import default_host

    host = default_host()
    listing = {each: _rows(each, host) for each in ([kind] if kind else _KINDS)}
    if as_json:
        print_json(json.dumps(listing, indent=2))
        return
    own = {"", *(info.owner for info in host.plugins if info.builtin)}
    for each, rows in listing.items():
        _print(each, rows, own)
    for failed in host.failures:
        warn(failed.error)


def _rows(kind: str, host: PluginHost) -> list[dict[str, str]]:
    if kind == "checkpoints":
        return _checkpoints()
    if kind == "presets":
        return _presets()
    registry: Registry[object] = getattr(host, kind)
    return [
        {"name": name, "summary": getattr(registry[name], "summary", ""), "owner": registry.owner(name)}
        for name in registry
    ]


def _checkpoints() -> list[dict[str, str]]:
    from dcgan_analysis.checkpoints.catalogue import list_checkpoints

    rows = []
    for entry in list_checkpoints():
        summary = entry.error or ""
        if entry.metadata is not None:
            width = entry.metadata.parameters.get("width")
            architecture = entry.metadata.architecture + (f", width {width}" if width else "")
            summary = f"{architecture}: {entry.metadata.trained}"
        rows.append({"name": entry.name, "summary": summary, "owner": ""})
    return rows


def _presets() -> list[dict[str, str]]:
    from dcgan_analysis.training.presets import list_presets, load_preset

    return [{"name": name, "summary": load_preset(name).summary, "owner": ""} for name in list_presets()]


def _print(kind: str, rows: list[dict[str, str]], own: set[str]) -> None:
    """Print the rows of a kind; the owners in ``own`` go without saying."""
    out = click.HelpFormatter(max_width=_WIDEST)
    out.write(click.style(kind.capitalize(), bold=True) + "\n")
    lines = [
        (row["name"], row["summary"] if row["owner"] in own else f"{row['summary']} [{row['owner']}]") for row in rows
    ]
    with out.indentation():
        out.write_dl(lines or [("none", "")])
    click.echo(out.getvalue())
