"""``dcgan-analyze verify PATH``: look for damage."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command()
@click.argument("path")
def command(path: str) -> None:
    """Check a checkpoint, a feature store or a run for damage."""
    from dcgan_analysis.runs.inspection import verify

    click.echo(f"{path}: OK, no damage found ({verify(path)})")
