"""Whole commands as real processes that meet with accidents: kills, signals, full and read-only disks, and each other.

One process imports the program, then forks for every command, so that a kill hits the work and not the imports.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.core.files import abandoned
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.runs.library import load_checkpoint

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and capabilities of Linux"),
    pytest.mark.slow,
]

SERVER = """
import ctypes, json, os, resource, signal, sys, time
from pathlib import Path

import h5py, matplotlib.figure, scipy.stats, sklearn.model_selection, torch
from dcgan_analysis.cli.main import main
from dcgan_analysis.features import pipeline
from dcgan_analysis.runs import run
from dcgan_analysis.training import trainer

torch.set_num_threads(1)


def start(order, number):
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        for each in (signal.SIGINT, signal.SIGHUP):  # which a shell in the background ignores
            signal.signal(each, signal.SIG_DFL if each == signal.SIGHUP else signal.default_int_handler)
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{name}-{number}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os.environ["DCGAN_ANALYSIS_CACHE"] = order["cache"]
        if order["file_size"] is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
        if order["powerless"]:  # root without the right to write where nobody may
            header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
            assert ctypes.CDLL(None).capset(header, none) == 0
        main(order["words"])
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    order = json.loads(line)
    began = time.monotonic()
    children = [start(order, number) for number in range(order["times"])]
    if order["signal"]:
        time.sleep(order["after"])
        for child in children:
            os.kill(child, order["signal"])
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    errors = [Path(f"err-{number}").read_text(errors="replace") for number in range(order["times"])]
    print(json.dumps([time.monotonic() - began, codes, errors]), flush=True)
