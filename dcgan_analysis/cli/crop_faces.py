"""``dcgan-analyze crop-faces``: cut faces out of photos."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say, warn
from dcgan_analysis.cli.progress import shown_progress


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder of the faces.")
@click.option("--size", type=click.IntRange(min=1), default=64, show_default=True, help="Height and width of a face.")
@click.option(
    "--smallest", type=click.IntRange(min=1), metavar="PIXELS", help="Smallest detection kept.  [default: --size]"
)
@click.option(
    "--margin", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Share added on every edge."
)
@options.verbosity_options
def command(source: Path, out: Path, size: int, smallest: int | None, margin: float) -> None:
    """Cut the faces out of the photos in SOURCE, as the paper's face data set was made (section 4.2).

    SOURCE is a folder, a zip, .tar shards or an LMDB. Faces come from OpenCV's frontal detector; detections of less
    than --smallest pixels are counted and left out, photos that cannot be read are listed in faces.json. Killed and
    run again, it goes on where it was.
    """
    from dcgan_analysis.data.curation.face_crops import crop_faces

    with shown_progress("cutting out faces") as progress:
        done = crop_faces(source, out, size=size, smallest=smallest, margin=margin, progress=progress)
    if done.skipped:
        say(f"{done.skipped:,} photos could not be read: listed in {out / 'faces.json'}")
    if not done.faces:
        lower = f"; a lower --smallest keeps {done.small:,} smaller ones" if done.small else ""
        warn(
            f"no face of {smallest or size} pixels or more was found{lower}. The detector knows upright faces "
            "seen from the front: turn photos that lie on their side, and give photos larger than the faces in them."
        )
    click.echo(f"{done.faces:,} faces of {done.photos:,} photos in {out}; {done.small:,} detections were too small")
