"""Ctrl-C, or the SIGTERM of a scheduler that wants the machine back: a request to stop, met at the end of a step."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["StopRequest", "stop_requests"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """Whether somebody asked for an end.

    Attributes:
        signal: Number of the signal that asked; 0: none did.
    """

    signal: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Let the first SIGINT or SIGTERM ask for an end instead of making one, for the block; a second one makes it.

    Python lets only the main thread set handlers: elsewhere nothing changes, and nobody asks.

    Yields:
        What was asked so far.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, _: FrameType | None) -> None:
        if request.signal:
            raise KeyboardInterrupt
        request.signal = number

    # None stands for a handler that was not set from Python and cannot be set again from here.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
