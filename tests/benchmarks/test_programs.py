"""Every program of the folder runs to its end with sizes of nothing, so that none is out of date."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
# What run.py finds in their output is tried with it; the ladder has tests of its own.
PROGRAMS = {
    "checksums": [],
    "explore": [],
    "extraction": [],
    "few_labels": [],
    "hash_recall": [],
    "nearest_neighbour": [],
    "sampling": ["--checkpoint", "digits-conditional"],
    "scaling": [],
    "training": [],
}
WITH_PROCESSES = {
    "main_job": [],
    "l2svm": [],
    "memory": ["pixels"],
    "near_duplicates": [],
    "speedups": [],
    "startup": [],
}


def call(name: str, arguments: list[str], monkeypatch, capfd) -> str:
    """Run a program in this process and return what it prints."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--quick", *arguments])
    monkeypatch.setattr("warnings.filters", [])  # programs silence the solver
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return capfd.readouterr().out


def check_numbers(name: str, printed: str) -> None:
    """Find all numbers that the table of all benchmarks takes from a program."""
    run = runpy.run_path(str(FOLDER / "run.py"))
    for program in run["PROGRAMS"].values():
        if program.arguments[0] == f"{name}.py":
            for pattern in program.values.values():
                assert re.search(pattern, printed, re.MULTILINE), (pattern, printed)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_and_prints_what_the_table_takes_from_it(name, monkeypatch, capfd):
    check_numbers(name, call(name, PROGRAMS[name], monkeypatch, capfd))


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_PROCESSES)
def test_so_does_one_that_starts_processes_or_takes_longer(name, monkeypatch, capfd):
    check_numbers(name, call(name, WITH_PROCESSES[name], monkeypatch, capfd))


def test_no_program_is_forgotten():
    helpers = {"arguments", "ladder", "report", "run"}
    assert {path.stem for path in FOLDER.glob("*.py")} == {*PROGRAMS, *WITH_PROCESSES, *helpers}
