"""``dcgan-analyze figure N --out DIR``: a figure of the paper, of a finished run, a new one, or samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import echo, print_json
from dcgan_analysis.cli.progress import shown_progress

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("number", type=click.IntRange(1, 11))
@options.gathering_options
def command(
    number: int,
    out: Path,
    gather_only: bool,
    config_file: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
    **values: Any,
) -> None:
    """Make figure 2 to 11 of the paper, and write it to DIR as a PNG file.

    A finished run in DIR is used where analysis, settings, checkpoint and data are the same; otherwise the analysis is
    run with the paper's settings. Printed are the path, a caption, and the command that repeats it.

    2, 3: bedrooms after one epoch, after five (--checkpoint: folder of a training). 4: walk. 5: guided
    backpropagation. 6: windows forgotten. 7: arithmetic. 8: turn vector. 9: digits. 10: faces. 11: ImageNet-1k
    (--checkpoint: a network of yours).
    """
    from dcgan_analysis.runs.request import RunRequest
    from dcgan_analysis_plugins.paper_figures.gather import make_figure

    request = RunRequest(settings=options.collect_settings(config_file, assignments), **values)
    with shown_progress() as progress:
        figure = make_figure(number, out, request, gather_only=gather_only, progress=progress)
    if as_json:
        print_json(figure.as_json())
        return
    for line in (
        figure.path,
        f"Figure {figure.number}: {figure.title}. {figure.caption}",
        figure.remark,
        f"Repeat: {figure.command}",
    ):
        if line:
            echo(line)
