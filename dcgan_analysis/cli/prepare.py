"""``dcgan-analyze prepare``: decode images of any source once, to one size."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say
from dcgan_analysis.cli.progress import progress_bars

__all__ = ["command"]


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to make.")
@click.option("--size", type=click.IntRange(min=1), metavar="PIXELS", required=True, help="Height and width.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", show_default=True, help="Gray or colour.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N images of the source.")
@options.json_option
def command(source: Path, out: Path, size: int, channels: str, limit: int | None, as_json: bool) -> None:
    """Decode the images of SOURCE once, to one size, for trainings and analyses of any number of images.

    SOURCE is an image zip, a folder, a .tar or a folder of .tar shards (WebDataset), or an LMDB folder (LSUN). The
    shorter side is resized to --size, the centre square cut out. Images that cannot be read are left out, counted and
    listed in skipped.tsv. Killed and run again, it goes on where it was.
    """
    from dcgan_analysis.data.files.prepare import prepare_images

    with progress_bars() as progress:
        done = prepare_images(source, out, size=size, channels=int(channels), limit=limit, progress=progress)
    if done.skipped:
        say(f"{done.skipped:,} images could not be read and were left out: {done.folder / 'skipped.tsv'}")
    if as_json:
        click.echo(json.dumps({"folder": str(done.folder), "images": done.n, "skipped": done.skipped}, indent=2))
        return
    for split, n in done.n.items():
        click.echo(f"{split}: {n:,} images of {channels}x{size}x{size}")
    click.echo(
        f"Use it: --dataset ./{done.folder}" if not done.folder.is_absolute() else f"Use it: --dataset {done.folder}"
    )
