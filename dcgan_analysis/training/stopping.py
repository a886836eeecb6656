"""Ctrl-C, SIGTERM and a closed terminal (SIGHUP) as requests to stop at the end of a step."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


# Of the blocks that are entered, the innermost last.
_entered: list[StopRequest] = []


@dataclass
class StopRequest:
    """Whether the training is to stop.

    Attributes:
        signal: Number of the signal received; 0: none.
    """

    signal: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first SIGINT, SIGTERM or SIGHUP within the block into a request; a second one interrupts.

    Where such a block stands within another, the request is passed on to that: what comes after may still be long.

    Only the main thread can set handlers: elsewhere nothing changes.

    Yields:
        The request.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, _: FrameType | None) -> None:
        if request.signal:
            raise KeyboardInterrupt
        request.signal = number

    # None stands for a handler that was not set from Python and cannot be set again from here.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, handle)
    _entered.append(request)
    try:
        yield request
    finally:
        _entered.pop()
        if _entered and request.signal:
            _entered[-1].signal = request.signal
        for number, handler in before.items():
            signal.signal(number, handler)
