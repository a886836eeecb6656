"""How long work reports itself: one callable, called often, that may do nothing."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "silent", "steps"]

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)`` while something long runs.

``what`` names the work and its unit; ``total`` is 0 where nobody knows how much there is to do.
"""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def steps(progress: Progress, what: str) -> Callable[[str], None]:
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
        progress(what, done, 0)

    return step
