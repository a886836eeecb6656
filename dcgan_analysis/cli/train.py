"""``dcgan-analyze train``: train a DCGAN by the paper's recipe."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say
from dcgan_analysis.cli.progress import progress_bars

__all__ = ["command"]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder of the training.")
@options.dataset_option
@options.data_root_option
@options.settings_options
@click.option("--resume", is_flag=True, help="Go on with the training in --out.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use the first N images, to try things out.")
@options.device_option
def command(
    out: Path,
    dataset: str | None,
    data_root: Path | None,
    config_file: Path | None,
    assignments: tuple[str, ...],
    resume: bool,
    limit: int | None,
    device: str,
) -> None:
    """Train a DCGAN.

    Settings (--set): architecture, parameters (as in parameters.width=64), epochs, batch_size, learning_rate, beta1,
    beta2, weight_decay, z_prior, precision, seed, split, sample_every. Defaults are the paper's.
    """
    from dcgan_analysis.library import train

    settings = options.collect_settings(config_file, assignments)
    if dataset is not None:
        settings["dataset"] = dataset
    with progress_bars() as progress:
        checkpoint = train(
            options.nested(settings),
            out,
            data_root=data_root,
            resume=resume,
            limit=limit,
            device=device,
            progress=progress,
        )
    say(f"{checkpoint.metadata.epoch:g} epochs, {checkpoint.metadata.step:,} steps, sha256 {checkpoint.sha256()[:16]}")
    click.echo(out / "model.safetensors")
