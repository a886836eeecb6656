"""``dcgan-analyze verify PATH``: look for damage."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli.console import echo

UNCHECKED = 3
"""Exit code where there is nothing to compare with."""


@click.command()
@click.argument("path")
@click.pass_context
def command(context: click.Context, path: str) -> None:
    """Check a file or folder of this program for damage.

    Checkpoints, feature stores, runs, prepared images, states of trainings, outcomes in the cache, arrays, boxes and
    exemplars. Exit code 0: all of it was compared with checksums, and is whole. 1: it is damaged, or cannot be read. 3:
    it was read, but has no checksums.
    """
    from dcgan_analysis.core.files import abandoned
    from dcgan_analysis.runs.verification import verify

    try:
        what, unchecked = verify(path)
        if unchecked:
            echo(f"{path}: has no checksums: cannot be verified, only read ({unchecked} read whole; {what})")
        else:
            echo(f"{path}: OK, no damage found ({what})")
    finally:  # after a kill there may be nothing else
        left = [one for folder in {Path(path), Path(path).absolute().parent} for one in abandoned(folder)]
        if left:
            files = f"{len(left)} unfinished files or folders" if len(left) > 1 else "an unfinished file or folder"
            echo(f"Beside it, processes that ended left {files}; the next command that writes there removes that.")
    if unchecked:
        context.exit(UNCHECKED)
