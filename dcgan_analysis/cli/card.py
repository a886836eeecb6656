"""``dcgan-analyze card CHECKPOINT [RUN...]``: a model card with measured numbers."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("checkpoint")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where.  [default: README.md beside it]")
def command(checkpoint: str, runs: tuple[Path, ...], out: Path | None) -> None:
    """Write the model card of CHECKPOINT with the numbers of run folders that measured it.

    The head of the card holds the numbers in the form of the Hugging Face hub (model-index). A training writes a card
    without runs itself. What somebody else wrote is left alone.
    """
    from dcgan_analysis.runs.library import write_model_card

    click.echo(write_model_card(checkpoint, runs, out=out))
