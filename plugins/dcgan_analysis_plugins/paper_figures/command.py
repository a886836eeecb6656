"""``dcgan-analyze figure N --out DIR``: a figure of the paper, of a finished run, a new one, or samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import echo, print_json
from dcgan_analysis.cli.progress import shown_progress


@click.command()
@click.argument("number", type=click.IntRange(1, 11))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the figures and their runs.",
)
@click.option("--gather-only", is_flag=True, help="Use finished runs in DIR alone; run nothing.")
@options.checkpoint_option
@options.dataset_option
@options.data_root_option
@options.settings_options
@options.seed_option
@options.limit_option
@options.device_option
@options.json_option
@options.verbosity_options
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