"""


@dataclass
class Ends:
    """How commands ended.

    Attributes:
        seconds: How long the slowest took.
        codes: Exit codes; below 0 the signal that ended it.
        errors: What each wrote to standard error, without progress.
    """

    seconds: float
    codes: list[int]
    errors: list[str]


class Program:
    """The program in a folder of its own, with what its commands read."""

    def __init__(self, folder):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVER],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def __call__(self, *words, times=1, after=0.0, ended_by=0, file_size=None, powerless=False, cache="cache"):
        order = {"words": ["--quiet", *words], "times": times, "after": after, "signal": ended_by}
        order |= {"file_size": file_size, "powerless": powerless, "cache": str(self.folder / cache)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Ends(*json.loads(self.process.stdout.readline()))

    def clear(self):
        """Remove all that commands wrote."""
        for name in ("cache", "made"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "made").mkdir()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    Checkpoint.random(dcgan32(width=4), seed=0).save(folder / "tiny.safetensors")
    networks = load_checkpoint(folder / "tiny.safetensors").weights
    arrays = {f"{role}.{name}": array for role, state in networks.items() for name, array in state.items()}
    save_file(arrays, folder / "weights.safetensors")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(150):
        pixels = rng.integers(0, 256, (70, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number:03}.png", compress_level=1)
    program = Program(folder)
    program.clear()
    assert program(*COMMANDS["run"]).codes == [0]
    (folder / "made" / "run").rename(folder / "finished")
    yield program
    program.process.kill()
    program.process.communicate()


TRAINING = (
    *("train", "--dataset", "digits", "--limit", "32", "--out", "made/training"),
    *("--set", "architecture=dcgan32", "--set", "parameters.width=4", "--set", "batch_size=16"),
    *("--set", "epochs=2", "--set", "precision=float32"),
)
NETWORK = ("--checkpoint", "tiny.safetensors")
COMMANDS = {
    "extract": ("extract", *NETWORK, "--dataset", "digits", "--out", "made/stores"),
    "run": (
        *("run", "svm-cifar", *NETWORK, "--dataset", "digits", "--limit", "60", "--out", "made/run"),
        *("--set", "draws=1", "--set", "ablation=false", "--set", "protocol=paper", "--set", "C=[0.001]"),
    ),
    "train": TRAINING,
    "prepare": ("prepare", "photos", "--size", "32", "--out", "made/images"),
    "import": (
        *("import", "weights.safetensors", "--out", "made/imported"),
        *("--set", "architecture=dcgan32", "--set", "parameters.width=4"),
    ),
    "sample": ("sample", *NETWORK, "--n", "200", "--out", "made/samples.zip"),
}

OTHERS = {
    "card": ("card", "tiny.safetensors", "finished", "--out", "made/card.md"),
    "compare": ("compare", "finished", "finished", "--html", "made/page.html"),
    "dedup": ("dedup", "digits", "--steps", "2", "--limit", "20", "--out", "made/near.json"),
    "export": ("export", "finished", "--out", "made/rows.csv"),
    "new-plugin": ("new-plugin", "mine", "--out", "made/mine"),
    "sheet": ("sample", *NETWORK, "--n", "4", "--out", "made/sheet.png"),
    "arrays": ("sample", *NETWORK, "--n", "4", "--out", "made/arrays.npz"),
    "pictures": ("sample", *NETWORK, "--n", "4", "--out", "made/pictures/"),
    "table": ("table", "1", "--dataset", "digits", "--gather-only", "--out", "made/tables"),
}
WRITERS = COMMANDS | OTHERS


def words_of(kind, program):
    """Return the words of a command as they go on from what was made before."""
    resumable = kind == "train" and (program.folder / "made" / "training" / "state.safetensors").exists()
    return (*COMMANDS[kind], "--resume") if resumable else COMMANDS[kind]


def made(kind, program):
    """Return what a command made, as far as it must be the same: names, and bytes or numbers."""
    folder = program.folder / "made"
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if kind == "run":  # the time of day, and how long it took, stand in its documents
        return sorted(files), json.loads(files["run/result.json"].read_text())["metrics"]
    if kind in ("train", "import"):
        return sorted(files), [
            load_checkpoint(path).sha256()
            for path in files.values()
            if path.suffix == ".safetensors" and path.stem == "model"
        ]
    return {name: path.read_bytes() for name, path in files.items()}


@pytest.fixture(scope="module")
def undisturbed(program):
    """Return how long a command takes that nothing befalls, and what it makes; each is run once."""
    known = {}

    def undisturbed(kind):
        if kind not in known:
            program.clear()
            ends = program(*COMMANDS[kind])
            assert ends.codes == [0], ends.errors
            known[kind] = ends.seconds, made(kind, program)
        program.clear()
        return known[kind]

    return undisturbed


def litter(program):
    return [path for folder in (program.folder, *program.folder.rglob("*/")) for path in abandoned(folder)]


REFUSED = re.compile(r"is being written by|exists|already holds")


def one_line(error):
    return error.startswith("Error: ") and error.count("\n") == 1 and error.endswith("\n")


def check_it_goes_on(kind, program, expected):
    """Run a command that was ended; ended when all was made already, it may refuse to make it again."""
    ends = program(*words_of(kind, program))
    (code,), (error,) = ends.codes, ends.errors
    assert code == 0 or (code == 1 and one_line(error) and REFUSED.search(error)), error
    assert made(kind, program) == expected
    assert litter(program) == []


@pytest.mark.parametrize("kind", COMMANDS)
def test_after_kills_at_random_moments_a_command_makes_what_it_would_have_made(kind, program, undisturbed):
    seconds, expected = undisturbed(kind)
    moment, killed = random.Random(kind), 0
    for _ in range(3):
        ends = program(*words_of(kind, program), ended_by=signal.SIGKILL, after=moment.uniform(0, seconds))
        killed += ends.codes == [-signal.SIGKILL]
        if ends.codes == [0]:
            program.clear()
        else:
            assert ends.codes == [-signal.SIGKILL], ends.errors
    assert killed
    check_it_goes_on(kind, program, expected)


@pytest.mark.parametrize("kind", sorted(WRITERS.keys() - {"train"}))  # training/test_safety.py
def test_on_a_full_disk_a_command_says_so_in_one_line_and_leaves_nothing(kind, program):
    program.clear()
    ends = program(*WRITERS[kind], file_size=400)
    assert ends.codes == [1]
    assert one_line(ends.errors[0])
    assert "File too large" in ends.errors[0]
    left = [path for path in (program.folder / "made").rglob("*") if path.is_file()]
    assert all(path.parent.name == "images.part" for path in left)  # what prepare goes on from
    assert litter(program) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_where_nobody_may_write_a_command_says_so_in_one_line(kind, program):
    program.clear()
    program.folder.joinpath("made").chmod(0o555)
    ends = program(*WRITERS[kind], powerless=True)
    program.folder.joinpath("made").chmod(0o755)
    assert ends.codes == [1]
    assert one_line(ends.errors[0])
    assert "Permission denied" in ends.errors[0]
    assert "made" in ends.errors[0]
    assert list((program.folder / "made").iterdir()) == []


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_same_command_several_times_at_once_makes_what_one_makes(kind, program, undisturbed):
    expected = undisturbed(kind)[1]
    ends = program(*COMMANDS[kind], times=4)
    assert 0 in ends.codes
    for code, error in zip(ends.codes, ends.errors, strict=True):
        assert code == 0 or (code == 1 and one_line(error) and REFUSED.search(error)), error
    assert made(kind, program) == expected
    assert litter(program) == []


@pytest.mark.parametrize("kind", ["extract", "prepare", "import", "sample"])  # train: training/test_safety.py
def test_a_command_asked_to_stop_says_so_in_one_line_and_the_same_goes_on_from_there(kind, program, undisturbed):
    seconds, expected = undisturbed(kind)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        ends = program(*words_of(kind, program), ended_by=number, after=seconds / 2)
        if ends.codes == [0]:  # it was faster than the time before
            program.clear()
        elif ends.codes != [-signal.SIGHUP]:  # where the terminal is gone, nobody reads a line
            assert ends.codes == [128 + number]
            assert "\n" not in ends.errors[0].strip()
            assert litter(program) == []
    check_it_goes_on(kind, program, expected)


def test_a_training_under_torchrun_ends_within_a_minute_with_one_line_when_its_first_process_is_killed(program):
    program.clear()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port))
    process = subprocess.Popen(
        [sys.executable, *torchrun, "-m", "dcgan_analysis", *TRAINING, "--set", "epochs=500"],
        cwd=program.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "DCGAN_ANALYSIS_CACHE": str(program.folder / "cache")},
    )
    try:
        state = program.folder / "made" / "training" / "state.safetensors"
        while not state.exists() and process.poll() is None:
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        errors = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert not any(Path("/proc", child).exists() for child in children)
    # torchrun reports the kill, then ends the other process: that may come before its own line.
    assert len(re.findall(r"^Error: ", errors, re.M)) <= 1
    assert "exitcode  : -9" in errors
    assert 'File "/' not in errors.partition("torch/distributed/elastic")[0]
