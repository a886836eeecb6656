"""``dcgan-analyze verify PATH``: is it whole?"""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command()
@click.argument("path")
def command(path: str) -> None:
    """Check a checkpoint, a feature store or a run for damage."""
    from dcgan_analysis.runs.inspection import verify

    click.echo(f"{path}: whole ({verify(path)})")
