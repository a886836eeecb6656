"""``dcgan-analyze dedup``: find near-duplicates in a dataset before training on it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import print_json, say
from dcgan_analysis.cli.progress import shown_progress


@click.command()
@click.argument("dataset")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", required=True, help="JSON file to write."
)
@click.option("--split", default="train", show_default=True, help="Split to search.")
@click.option("--against", metavar="SPLIT", help="Also find images of this split that collide with one of --split.")
@click.option(
    "--bits",
    type=click.IntRange(min=0, max=64),
    default=4,
    show_default=True,
    help="Hashes of near-duplicates may differ in so many of 128 bits. More find more cropped copies, and more images "
    "that are none; 0 as in the paper.",
)
@click.option(
    "--moves",
    type=click.IntRange(min=0, max=8),
    metavar="PIXELS",
    default=0,
    show_default=True,
    help="Compare images also moved by up to so many pixels, which finds shifted and cropped copies, in "
    "(2 PIXELS + 1)^2 times the time; 0 as in the paper.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=600, show_default=True, help="Minibatches the hash is learned from."
)
@options.limit_option
@options.seed_option
@options.data_root_option
@options.json_option
@options.verbosity_options
def command(
    dataset: str,
    out: Path,
    split: str,
    against: str | None,
    bits: int,
    moves: int,
    steps: int,
    limit: int | None,
    seed: int,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Find near-duplicates in DATASET by semantic hashing (arXiv 1511.06434, section 4.1.1).

    The file lists groups of near-duplicates and, under leave_out, the ids of all images but the first of each group:
    dcgan-analyze train --set leave_out=FILE trains without them. It also says how well the hash does: recall and
    precision on copies made on purpose, false positives on mirror images. A gallery for the eye is written beside it.
    """
    from dcgan_analysis.core.files import write_text
    from dcgan_analysis.data.curation.deduplication import find_duplicates
    from dcgan_analysis.data.curation.gallery import write_galleries
    from dcgan_analysis.data.files.sources import load_dataset
    from dcgan_analysis.host.host import default_host

    if out.suffix == ".png":
        msg = f"'{out}' is the list and ends in .json; the gallery beside it ends in .png."
        raise click.BadParameter(msg, param_hint="--out")
    if against == split:
        msg = f"'{against}' is the split that is searched; give another one."
        raise click.BadParameter(msg, param_hint="--against")
    with shown_progress("looking for near-duplicates") as progress:
        data = load_dataset(dataset, data_root=data_root, registry=default_host().datasets, progress=progress)
        images = data.some(split, limit, first=True)
        other = None if against is None else data.some(against, limit, first=True)
        duplicates = find_duplicates(
            images, against=other, bits=bits, moves=moves, steps=steps, seed=seed, progress=progress
        )
    document = duplicates.document(data.name, split, against)
    write_text(out, json.dumps(document, indent=2) + "\n")
    galleries = write_galleries(duplicates, out)
    if as_json:
        print_json(json.dumps(document, indent=2))
        return
    for name, share in duplicates.measured.items():
        say(f"{name}: {share['value']:.1%} [{share['low']:.1%}, {share['high']:.1%}], n = {share['n']:,}")
    left_out, groups = len(duplicates.leave_out), len(duplicates.groups)
    click.echo(f"{left_out:,} of {len(images):,} images are near-duplicates, in {groups:,} groups.")
    if duplicates.leakage is not None:
        colliding, n = len(duplicates.leakage.positions), len(duplicates.leakage.split)
        click.echo(f"{colliding:,} of {n:,} images of {against} are near-duplicates of one in {split}.")
    for path in (out, *galleries):
        click.echo(path)
