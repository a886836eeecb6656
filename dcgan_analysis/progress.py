"""How long work reports itself: one callable, called often, that may do nothing."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "silent"]

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)`` while something long runs; ``what`` names the work and its unit."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
