"""Batches side by side: each core works on a batch of its own with one thread of torch.

Two threads within each operation wait for each other some thousand times a second; where another program takes one of
two cores, all of that waiting is for the slower one, and a quarter of the speed is left. Threads with batches of their
own wait once a batch.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["calls_beside", "in_worker", "parallel_map", "worker_count"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_thread = threading.local()


def worker_count(device: torch.device | None = None) -> int:
    """Return how many batches are worked on at a time.

    On a CPU: as many as torch has threads in the calling thread (``OMP_NUM_THREADS``, ``torch.set_num_threads``), but
    no more than the cores that this process may use. On a GPU one.

    Args:
        device: Where the work is done; a CPU by default.
    """
    if device is not None and device.type != "cpu":
        return 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(torch.get_num_threads(), allowed))


def in_worker() -> bool:
    """Return whether the calling thread works on one of several batches."""
    return calls_beside() > 1


def calls_beside() -> int:
    """Return how many calls of a ``parallel_map`` run side by side, the calling thread's among them; 1 outside."""
    return getattr(_thread, "calls", 1)


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, device: torch.device | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in the order of the items.

    On a CPU every call has one thread of torch, however many calls run side by side: results do not depend on the
    number of workers, bit for bit. Within a call a ``parallel_map`` works on one item at a time.

    A function that draws from torch's global generator is called for one item after the other, so that the numbers
    drawn do not depend on who comes first; the first call tells.

    Args:
        function: Called in threads; it must not change what other calls read. Whether gradients are recorded is as
            in the caller.
        items: Read in the calling thread, at most one more than there are workers ahead of what was yielded.
        device: Where the function computes; a CPU by default.

    Yields:
        Results. An exception of a call is raised as it is in place of its result, once calls that run have ended; the
        items after it are left.

    Example:
        >>> list(parallel_map(lambda x: x * x, [1, 2, 3]))
        [1, 4, 9]
    """
    count = worker_count(device)
    if count > 1:
        yield from _in_threads(function, iter(items), count)
        return
    for item in items:
        with _one_thread(device):
            result = function(item)
        yield result


def _in_threads(function: Callable[[Item], Result], items: Iterator[Item], count: int) -> Iterator[Result]:
    first = list(islice(items, count + 1))
    drawn = torch.get_rng_state()
    pool = ThreadPoolExecutor(count, "batches", initializer=_begin, initargs=(torch.is_grad_enabled(), count))
    pending: deque[Future[Result]] = deque()
    try:
        pending.extend(pool.submit(function, item) for item in first)
        random = bool(pending) and pending[0].exception() is None and not torch.equal(torch.get_rng_state(), drawn)
        while pending and not random:
            yield pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(items, 1))
    finally:
        pool.shutdown(cancel_futures=True)
        # The number of threads is the calling thread's own, but threads that begin later take the number last set.
        torch.set_num_threads(torch.get_num_threads())
    if random:
        torch.set_rng_state(drawn)
        yield from map(function, chain(first, items))


def _begin(gradients: bool, count: int) -> None:
    """Prepare a thread of the pool."""
    _thread.calls = count
    torch.set_num_threads(1)
    torch.set_grad_enabled(gradients)


@contextmanager
def _one_thread(device: torch.device | None) -> Iterator[None]:
    threads = torch.get_num_threads()
    if threads == 1 or (device is not None and device.type != "cpu"):
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
