"""Progress bars on standard error, for work that takes more than a moment."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dcgan_analysis.core.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.core.progress import Progress as Report

__all__ = ["progress_bars"]

# Work that is over sooner never shows a bar.
_PATIENCE_SECONDS = 1.0


class _Rate(ProgressColumn):
    """Units done in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s", style="dim")


class _Done(ProgressColumn):
    """Units done, of how many where that is known."""

    def render(self, task: Task) -> Text:
        end = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{end}")


class _Bars:
    """Turns ``progress(what, done, total)`` calls into one bar for each ``what``."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun = self._begun.setdefault(what, now)
        # Total 0: nobody knows how much there is to do, and the bar only shows that something goes on.
        end = total or None
        if what not in self._tasks and now - begun >= _PATIENCE_SECONDS:
            self._tasks[what] = self._bars.add_task(what, total=end, completed=done)
        if what in self._tasks:
            self._bars.update(self._tasks[what], completed=done, total=end)
        if end is not None and done >= end:
            # The same work may come again (another split); it then gets a bar of its own.
            self._tasks.pop(what, None)
            del self._begun[what]


@contextmanager
def progress_bars(*, shown: bool = True) -> Iterator[Report]:
    """Yield a progress callable that draws bars on standard error, or does nothing where that is no terminal.

    Args:
        shown: False: do nothing in any case, as in all processes but the first.
    """
    terminal = Console(file=sys.stderr)
    if not shown or not terminal.is_terminal:
        yield silent
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        _Done(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=terminal,
    )
    with bars:
        yield _Bars(bars)
