"""How far a library call is, shown in a notebook: one bar of plain HTML, gone when the call ends."""

from __future__ import annotations

import html
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.core.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["notebook_progress"]

# The page is drawn anew no more often than that.
_SECONDS = 0.25


@contextmanager
def notebook_progress(progress: Progress | None) -> Iterator[Progress]:
    """Yield what a library call reports to: what its caller gave, or else a bar in a notebook and nothing elsewhere."""
    if progress is not None or not _in_notebook():
        yield progress or silent
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.remove()


def _in_notebook() -> bool:
    # IPython at a terminal has no kernel; who has not imported IPython is in no notebook.
    return "IPython" in sys.modules and hasattr(sys.modules["IPython"].get_ipython(), "kernel")


class _Bar:
    """A progress element of HTML, which needs no widgets; of several pieces of work the one heard of last."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._drawn < _SECONDS:
            return
        self._drawn = now
        share = (
            f'<progress value="{done}" max="{total}"></progress> {100 * done / total:.0f} %' if total else "<progress>"
        )
        end = f" of {count(total)}" if total else ""
        self._draw(f"{share} {html.escape(what)}: {count(done)}{end}")

    def remove(self) -> None:
        """Leave nothing of the bar."""
        if self._handle is not None:
            self._draw("")

    def _draw(self, page: str) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(page), display_id=True)
        else:
            self._handle.update(HTML(page))
