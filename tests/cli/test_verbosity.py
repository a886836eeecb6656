"""What a command writes where nobody watches: lines of stages to standard error, one document to standard output."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time

import click
import pytest

from dcgan_analysis.api.command import CommandEntry
from dcgan_analysis.errors import AnalysisError

PLUGIN = """
import os, sys, time
from pathlib import Path
from dcgan_analysis import hookimpl
from dcgan_analysis.api import AnalysisConfig, Metric, Needs

print("printed when imported")


class Loud:
    name, summary, question = "loud", "Prints", "Does it print?"
    reference, config_type, needs = "none", AnalysisConfig, Needs()

    def run(self, context, config):
        print("printed by Python")
        sys.stdout.write("written to standard output\\n")
        os.write(1, b"written to the descriptor\\n")
        os.system("echo printed by another process")
        with context.stage("wait"):
            if os.environ.get("WAIT"):
                (context.output_dir / "half.txt").write_text("half")
                Path(os.environ["WAIT"]).touch()
                for _ in range(600):
                    time.sleep(0.1)
        return context.result(title="Loud", headline="one", metrics={"one": Metric(value=1.0, unit="number")})


@hookimpl
def dcgan_register_analyses(register):
    register(Loud())
"""


@pytest.fixture
def command(tmp_path):
    """Start the command line in a process of its own, with a plugin that prints wherever it can."""
    file = tmp_path / "loud.py"
    file.write_text(PLUGIN, encoding="utf-8")

    def start(*words, **environment):
        program = [sys.executable, "-m", "dcgan_analysis", "--plugin", str(file), *words]
        env = os.environ | environment | {"DCGAN_ANALYSIS_CACHE": str(tmp_path / "cache")}
        # Where the tests run in the background of a shell, Ctrl-C is ignored and a child would inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            started.append(subprocess.Popen(program, cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True))
        finally:
            signal.signal(signal.SIGINT, before)
        return started[-1]

    started = []
    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_json_is_one_document_whatever_a_plugin_prints(command):
    process = command("run", "loud", "--out", "run", "--json")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert json.loads(out)["analysis"] == "loud"
    for line in (
        "printed when imported",
        "printed by Python",
        "written to standard output",
        "written to the descriptor",
        "printed by another process",
    ):
        assert line in err
    assert re.search(r"^\d\d:\d\d:\d\d wait: begins$", err, re.MULTILINE)


def test_a_command_of_a_plugin_prints_its_own_json_where_it_wants(cli, host):
    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def greet(as_json):
        click.echo(json.dumps({"json": as_json}))

    host.commands.add("greet", CommandEntry("greet", "Greet.", lambda: greet), owner="test")
    assert cli("greet", "--json").assert_success().json() == {"json": True}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_its_code_and_leaves_nothing_half_written(number, command, tmp_path):
    process = command("run", "loud", "--out", "runs/one", WAIT=str(tmp_path / "waits"))
    until = time.monotonic() + 100
    while not (tmp_path / "waits").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Error: ")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_without_a_terminal_says_when_stages_begin_and_end(cli, tmp_path):
    outcome = cli("run", "toy", "--out", tmp_path / "run").assert_success()
    lines = [line.split(" ", 1)[1].split(" after ")[0] for line in outcome.err.splitlines()]
    assert lines == ["toy on synthetic: begins", "draw: begins", "draw: done", "toy on synthetic: done"]
    assert "begins" not in outcome.out


def test_what_is_checked_before_a_run_begins_leaves_the_word_to_the_error(cli, host, make_toy):
    def check(context):
        with context.stage("images and draws"):
            raise AnalysisError("Too few images.")  # noqa: EM101

    toy = make_toy(name="checked", checks=lambda context, config: [lambda: check(context)])
    host.analyses.add("checked", toy, owner="test")
    outcome = cli("run", "checked")
    assert (outcome.exit_code, outcome.err) == (1, "Error: Too few images.\n")


@pytest.mark.parametrize("words", [("run", "toy", "--quiet"), ("--quiet", "run", "toy")])
def test_quiet_writes_no_progress(words, cli):
    assert cli(*words).assert_success().err == ""


def test_quiet_and_verbose_together_are_wrong_usage(cli):
    outcome = cli("--quiet", "run", "toy", "--verbose")
    assert outcome.exit_code == 2
    assert "--quiet" in outcome.err


def test_warnings_are_written_in_any_case(cli, host, make_toy):
    def run(context, config):
        logging.getLogger("dcgan_analysis.test").warning("the disc is nearly full")
        return make_toy().run(context, config)

    host.analyses.add("warning", make_toy(name="warning", run=run), owner="test")
    outcome = cli("run", "warning", "--quiet").assert_success()
    assert outcome.err == "Warning: the disc is nearly full\n"


def test_a_command_leaves_the_log_as_it_was(cli):
    logger = logging.getLogger("dcgan_analysis")
    before = logger.level, list(logger.handlers)
    cli("run", "toy", "--verbose").assert_success()
    assert (logger.level, list(logger.handlers)) == before


def test_users_of_the_library_hear_the_same_lines(host, caplog, tmp_path):
    from dcgan_analysis.runs.run import run

    caplog.set_level(logging.INFO, logger="dcgan_analysis")
    run("toy", host=host, out=tmp_path / "run")
    assert "draw: begins" in [record.getMessage() for record in caplog.records]
