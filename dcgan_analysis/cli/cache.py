"""``dcgan-analyze cache``: the feature stores and outcomes that were kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcgan_analysis.cli.console import console
from dcgan_analysis.core.folders import cache_folder

if TYPE_CHECKING:
    from dcgan_analysis.features.format import FeatureKey

_GIB = 1 << 30


class _FiniteRange(click.FloatRange):
    """A number between two others; nan, which is neither below nor above any, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail as click does."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


@click.group()
def command() -> None:
    """List, explain or clear what is cached: feature stores, and outcomes of long computations."""


@command.command("ls", short_help="List what is kept, with size and time of last use.")
def list_stores() -> None:
    """List cached feature stores with size, content and time of last use, and what else is kept, by kind."""
    from rich.table import Table

    from dcgan_analysis.features import cache

    entries = cache.list_entries()
    table = Table(box=None, pad_edge=False)
    for column in ("store", "size", "content", "last used"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for entry in entries:
        table.add_row(
            entry.path.name,
            f"{entry.size / 1e6:,.1f} MB",
            _content(entry.key) if entry.key else entry.problem,
            f"{entry.last_used:%Y-%m-%d %H:%M}",
        )
    out = console()
    out.print(table)
    folders = cache.list_folders()
    if folders:
        others = Table(box=None, pad_edge=False)
        for column in ("outcomes", "files", "size", "last used"):
            others.add_column(column, overflow="fold", justify="right" if column in ("files", "size") else "left")
        for group in folders:
            size, used = f"{group.size / 1e6:,.1f} MB", f"{group.last_used:%Y-%m-%d %H:%M}"
            others.add_row(group.kind, f"{group.files:,}", size, used)
        out.print()
        out.print(others)
    total = (sum(entry.size for entry in entries) + sum(group.size for group in folders)) / 1e9
    more = f" and {sum(group.files for group in folders):,} other files" if folders else ""
    out.print(f"{len(entries)} stores{more}, {total:.2f} GB in {cache_folder()}", soft_wrap=True)


def _content(key: FeatureKey) -> str:
    weights = key.weights_sha256[:8]
    return f"{key.split} of {key.dataset_sha256[:8]}, {key.architecture} {weights}, {key.batchnorm}, {key.store_dtype}"


@command.command(short_help="Say what identifies a store, and how the nearest differs.")
@click.argument("store", type=click.Path(path_type=Path))
def explain(store: Path) -> None:
    """Say what identifies STORE and in which parts the nearest other store differs."""
    from dcgan_analysis.features import cache
    from dcgan_analysis.features.store import FeatureStore

    path = store if store.exists() else cache_folder() / "features" / store
    key = FeatureStore(path).key
    out = console()
    out.print(f"{path.name}: key {key.sha256[:16]}", style="bold", soft_wrap=True)
    for part, value in key.model_dump(mode="json").items():
        out.print(f"  {part}: {value}", soft_wrap=True)
    nearest = cache.explain(key, exclude=path)
    if nearest is None:
        out.print("There is no other store to compare with.")
        return
    entry, differences = nearest
    out.print(f"Nearest other store: {entry.path.name}; it differs in", style="bold", soft_wrap=True)
    for part, here, there in differences:
        out.print(f"  {part}: {here} here, {there} there", soft_wrap=True)


@command.command(short_help="Remove what is old, and what ended processes left.")
@click.option(
    "--max-gb",
    type=_FiniteRange(0, 1e9),
    help="Keep what was used most recently, up to this size in all.",
)
@click.option("--older-than", type=_FiniteRange(0, 1e5), metavar="DAYS", help="Remove what was not used for long.")
def gc(max_gb: float | None, older_than: float | None) -> None:
    """Remove old stores, images and outcomes, and what ended processes left; never what a living process writes."""
    from datetime import timedelta

    from dcgan_analysis.features import cache

    removed = cache.collect_garbage(
        max_bytes=None if max_gb is None else int(max_gb * _GIB),
        older_than=None if older_than is None else timedelta(days=older_than),
    )
    for path in removed:
        console().print(f"removed {path.name}")
    console().print(f"{len(removed)} files removed")
