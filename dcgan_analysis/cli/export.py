"""``dcgan-analyze export RUN...``: the numbers of runs for a spreadsheet, a paper or a model card."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli import options

__all__ = ["command"]

_FORMATS = ("csv", "jsonl", "latex", "markdown", "model-index")


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), default="csv", show_default=True, help="What to write."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where.  [default: standard output]")
@options.verbosity_options
def command(runs: tuple[Path, ...], format_: str, out: Path | None) -> None:
    """Write the metrics of run folders as text.

    csv and jsonl hold one row a metric, fractions as fractions; markdown and latex a table with one column a run,
    values with their intervals; model-index the metadata of a model card on the Hugging Face hub.
    """
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.core.files import write_text
    from dcgan_analysis.report.compare import run_names
    from dcgan_analysis.report.export import export

    text = export([Result.load(run) for run in runs], format_, run_names(runs))
    if out is None:
        click.echo(text, nl=False)
    else:
        write_text(out, text)
        click.echo(out)
