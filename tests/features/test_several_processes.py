"""Several processes on this machine (gloo) write the store that one writes; all come to every meeting, however few
chunks there are.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from dcgan_analysis.core.distributed import agreed, gather_interleaved, rank, share, world_size
from dcgan_analysis.features.store import FeatureStore

# Name -> how many processes, which of them is killed while it computes features, what they do in turn.
TASKS = {
    "alone": (1, None, [("train", 52), ("again", 52)]),
    "together": (2, None, [("train", 52), ("again", 52)]),
    "one chunk, 2 processes": (2, None, [("one", 5)]),
    "one chunk, 3 processes": (3, None, [("one", 5)]),
    "one chunk, 4 processes": (4, None, [("one", 5)]),
    "after a finished split": (3, None, [("train", 40), ("again", 40), ("one", 5), ("two", 16)]),
    "first killed": (3, 0, [("train", 40)]),
    "second killed": (3, 1, [("train", 40)]),
}

# One interpreter imports torch, then becomes as many processes as each task asks for.
PROCESSES = """
import json, os, signal, socket, sys, time
import numpy as np, torch
from pathlib import Path
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.core.distributed import process_group, rank
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.features import layout, pipeline
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.models.tables import dcgan32_svhn

layout._CHUNK_BYTES = 8 * (4 + 8 + 16) * 16 * 4  # 8 rows


def split(n):
    images = np.random.default_rng(n).integers(0, 256, (n, 1, 32, 32), dtype=np.uint8)
    return DatasetSplit(images=images, labels=np.arange(n) % 2, ids=[str(i) for i in range(n)], classes=["a", "b"],
                        source="random")


def work(folder, killed, steps):
    checkpoint = Checkpoint.random(dcgan32_svhn(width=4, image_channels=1), seed=0)
    spec = FeatureSpec(batchnorm_batch=8, precision="float32", dtype="float32")
    cpu = torch.device("cpu")

    def progress(what, done, total):
        if rank() == killed and "features of" in what:
            os.kill(os.getpid(), signal.SIGKILL)

    extraction = pipeline.Extraction(checkpoint, spec, split(40), cpu, folder=folder, progress=progress)
    for name, n in steps:
        if name == "again":  # statistics are not there yet, and the first split needs none
            name, extraction = "train", pipeline.Extraction(checkpoint, spec, split(40), cpu, folder=folder)
        extraction.store(name, split(n))
        with folder.joinpath(f"forward-{rank()}").open("a") as file:
            file.write(f"{extraction.forward_images}\\n")


def start(number, errors, *arguments):
    child = os.fork()
    if child:
        return child
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number)}
    code = 0
    try:
        with process_group(gpus=False):
            work(*arguments)
    except DcganAnalysisError as error:
        errors.joinpath(str(number)).write_text(str(error))
        code = 1
    finally:
        os._exit(code)


def end(child, until):
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "never ended"


outcomes = {}
for name, (count, killed, steps) in json.loads(sys.argv[2]).items():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    folder = Path(sys.argv[1]) / name
    errors = folder / "errors"
    errors.mkdir(parents=True)
    children = [start(number, errors, folder, killed, steps) for number in range(count)]
    until = time.monotonic() + 50
    ends = [end(child, until) for child in children]
    outcomes[name] = (ends, {path.name: path.read_text() for path in errors.iterdir()})
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Let processes do every task; returns the folder, and of each task how they ended and which errors they named."""
    folder = tmp_path_factory.mktemp("several")
    command = [sys.executable, "-c", PROCESSES, str(folder), json.dumps(TASKS)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def stores(folder):
    return [FeatureStore(path) for path in sorted((folder / "features").glob("*.h5"))]


def rows(folder):
    """Return how many rows each complete store has, every number of it read."""
    return {store.split: len(store.numpy()) for store in stores(folder)}


def forward_images(folder, number):
    """Return how many images a process had sent through the network after each of its steps."""
    return [int(line) for line in (folder / f"forward-{number}").read_text().split()]


def test_two_processes_share_the_work_and_write_the_store_that_one_writes(outcomes):
    folder, ended = outcomes
    assert (ended["alone"], ended["together"]) == ([[0], {}], [[0, 0], {}])
    # 40 images for the statistics in batches of 8, and 52 rows in chunks of 8; the second time the store is there.
    assert forward_images(folder / "alone", 0) == [40 + 52, 0]
    assert [forward_images(folder / "together", number) for number in range(2)] == [[24 + 28, 0], [16 + 24, 0]]
    (alone,), (together,) = stores(folder / "alone"), stores(folder / "together")
    assert alone.key == together.key
    np.testing.assert_array_equal(together.numpy(), alone.numpy())
    together.verify()


def test_gathering_in_one_process_changes_nothing():
    rows = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(gather_interleaved(rows, 3), rows)
    assert (rank(), world_size(), agreed("mine"), share([1, 2, 3])) == (0, 1, "mine", [1, 2, 3])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_split_of_one_chunk_is_extracted_by_more_processes_than_chunks(outcomes, count):
    folder, ended = outcomes
    name = f"one chunk, {count} processes"
    assert ended[name] == [[0] * count, {}]
    assert rows(folder / name) == {"one": 5}


def test_small_splits_are_extracted_after_one_that_was_done_before(outcomes):
    folder, ended = outcomes
    assert ended["after a finished split"] == [[0, 0, 0], {}]
    assert rows(folder / "after a finished split") == {"train": 40, "one": 5, "two": 16}


@pytest.mark.parametrize(("name", "killed"), [("first killed", 0), ("second killed", 1)])
def test_where_one_process_is_killed_the_others_end_within_a_minute_with_one_line(outcomes, name, killed):
    ends, errors = outcomes[1][name]
    assert ends == [-signal.SIGKILL if number == killed else 1 for number in range(3)]
    assert len(errors) == 2
    for number, error in errors.items():
        assert error == (
            f"Process {number} cannot go on: another of the 3 processes ended or does not answer. Its own message, "
            "where it left one, says why. What is finished is kept: start the same command again."
        )
