"""``dcgan-analyze list``: what can be named on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import print_json, warn
from dcgan_analysis.core.text import shown
from dcgan_analysis.errors import UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.host.host import PluginHost

_KINDS = ("analyses", "datasets", "architectures", "checkpoints", "importers", "presets")
_WIDEST = 120


@click.command()
@click.argument("words", nargs=-1, metavar="[KIND] [NAME]")
@options.data_root_option
@options.json_option
def command(words: tuple[str, ...], data_root: Path | None, as_json: bool) -> None:
    """List what can be named: analyses, datasets, architectures, checkpoints, importers and training presets.

    KIND is one of these words, NAME a part of names: list datasets, list svm, list checkpoints cifar. Of datasets it is
    said whether they can be used now, of checkpoints what was measured of them.
    """
    from dcgan_analysis.host.host import default_host

    kinds, parts = ([words[0]], words[1:]) if words and words[0] in _KINDS else (_KINDS, words)
    host = default_host()
    every = {kind: _rows(kind, host, data_root) for kind in kinds}
    listing = {
        kind: [row for row in rows if all(part in row["name"] for part in parts)] for kind, rows in every.items()
    }
    if parts and not any(listing.values()):
        _nothing(parts, list(kinds), {row["name"] for rows in every.values() for row in rows})
    if as_json:
        print_json(json.dumps(listing, indent=2))
        return
    own = {"", *(info.owner for info in host.plugins if info.builtin)}
    for kind, rows in listing.items():
        if rows or not parts:
            _print(kind, rows, own)
    for failed in host.failures:
        warn(failed.error)


def _nothing(parts: tuple[str, ...], kinds: list[str], names: set[str]) -> None:
    import difflib

    close = difflib.get_close_matches(parts[0], {*names, *_KINDS}, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    msg = f"No name of {', '.join(kinds)} has '{' '.join(parts)}' in it.{guess} All of them: dcgan-analyze list"
    raise UnknownNameError(msg)


def _rows(kind: str, host: PluginHost, data_root: Path | None) -> list[dict[str, str]]:
    if kind == "checkpoints":
        return _checkpoints()
    if kind == "presets":
        return _presets()
    registry: Registry[object] = getattr(host, kind)
    rows = [
        {"name": name, "summary": getattr(registry[name], "summary", ""), "owner": registry.owner(name)}
        for name in registry
    ]
    return _with_states(rows, host, data_root) if kind == "datasets" else rows


def _with_states(rows: list[dict[str, str]], host: PluginHost, data_root: Path | None) -> list[dict[str, str]]:
    """Say of each dataset whether it can be used now, and add the image zips of the data root."""
    from dcgan_analysis.core.folders import data_folder

    root = data_folder(data_root)
    for row in rows:
        state = host.datasets[row["name"]].state
        row["state"] = "" if state is None else state(root)
    names = {row["name"] for row in rows}
    others = sorted(path.stem for path in root.glob("*.zip") if path.stem not in names)
    return rows + [{"name": name, "summary": f"{name}.zip in {root}", "owner": "", "state": "here"} for name in others]


def _checkpoints() -> list[dict[str, str]]:
    from dcgan_analysis.checkpoints.catalogue import list_checkpoints

    rows = []
    for entry in list_checkpoints():
        summary = entry.error or ""
        if entry.metadata is not None:
            width = entry.metadata.parameters.get("width")
            architecture = entry.metadata.architecture + (f", width {width}" if width else "")
            summary = f"{architecture}: {entry.metadata.trained}"
        rows.append({"name": entry.name, "summary": summary, "owner": "", "measured": entry.measured})
    return rows


def _presets() -> list[dict[str, str]]:
    from dcgan_analysis.training.presets import list_presets, load_preset

    return [{"name": name, "summary": load_preset(name).summary, "owner": ""} for name in list_presets()]


def _print(kind: str, rows: list[dict[str, str]], own: set[str]) -> None:
    """Print the rows of a kind; the owners in ``own`` go without saying."""
    out = click.HelpFormatter(max_width=_WIDEST)
    out.write(click.style(kind.capitalize(), bold=True) + "\n")
    with out.indentation():
        out.write_dl([(shown(row["name"]), shown(_text(row, own))) for row in rows] or [("none", "")])
    click.echo(out.getvalue())


def _text(row: dict[str, str], own: set[str]) -> str:
    text = f"{row['state']}: {row['summary']}" if row.get("state") else row["summary"]
    if row.get("measured"):
        text += f"; {row['measured']}"
    return text if row["owner"] in own else f"{text} [{row['owner']}]"
