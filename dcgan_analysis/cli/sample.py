"""``dcgan-analyze sample``: write samples of a checkpoint to files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import print_json
from dcgan_analysis.cli.progress import shown_progress

__all__ = ["command"]


@click.command()
@options.checkpoint_option
@click.option("--n", type=click.IntRange(min=1), default=64, show_default=True, help="How many.")
@options.seed_option
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the first sample.")
@click.option("--label", type=click.IntRange(min=0), help="Class, for a conditional generator.  [default: all in turn]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    required=True,
    help="A sheet (.png), a zip or folder of pictures, or arrays (.npz).",
)
@options.device_option
@options.json_option
@options.verbosity_options
def command(
    checkpoint: str | None,
    n: int,
    seed: int,
    start: int,
    label: int | None,
    out: Path,
    device: str,
    as_json: bool,
) -> None:
    """Draw samples and write them to a file or folder, by the ending of its name.

    Seed and number name a sample for good: sample 70 of seed 0 is the same picture whatever else is drawn. A zip or
    folder is a dataset (--dataset PATH), with the classes of a conditional generator.
    """
    from dcgan_analysis.checkpoints.sample_files import save_samples
    from dcgan_analysis.core.device import choose_device
    from dcgan_analysis.runs.library import load_checkpoint

    if checkpoint is None:
        msg = "Missing option '--checkpoint'. Known ones: dcgan-analyze list checkpoints"
        raise click.UsageError(msg)
    with shown_progress("samples") as progress:
        drawn = load_checkpoint(checkpoint)
        path = save_samples(
            drawn, out, n, seed, start=start, label=label, device=choose_device(device), progress=progress
        )
    if as_json:
        document = {"path": str(path), "n": n, "seed": seed, "start": start, "label": label, "sha256": drawn.sha256()}
        print_json(json.dumps(document, indent=2))
    else:
        click.echo(path)
