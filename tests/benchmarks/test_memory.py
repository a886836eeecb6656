"""Memory measured from outside: a process that holds a known amount."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_a_process_is_seen_to_hold_what_it_holds_and_a_mapped_file_counts_apart(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    memory = importlib.import_module("memory")
    (tmp_path / "file").write_bytes(bytes(200_000_000))
    program = (
        "import mmap, time\n"
        "held = b'1' * 100_000_000\n"
        f"file = open({str(tmp_path / 'file')!r}, 'rb')\n"
        "mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "pages = sum(mapped[place] for place in range(0, len(mapped), 4096))\n"
        "time.sleep(0.5)\n"
    )
    _, whole, own = memory.peaks([sys.executable, "-c", program])
    assert 0.1 < own < 0.13
    assert 0.3 < whole < 0.35
