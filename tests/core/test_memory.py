"""One limit for the process: what is asked for is given where nothing limits it, else what is left."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from dcgan_analysis.core import memory, parallel
from dcgan_analysis.core.memory import limited_memory, memory_is_full, memory_share
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.errors import AnalysisError, ConfigError


@pytest.fixture
def held(monkeypatch):
    """Let the process hold 100 bytes of its own and 300 of mapped files, whatever it holds."""
    sizes = {"RssAnon": 100, "RssFile": 300}
    monkeypatch.setattr(memory, "_resident", sizes.__getitem__)
    monkeypatch.setattr(memory, "_FILES", 40)
    return sizes


def bytes_allowed(size: int):
    return limited_memory(size / 1e9)


def test_without_a_limit_what_is_preferred_is_given(held):
    assert memory_share(10**15) == 10**15


def test_the_limit_less_libraries_and_what_is_held_is_left(held):
    with bytes_allowed(540):
        assert memory_share(10**15) == 400
        assert memory_share(30) == 30
        held["RssAnon"] = 700
        assert memory_share(30) == 0
    assert memory_share(10**15) == 10**15


def test_memory_is_full_a_little_before_the_limit_mapped_files_included(held):
    assert not memory_is_full()
    with bytes_allowed(409):
        assert memory_is_full()
    with bytes_allowed(410):
        assert not memory_is_full()
    held["RssFile"] = 6 * 10**9
    assert memory_is_full()


def test_calls_side_by_side_divide_what_is_left(held, monkeypatch):
    monkeypatch.setattr(parallel, "worker_count", lambda device=None: 2)
    with bytes_allowed(540):
        assert list(parallel_map(lambda _: memory_share(10**15), range(3))) == [200, 200, 200]


def test_too_little_is_refused_with_what_would_do(held):
    held["RssAnon"] = 10**9
    with bytes_allowed(2 * 10**9), pytest.raises(AnalysisError) as error:
        memory_share(10**12, least=3 * 10**9, what="A fit")
    assert str(error.value) == (
        "A fit needs 3.00 GB of memory; 1.00 GB are left of the 2.00 GB that are allowed. "
        "Set memory to at least 4.00 GB, or use fewer images."
    )


def test_a_limit_below_what_the_program_holds_is_refused_and_leaves_none(held):
    held["RssAnon"] = 10**9
    with (
        pytest.raises(ConfigError, match=r"memory is 1 GB; the program alone needs 1.00 GB. Allow more"),
        limited_memory(1),
    ):
        pass
    assert memory_share(7) == 7


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_of_its_own_is_seen():
    before = memory._resident("RssAnon")
    # Not from memory that was freed before, which the process holds already.
    with mmap.mmap(-1, 40_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"1" * len(block))
        assert 35e6 < memory._resident("RssAnon") - before < 100e6
