"""How long work reports itself: one callable, called often, that may do nothing; and lines in Python's ``logging``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.core.text import count, duration

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)`` while something long runs.

``what`` names the work and its unit; ``total`` is 0 where nobody knows how much there is to do.
"""

_log = logging.getLogger(__name__)


def silent(label: str, done: int, total: int) -> None:
    """Report nothing."""


def steps(progress: Progress, label: str) -> Callable[[str], None]:
    """Return a function that reports each of its calls as one step of work whose end nobody knows beforehand.

    Example:
        >>> step = steps(lambda what, done, total: print(what, done, total), "solver")
        >>> step("a line")
        solver 1 0
    """
    done = 0

    def step(_: str) -> None:
        nonlocal done
        done += 1
        progress(label, done, 0)

    return step


@dataclass
class _Work:
    """Where one piece of work is, and where it was when first heard of."""

    what: str
    begun: float
    first: int
    done: int
    total: int

    def line(self, now: float) -> str:
        """Return how much is done and, where that can be told, how long the rest will take."""
        if not self.total:
            return f"{self.what}: {count(self.done)} so far"
        text = f"{self.what}: {count(self.done)} of {count(self.total)}, {100 * self.done / self.total:.0f} %"
        gained, spent = self.done - self.first, now - self.begun
        if gained <= 0 or not spent:
            return text
        return f"{text}, about {duration((self.total - self.done) * spent / gained)} left"


class ProgressLog:
    """A ``Progress`` that also writes lines to the logger ``dcgan_analysis``, at level INFO.

    A line when a stage begins and when it ends, with the time it took; and in long stages one every ``interval``
    seconds: the share done and the time left.

    Args:
        onward: What calls are passed on to, such as bars on a terminal.
        interval: Seconds without any line after which one is due.

    Example:
        >>> logging.basicConfig(level="INFO", format="%(message)s")  # doctest: +SKIP
        >>> progress = ProgressLog(interval=60)
        >>> with progress.stage("features"):
        ...     progress("images", 100, 50_000)
    """

    def __init__(self, onward: Progress = silent, interval: float = 60.0) -> None:
        self._onward = onward
        self._interval = interval
        # A command without a terminal asks from a thread of its own whether a line is due.
        self._lock = threading.RLock()
        self._stages: list[tuple[str, float]] = []
        self._works: dict[str, _Work] = {}
        self._current: _Work | None = None
        self._waiting: str | None = None
        self._last = time.monotonic()

    @classmethod
    def over(cls, progress: Progress) -> ProgressLog:
        """Return ``progress`` if it writes lines already, and otherwise one that does and passes calls on to it."""
        return progress if isinstance(progress, cls) else cls(progress)

    def __reduce__(self) -> tuple[type[ProgressLog], tuple[()]]:
        # What a worker process does is no business of this one's bars and locks.
        return ProgressLog, ()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take note of how far some work is, and write a line if one is due."""
        self._onward(what, done, total)
        with self._lock:
            work = self._works.get(what)
            if work is None or done < work.done:
                work = self._works[what] = _Work(what, time.monotonic(), done, done, total)
            work.done, work.total = done, total
            self._current = work
            self._begin()
        self.remind()

    def remind(self) -> None:
        """Write a line on the stage that runs if none was written for ``interval`` seconds."""
        with self._lock:
            now = time.monotonic()
            if now - self._last < self._interval:
                return
            parts = [name for name, _ in self._stages[-1:]]
            if self._current is not None:
                parts.append(self._current.line(now))
            if parts:
                begun = self._stages[-1][1] if self._stages else self._last
                self._write("%s (%s so far)", ": ".join(parts), duration(now - begun))

    @contextmanager
    def stage(self, name: str, *, at_work: bool = False) -> Iterator[None]:
        """Write a line when the block begins and one when it ends.

        Args:
            name: What is done.
            at_work: Write the first line only when some work is reported, and none if the block fails before: the
                error says enough.
        """
        begun = time.monotonic()
        with self._lock:
            self._begin()
            self._stages.append((name, begun))
            self._forget()
            self._waiting = name
            if not at_work:
                self._begin()
        outcome = "stopped"
        try:
            yield
            outcome = "done"
        finally:
            with self._lock:
                self._stages.remove((name, begun))
                self._forget()
                if outcome == "done" or self._waiting != name:
                    self._write("%s: %s after %s", name, outcome, duration(time.monotonic() - begun))
                self._waiting = None

    def _begin(self) -> None:
        if self._waiting is not None:
            name, self._waiting = self._waiting, None
            self._write("%s: begins", name)

    def _forget(self) -> None:
        self._works, self._current = {}, None

    def _write(self, message: str, *values: str) -> None:
        self._last = time.monotonic()
        _log.info(message, *values)


@contextmanager
def stage_of(progress: Progress, name: str) -> Iterator[None]:
    """Write the lines of a stage where ``progress`` writes lines, as that of a run does."""
    with progress.stage(name) if isinstance(progress, ProgressLog) else nullcontext():
        yield
