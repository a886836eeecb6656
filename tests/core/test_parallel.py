"""Batches side by side: the order and the bits of one worker, bounded memory, and errors as they are."""

from __future__ import annotations

import _thread
import signal
import threading
import time

import pytest
import torch

from dcgan_analysis.core import parallel
from dcgan_analysis.core.parallel import parallel_map, worker_count


@pytest.fixture(params=[1, 2, 3])
def workers(request, monkeypatch):
    """Run a test with one, two and three workers, whatever this machine has."""
    monkeypatch.setattr(parallel, "worker_count", lambda device=None: request.param)
    return request.param


@pytest.fixture
def threads():
    """Put the number of torch's threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items(workers):
    def slow_if_early(number):
        time.sleep(0.01 if number == 0 else 0)
        return number * 10

    assert list(parallel_map(slow_if_early, range(7))) == [0, 10, 20, 30, 40, 50, 60]
    assert list(parallel_map(slow_if_early, [])) == []


def test_every_call_has_one_thread_and_the_callers_number_stays(workers, threads):
    torch.set_num_threads(2)
    assert set(parallel_map(lambda _: torch.get_num_threads(), range(5))) == {1}
    assert torch.get_num_threads() == 2
    stream = parallel_map(lambda _: None, range(5))
    next(stream)
    assert torch.get_num_threads() == 2
    stream.close()
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


def test_sums_have_the_same_bits_for_any_number_of_workers(monkeypatch, threads):
    torch.set_num_threads(2)
    values = torch.randn(6, 300_000, generator=torch.Generator().manual_seed(0))
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(parallel, "worker_count", lambda device=None, count=count: count)
        found.append(torch.stack(list(parallel_map(lambda row: row.sum() + row @ row, values))))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_an_error_comes_as_it_is_and_later_items_are_left(workers):
    error, seen = KeyError("third"), []

    def fail(number):
        seen.append(number)
        if number == 2:
            raise error
        return number

    stream = parallel_map(fail, range(100))
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(KeyError) as caught:
        next(stream)
    assert caught.value is error
    assert len(seen) <= 3 + workers


def test_at_most_one_item_more_than_workers_is_ahead(workers):
    begun = []

    def items():
        for number in range(20):
            begun.append(number)
            yield number

    for done, _ in enumerate(parallel_map(lambda number: number, items()), start=1):
        assert len(begun) - done <= workers


@pytest.fixture
def interruptible():
    """Let Ctrl-C be heard: it is ignored where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_stops_without_the_items_that_are_left(workers, interruptible):
    seen = []

    def interrupt(number):
        seen.append(number)
        if number == 0:
            _thread.interrupt_main()
        time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        list(parallel_map(interrupt, range(1000)))
    assert len(seen) < 10


def test_random_numbers_are_drawn_in_the_order_of_the_items(workers):
    torch.manual_seed(0)
    expected = [torch.rand(1).item() for _ in range(8)]
    torch.manual_seed(0)
    assert list(parallel_map(lambda _: torch.rand(1).item(), range(8))) == expected


def test_gradients_are_recorded_as_in_the_caller(workers):
    with torch.no_grad():
        assert not any(parallel_map(lambda _: torch.is_grad_enabled(), range(4)))
    assert all(parallel_map(lambda _: torch.is_grad_enabled(), range(4)))


def test_workers_are_no_more_than_threads_or_cores(monkeypatch, threads):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    torch.set_num_threads(2)
    assert worker_count() == 2
    torch.set_num_threads(4)
    assert worker_count() == 3
    assert worker_count(torch.device("cuda")) == 1
