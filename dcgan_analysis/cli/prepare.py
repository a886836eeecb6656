"""``dcgan-analyze prepare``: decode images of any source once, to one size."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import print_json, say
from dcgan_analysis.cli.progress import shown_progress


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to make.")
@click.option("--size", type=click.IntRange(min=1), metavar="PIXELS", required=True, help="Height and width.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", show_default=True, help="Gray or colour.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N images of the source.")
@click.option(
    "--background",
    default="white",
    show_default=True,
    metavar="COLOUR",
    help="What transparent pixels are composed on: a name, or #rrggbb.",
)
@click.option(
    "--range",
    "value_range",
    type=float,
    nargs=2,
    metavar="BLACK WHITE",
    help="Values that become 0 and 255 in images "
    "of more than 8 bits per channel, such as 0 65535 or 0 1; without, those are left out.",
)
@options.json_option
@options.verbosity_options
def command(
    source: Path,
    out: Path,
    size: int,
    channels: str,
    limit: int | None,
    background: str,
    value_range: tuple[float, float] | None,
    as_json: bool,
) -> None:
    """Decode the images of SOURCE once, to one size, for trainings and analyses of any number of images.

    SOURCE is an image zip, a folder, a .tar or a folder of .tar shards (WebDataset), or an LMDB folder (LSUN). The
    shorter side is resized to --size, the centre square cut out. Images that cannot be read are left out, counted and
    listed in skipped.tsv. Killed and run again, it goes on where it was.
    """
    from PIL import ImageColor

    from dcgan_analysis.data.files.prepare import prepare_images

    try:
        red, green, blue = ImageColor.getrgb(background)[:3]
    except ValueError:
        msg = f"'{background}' is not a colour; write white, black, or #rrggbb."
        raise click.BadParameter(msg, param_hint="--background") from None
    with shown_progress(f"preparing {source}") as progress:
        done = prepare_images(
            source,
            out,
            size=size,
            channels=int(channels),
            limit=limit,
            background=(red, green, blue),
            value_range=value_range,
            progress=progress,
        )
    for remark in done.remarks:
        say(remark)
    if done.skipped:
        say(f"They are listed in {done.folder / 'skipped.tsv'}")
    if as_json:
        print_json(json.dumps({"folder": str(done.folder), "images": done.n, "skipped": done.skipped}, indent=2))
        return
    for split, n in done.n.items():
        click.echo(f"{split}: {n:,} images of {channels}x{size}x{size}")
    click.echo(
        f"Use it: --dataset ./{done.folder}" if not done.folder.is_absolute() else f"Use it: --dataset {done.folder}"
    )
