"""``dcgan-analyze table N --out DIR``: a table of the paper with this program's rows beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console, print_json, say
from dcgan_analysis.cli.progress import shown_progress
from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("number", type=click.Choice(["1", "2", "3"]))
@options.gathering_options
def command(
    number: str,
    out: Path,
    gather_only: bool,
    config_file: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
    **values: Any,
) -> None:
    """Print table 1, 2 or 3 of the paper with this program's rows, and write it to DIR.

    Finished runs in DIR are reused where analysis, settings, checkpoint and data are the same; the others are run. What
    was not run says why. Settings: --set ANALYSIS.KEY=VALUE.

    1: CIFAR-10 features. 2: SVHN with 1,000 labels. 3: MNIST by the nearest sample.
    """
    from dcgan_analysis.report import print_table
    from dcgan_analysis.runs.request import RunRequest
    from dcgan_analysis_plugins.paper_tables.gather import make_table
    from dcgan_analysis_plugins.paper_tables.render import as_json as table_json
    from dcgan_analysis_plugins.paper_tables.render import as_table, write_table

    settings = options.nested(options.collect_settings(config_file, assignments))
    loose = [key for key, value in settings.items() if not isinstance(value, dict)]
    if loose:
        msg = f"Setting '{loose[0]}' names no analysis. Write it as ANALYSIS.KEY=VALUE: svm-cifar.{loose[0]}=..."
        raise ConfigError(msg)
    request = RunRequest(settings=settings, **values)
    with shown_progress() as progress:
        table = make_table(int(number), out, request, gather_only=gather_only, progress=progress)
    paths = write_table(table, out)
    if as_json:
        print_json(table_json(table))
    else:
        print_table(as_table(table), console())
    say(f"Written: {', '.join(path.name for path in paths)} in {out}")
