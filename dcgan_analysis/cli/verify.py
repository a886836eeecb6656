"""``dcgan-analyze verify PATH``: look for damage."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan_analysis.cli.console import echo


@click.command()
@click.argument("path")
def command(path: str) -> None:
    """Check a checkpoint, a feature store or a run for damage."""
    from dcgan_analysis.core.files import abandoned
    from dcgan_analysis.runs.inspection import verify

    echo(f"{path}: OK, no damage found ({verify(path)})")
    left = [one for folder in {Path(path), Path(path).absolute().parent} for one in abandoned(folder)]
    if left:
        what = f"{len(left)} unfinished files or folders" if len(left) > 1 else "an unfinished file or folder"
        echo(f"Beside it, processes that ended left {what}; the next command that writes there removes that.")
