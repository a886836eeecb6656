"""What came from anybody and would steer the terminal is shown as an escape, whichever command prints it."""

from __future__ import annotations

import json

import pytest

from dcgan_analysis.api import Metric, Table
from dcgan_analysis.api.result import REPORT_FILE
from dcgan_analysis.data.registry import DatasetEntry

STEERS = "\x1b[2J\x1b]0;title\x07\u202e\x9b31m"


@pytest.fixture
def run_folder(make_result, tmp_path):
    table = Table(name="t", title=f"T{STEERS}", columns=[f"c{STEERS}"], rows=[[f"r{STEERS}"]])
    for name in ("a", f"b{STEERS.replace('/', '')}"):
        folder = tmp_path / name
        (folder / "figures").mkdir(parents=True)
        (folder / REPORT_FILE).touch()
        metrics = {"accuracy": Metric(value=0.5), f"m{STEERS}": Metric(value=0.5)}
        result = make_result(title=f"T{STEERS}", metrics=metrics, tables=[table], figures=[], warnings=[STEERS])
        result.analysis = f"analysis{STEERS}"
        result.save(folder)
    return folder.name


def test_no_command_lets_a_result_steer_the_terminal(cli, run_folder):
    for words in (("show", "a"), ("show", run_folder), ("compare", "a", run_folder), ("verify", run_folder)):
        outcome = cli(*words).assert_success()
        assert not set(outcome.out + outcome.err) & set(STEERS) - set("[2J]0;title31m")
        assert "\\x1b[2J" in outcome.out


def test_lists_errors_and_help_show_escapes(cli, host, make_toy, tmp_path):
    host.analyses.add("loud", make_toy(name="loud", summary=f"S{STEERS}", question=f"Q{STEERS}"), owner="test")
    host.datasets.add("bright", DatasetEntry("bright", f"D{STEERS}", lambda root, download: None), owner="test")
    bad = tmp_path / "bad" / "model.safetensors"
    bad.parent.mkdir()
    header = json.dumps({"__metadata__": {"dcgan_analysis": json.dumps({"architecture": STEERS})}}).encode()
    bad.write_bytes(len(header).to_bytes(8, "little") + header)
    for words in (("list",), ("run", "--help"), ("run", "loud", "--help"), ("show", "bad"), ("show", STEERS)):
        outcome = cli(*words)
        assert "\\x1b[2J" in outcome.out + outcome.err
        assert not set(outcome.out + outcome.err) & {"\x1b", "\x07", "\u202e", "\x9b"}
