"""The table of all benchmarks: numbers are found in what programs print, and a program that fails is named."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "run.py"


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("benchmarks_run", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_table_has_a_line_for_each_number_with_the_share_that_is_left_beside_a_busy_process(run, tmp_path):
    # Each run prints half of what the run before did: 8, busy 4.
    program = tmp_path / "halves.py"
    program.write_text(
        "from pathlib import Path\n"
        f"kept = Path({str(tmp_path / 'kept')!r})\n"
        "value = float(kept.read_text()) / 2 if kept.exists() else 8.0\n"
        "kept.write_text(str(value))\n"
        "print(f'ratio {value}')\n"
    )
    text = run.table([run.Program((str(program),), {"halves, times": r"ratio ([\d.]+)"})], 1)
    assert text.splitlines()[2:] == ["| halves, times | 8 | 4 | 50% |"]


def test_a_program_that_fails_is_named_with_what_it_said(run, tmp_path):
    program = tmp_path / "fails.py"
    program.write_text("raise SystemExit('no such thing')")
    with pytest.raises(SystemExit, match=r"(?s)fails\.py failed:.*no such thing"):
        run.measure(run.Program((str(program),), {}))


def test_every_program_is_there_and_the_machine_is_described(run):
    assert all((FILE.parent / program.arguments[0]).is_file() for program in run.PROGRAMS.values())
    assert "torch" in run.machine()
