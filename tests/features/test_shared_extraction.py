"""Several processes, one store: equal to the store of a single process, whatever the number of processes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from dcgan_analysis.features.store import FeatureStore

PROGRAM = """
import sys, torch
from pathlib import Path
import numpy as np
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.core.distributed import process_group, rank
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.models import tables
from dcgan_analysis.features import layout
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.features.pipeline import Extraction

torch.set_num_threads(1)
layout._CHUNK_BYTES = 8 * 28 * 16 * 4
images = np.random.default_rng(0).integers(0, 256, (52, 1, 32, 32), dtype=np.uint8)
split = DatasetSplit(images, None, [str(i) for i in range(52)])
checkpoint = Checkpoint.random(tables.dcgan32_svhn(width=4, image_channels=1), seed=0)
spec = FeatureSpec(batchnorm_batch=8, precision="float32", dtype="float32")
with process_group():
    extraction = Extraction(checkpoint, spec, split, torch.device("cpu"), folder=Path(sys.argv[1]))
    path = extraction.store("train", split).path
    # A file for each process: what two processes print at once may run together.
    Path(sys.argv[1], f"told-{rank()}").write_text(f"{path}\\n{extraction.forward_images}")
    # A second call: every process finds the store.
    again = Extraction(checkpoint, spec, split, torch.device("cpu"), folder=Path(sys.argv[1]))
    again.store("train", split)
    assert again.forward_images == 0
"""


def launch(folder, processes):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(program), str(folder)], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [(folder / f"told-{rank}").read_text().split("\n") for rank in range(processes)]
    (path,) = {path for path, _ in told}
    return FeatureStore(path), sorted(int(images) for _, images in told)


@pytest.mark.slow
def test_two_processes_share_the_work_and_write_the_store_that_one_writes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    alone, everything = launch(tmp_path / "one", 1)
    together, shares = launch(tmp_path / "two", 2)

    # 48 images for the statistics, in whole batches, and 52 rows in chunks of 8.
    assert everything == [48 + 52]
    assert shares == [24 + 24, 24 + 28]
    assert alone.key == together.key
    np.testing.assert_array_equal(together.numpy(), alone.numpy())
    together.verify()


def test_gathering_in_one_process_changes_nothing():
    from dcgan_analysis.core.distributed import agreed, gather_interleaved, rank, share, world_size

    rows = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(gather_interleaved(rows, 3), rows)
    assert (rank(), world_size(), agreed("mine"), share([1, 2, 3])) == (0, 1, "mine", [1, 2, 3])
