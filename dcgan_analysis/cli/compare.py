"""``dcgan-analyze compare RUN RUN...``: several results side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import console, print_json


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write them as one HTML page.")
@options.json_option
def command(runs: tuple[Path, ...], page: Path | None, as_json: bool) -> None:
    """Show results of several run folders side by side, with what differs between them.

    Then says whether the first run beats each other one on the same test images: McNemar's exact test on what they
    predict for each image; where the test images are not the same, why they cannot be paired.
    """
    from dcgan_analysis.report import print_table
    from dcgan_analysis.report.paired import paired_lines
    from dcgan_analysis.runs.library import compare

    comparison = compare(*runs)
    if page is not None:
        comparison.save_html(page)
    table, paired = comparison.table, comparison.paired
    if as_json:
        print_json(json.dumps({**table.model_dump(mode="json"), "paired": paired.model_dump(mode="json")}, indent=2))
        return
    print_table(table, console())
    for line in [*paired_lines(paired), paired.note]:
        console().print(line, soft_wrap=True)
    if page is not None:
        # Never wrapped, so that the path can be copied and clicked.
        console().print(str(page), soft_wrap=True)
