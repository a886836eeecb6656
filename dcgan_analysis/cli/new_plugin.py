"""``dcgan-analyze new-plugin NAME``: write a plugin package to begin from."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli.console import say


@click.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder to write.  [default: dcgan-analysis-NAME]"
)
def command(name: str, out: Path | None) -> None:
    """Write a complete plugin package with an analysis NAME: module, tests, README and CI.

    It installs and passes its own tests as it stands; replace its question by yours.
    """
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.host.scaffold import new_plugin

    folder = new_plugin(name, out, taken=default_host().analyses)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        say(f"  {path.relative_to(folder)}")
    say(f"Next: pip install -e '{folder}[test]' && pytest '{folder}' && dcgan-analyze run {name} --limit 100")
    click.echo(folder)
