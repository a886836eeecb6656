"""``dcgan-analyze import FORMAT PATH``: turn weights made elsewhere into a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say

__all__ = ["command"]


@click.command()
@click.argument("format_", metavar="FORMAT")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="NAME_OR_DIR",
    required=True,
    help="A name, to be used after --checkpoint; or, with a slash, a folder.",
)
@options.settings_options
def command(format_: str, path: Path, out: str, config_file: Path | None, assignments: tuple[str, ...]) -> None:
    """Read weights from PATH, written in FORMAT, and save them as a checkpoint.

    FORMAT is theano (the authors' arrays), pytorch (netG and netD .pth files), safetensors, or one that a plugin brings
    (see: list importers). Nothing that a file contains is executed.

    Settings (--set): z_prior, data (as in data.name=svhn); theano and pytorch: epoch; safetensors: architecture,
    parameters (as in parameters.width=64), network.
    """
    from dcgan_analysis.runs.library import import_weights

    settings = options.nested(options.collect_settings(config_file, assignments))
    checkpoint = import_weights(format_, path, out, settings)
    architecture = checkpoint.architecture
    sizes = ", ".join(f"{name} {value}" for name, value in architecture.parameters.items())
    say(f"{architecture.name} ({sizes}), z {checkpoint.metadata.z_prior}, sha256 {checkpoint.sha256()[:16]}")
    for role, note in checkpoint.metadata.provenance["batchnorm"].items():
        say(f"BatchNorm statistics, {role}: {note}")
    click.echo(checkpoint.path)
