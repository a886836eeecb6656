"""How far work is, on standard error: bars on a terminal, lines with the time elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
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

from dcgan_analysis.cli.console import is_quiet
from dcgan_analysis.core.progress import ProgressLog, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

# Work that is over sooner never shows a bar.
_PATIENCE_SECONDS = 1.0
# How often is asked whether a line is due.
_ASKED_SECONDS = 5.0
_logger = logging.getLogger("dcgan_analysis")


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

    def __call__(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun = self._begun.setdefault(label, now)
        # Total 0: nobody knows how much there is to do, and the bar only shows that something goes on.
        end = total or None
        if label not in self._tasks and now - begun >= _PATIENCE_SECONDS:
            self._tasks[label] = self._bars.add_task(label, total=end, completed=done)
        if label in self._tasks:
            self._bars.update(self._tasks[label], completed=done, total=end)
        if end is not None and done >= end:
            # The same work may come again (another split); it then gets a bar of its own.
            self._tasks.pop(label, None)
            del self._begun[label]


@contextmanager
def shown_progress(stage: str | None = None, *, shown: bool = True) -> Iterator[ProgressLog]:
    """Yield what work reports to: bars on a terminal, otherwise lines; with ``--quiet`` neither.

    Args:
        stage: What the command does, for the lines at its beginning and end; None: the work has stages of its own.
        shown: False: do nothing in any case, as in all processes but the first.
    """
    terminal = Console(file=sys.stderr)
    with ExitStack() as stack:
        if shown and terminal.is_terminal and not is_quiet():
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), _Done(), _Rate())
            bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=terminal)
            report = ProgressLog(_Bars(stack.enter_context(bars)))
        else:
            report = ProgressLog(silent)
        stack.enter_context(reminded(report))
        if stage is not None:
            stack.enter_context(report.stage(stage, at_work=True))
        yield report


@contextmanager
def reminded(report: ProgressLog) -> Iterator[None]:
    """Let lines appear in time also where long work does not report how far it is."""
    if not _logger.isEnabledFor(logging.INFO):
        yield
        return
    over = threading.Event()

    def remind() -> None:
        while not over.wait(_ASKED_SECONDS):
            report.remind()

    thread = threading.Thread(target=remind, name="progress lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
