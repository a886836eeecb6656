"""What all subcommands share: fast help, exit codes, one line for an error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
import torch

HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "h5py", "captum", "numpy")
COMMANDS = (
    "cache",
    "compare",
    "demo",
    "extract",
    "import",
    "list",
    "new-plugin",
    "plugins",
    "run",
    "show",
    "train",
    "verify",
)


# In this order, in one process: what none of them up to here may have imported.
LIGHT = [
    (["--help"], (*HEAVY, "rich", "pydantic")),
    (["list"], (*HEAVY, "rich")),
    (["list", "--json"], HEAVY),
    (["run", "--help"], HEAVY),
    (["plugins"], HEAVY),
]


def test_light_commands_import_nothing_heavy(tmp_path):
    code = "import sys\nfrom dcgan_analysis.cli.main import main\n" + "".join(
        f"try:\n    main({words!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print({words!r}, *sorted(set(sys.modules) & set({unneeded!r})), file=sys.stderr)\n"
        for words, unneeded in LIGHT
    )
    # No stranger's plugin, which may import what it likes.
    environment = {**os.environ, "DCGAN_ANALYSIS_PLUGINS": ""}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr.splitlines() == [str(words) for words, _ in LIGHT]


def test_help_names_every_command(cli):
    out = cli("--help").assert_success().out
    assert all(f"\n  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, cli):
    out = cli(command, "--help").assert_success().out
    assert out.startswith(f"Usage: dcgan-analyze {command} ")


def test_the_version_is_that_of_the_distribution(cli):
    from importlib.metadata import version

    assert cli("--version").assert_success().out == f"dcgan-analyze, version {version('dcgan-analysis')}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rum"], "Error: Unknown command 'rum'. Did you mean 'run'? Available: cache, "),
        (["run", "toy", "--sead", "1"], "No such option"),
        (["run", "toy", "--seed", "-1"], "Invalid value for '--seed'"),
        (["run", "toy", "--limit", "0"], "Invalid value for '--limit'"),
        (["run", "toy", "--device", "tpu"], "Invalid value for '--device'"),
        (["extract"], "Missing option '--checkpoint'. Known ones: dcgan-analyze list checkpoints"),
        (["train"], "Give the folder of the training: --out DIR"),
        (["show"], "Missing argument 'PATH'"),
        (["compare"], "Missing argument 'RUNS...'"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(words, message, cli):
    outcome = cli(*words)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert message in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "toyy"], "Unknown analysis 'toyy'. Did you mean 'toy'?"),
        (["run", "toy", "--dataset", "toy-imags"], "Unknown dataset 'toy-imags'. Did you mean 'toy-images'?"),
        (["run", "toy", "--dataset", "absent.zip"], "Dataset 'absent.zip' does not exist."),
        (["run", "toy", "--checkpoint", "nowhere"], "Unknown checkpoint 'nowhere'."),
        (["run", "toy", "--checkpoint", "a/b.safetensors"], "Checkpoint 'a/b.safetensors' does not exist"),
        (["run", "toy", "--set", "tines=1"], "Unknown setting 'tines'. Did you mean 'times'? Available: times, label"),
        (["run", "toy", "--set", "times=none"], "times: must be a valid integer, "),
        (["run", "toy", "--set", "times"], "A setting is given as key=value, got 'times'."),
        (["run", "toy", "--config", "absent.toml"], "Configuration file 'absent.toml' does not exist."),
        (["extract", "--checkpoint", "nowhere", "--dataset", "toy-images"], "Unknown checkpoint 'nowhere'."),
        (["show", "nowhere"], "Unknown path or checkpoint 'nowhere'."),
        (["verify", "nowhere.h5"], "'nowhere.h5' does not exist."),
        (["compare", "nowhere"], "'nowhere' is not a run folder: it holds no result.json."),
        (["train", "--out", "t", "--set", "epoch=1"], "Unknown setting 'epoch'. Did you mean 'epochs'?"),
        (["train", "--out", "t", "--set", "architecture=dcgan23"], "Did you mean 'dcgan32'?"),
        (["list", "datasetz"], "has 'datasetz' in it. Did you mean 'datasets'?"),
        (["train", "--out", "t", "--set", "parameters.widht=4"], "has no parameter 'widht'. Did you mean 'width'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_1(words, message, cli, complains):
    complains(cli(*words), message)


def failing(host, make_toy, error):
    def run(context, config):
        raise error

    host.analyses.add("failing", make_toy(name="failing", run=run), owner="test")


def test_an_interruption_says_what_is_kept_and_ends_as_a_shell_reports_it(cli, host, make_toy, complains):
    failing(host, make_toy, KeyboardInterrupt())
    complains(cli("run", "failing"), "Interrupted.", "the same command goes on from there", code=130)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EFBIG, "File too large"),
        (errno.EACCES, "Permission denied"),
        (errno.ENAMETOOLONG, "File name too long"),
    ],
)
def test_errors_of_the_system_are_one_line(code, text, cli, host, make_toy, complains):
    failing(host, make_toy, OSError(code, text, "features.h5"))
    complains(cli("run", "failing"), f"{text} 'features.h5'. Nothing half-written was kept")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_too_little_memory_is_one_line(error, cli, host, make_toy, complains):
    failing(host, make_toy, error)
    complains(cli("run", "failing"), "There is not enough memory for this.")


def test_a_name_that_is_too_long_is_one_line_and_cut(cli, complains):
    outcome = cli("show", "a" * 300)
    complains(outcome, "File name too long 'aaa")
    assert len(outcome.err) < 300


@pytest.mark.parametrize("words", [("list", "datasets"), ("run", "toy", "--dataset", "~nobody-here/a.zip")])
def test_the_home_of_an_unknown_user_is_one_line(words, cli, monkeypatch, complains):
    monkeypatch.setenv("DCGAN_ANALYSIS_DATA", "~nobody-here/images")
    complains(cli(*words), "begins with the home folder of a user whom this system does not know.")


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EBADF, "Bad file descriptor")])
def test_a_bug_keeps_its_traceback(error, cli, host, make_toy):
    failing(host, make_toy, error)
    with pytest.raises(type(error), match=str(error.args[-1])):
        cli("run", "failing")


def test_the_module_can_be_run_with_python(tmp_path):
    command = [sys.executable, "-m", "dcgan_analysis.cli.main", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("dcgan-analyze, version")
