"""``dcgan-analyze demo``: the main analysis on data that comes with the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dcgan_analysis.cli import options
from dcgan_analysis.cli.console import say
from dcgan_analysis.cli.run import execute

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command()
@options.out_option
@options.force_option
def command(out: Path | None, force: bool) -> None:
    """Run svm-cifar on scikit-learn's handwritten digits: shipped checkpoint against its random twin."""
    say("svm-cifar on digits: features of a DCGAN that never saw a digit, against its random twin")
    execute("svm-cifar", dataset="digits", out=out, force=force)
