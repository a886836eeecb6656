"""``dcgan-analyze deduplicate``: find near-duplicates in a dataset before training on it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say
from dcgan_analysis.cli.progress import progress_bars

__all__ = ["command"]


@click.command()
@click.argument("dataset")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", required=True, help="JSON file to write."
)
@click.option("--split", default="train", show_default=True, help="Split to search.")
@click.option(
    "--bits",
    type=click.IntRange(min=0, max=64),
    default=8,
    show_default=True,
    help="Hashes of near-duplicates may differ in so many of 128 bits. All pairs are compared; with 0, as in the "
    "paper, the time is linear.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=600, show_default=True, help="Minibatches the hash is learned from."
)
@options.limit_option
@options.seed_option
@options.data_root_option
@options.json_option
def command(
    dataset: str,
    out: Path,
    split: str,
    bits: int,
    steps: int,
    limit: int | None,
    seed: int,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Find near-duplicates in DATASET by semantic hashing (arXiv 1511.06434, section 4.1.1).

    The file lists groups of near-duplicates and, under leave_out, the ids of all images but the first of each group.
    It also says how well the hash does: recall on copies made on purpose, false positives on mirror images.
    """
    from dcgan_analysis.atomic import write_text
    from dcgan_analysis.data.deduplication import find_duplicates
    from dcgan_analysis.data.registry import load_dataset
    from dcgan_analysis.plugins import default_host

    with progress_bars() as progress:
        data = load_dataset(dataset, data_root=data_root, registry=default_host().datasets, progress=progress)
        images = data.split(split)
        if limit is not None and limit < len(images):
            images = images.take(range(limit), source=f"{images.source}, first {limit} of {len(images)}")
        found = find_duplicates(images, bits=bits, steps=steps, seed=seed, progress=progress)
    document = found.document(data.name, split)
    write_text(out, json.dumps(document, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    for name, share in found.measured.items():
        say(f"{name}: {share['value']:.1%} [{share['low']:.1%}, {share['high']:.1%}], n = {share['n']:,}")
    left_out, groups = len(found.leave_out), len(found.groups)
    click.echo(f"{left_out:,} of {len(images):,} images are near-duplicates, in {groups:,} groups.")
    click.echo(out)
