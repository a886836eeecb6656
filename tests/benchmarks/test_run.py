"""The table of all benchmarks: numbers are found in what programs print, and a program that fails is named."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from dcgan_analysis.api import Result

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("run")


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
    halves = run.Program((str(program),), {"halves, times": r"ratio ([\d.]+)"}, gpu=False)
    assert run.table(run.alternate({"halves": halves}, 1)).rows == [["halves, times", 8, 4, 0.5]]


def test_a_pattern_that_finds_names_gives_a_line_for_each_and_none_beside_a_busy_process_where_that_says_nothing(
    run, tmp_path
):
    program = tmp_path / "names.py"
    program.write_text("import sys\nprint('one  two 3\\nfour 5', sys.argv[1])\n")
    named = run.Program((str(program),), {"of {}": r"^([a-z ]+) (\d)"}, gpu=False, shared=False)
    runs = run.alternate({"names": named}, 2, "--quick")
    assert run.table(runs).rows == [["of one two", 3, None, None], ["of four", 5, None, None]]


def test_a_program_that_fails_is_named_with_what_it_said(run, tmp_path):
    program = tmp_path / "fails.py"
    program.write_text("raise SystemExit('no such thing')")
    with pytest.raises(SystemExit, match=r"(?s)fails\.py failed:.*no such thing"):
        run.measure(run.Program((str(program),), {"": "(1)"}))


def test_every_program_is_there_and_the_document_says_on_what_machine_its_numbers_were_made(
    run, tmp_path, monkeypatch, capsys
):
    assert all((FOLDER / program.arguments[0]).is_file() for program in run.PROGRAMS.values())
    program = tmp_path / "one.py"
    monkeypatch.setattr(
        run, "PROGRAMS", {"one": run.Program((str(program),), {"one, times": r"ratio (.+)"}, gpu=False)}
    )
    monkeypatch.setattr("sys.argv", ["run.py", "one", "--quick", "--out", str(tmp_path / "out")])
    program.write_text("import sys\nassert sys.argv[1:] == ['--quick']\nprint('ratio 2.5')")
    run.main()
    result = Result.load(tmp_path / "out")
    assert result.metrics["one_times"].value == 2.5
    assert result.command == "python benchmarks/run.py one --quick"
    printed = capsys.readouterr().out
    assert "| one, times | 2.5 | 2.5 | 100.0 % |" in printed
    assert "torch" in dict(result.tables[1].rows)["versions"]
