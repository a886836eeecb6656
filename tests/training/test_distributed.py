"""Two processes on this machine (gloo) train one pair of networks."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys

import pytest
import torch

from dcgan_analysis.errors import TrainingError
from dcgan_analysis.training.distributed import SINGLE, Processes

TRAINING = """
import pickle, signal, sys
import torch
from dcgan_analysis.errors import TrainingStopped
from dcgan_analysis.training import Trainer, trainer as module
from dcgan_analysis.training.distributed import process_group

class AskedToStop(Trainer):
    at = None
    def _one_step(self, batch):
        if self.step == self.at and self.processes.rank == 1:
            signal.raise_signal(signal.SIGTERM)
        return super()._one_step(batch)

module._LOOK_EVERY = 2

torch.set_num_threads(1)
with open(sys.argv[1], "rb") as file:
    runs = pickle.load(file)
with process_group(torch.device("cpu")) as (processes, device):
    assert processes.count == 2
    for at, config, architecture, split, folder in runs:
        trainer = AskedToStop(config, architecture, split, folder, device, processes)
        trainer.at = at
        trainer.resume()
        try:
            trainer.run()
        except TrainingStopped as stopped:
            assert trainer.step == at + 1
            assert "torchrun" in str(stopped)
        else:
            assert at is None
"""


@pytest.fixture
def train_together(tmp_path):
    """Let two processes do trainings one after another.

    Each is given as a trainer and the step in which the second process is asked to stop, or None.
    """

    def train(*trainings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        runs = [(at, each.config, each.architecture, each.split, each.folder) for each, at in trainings]
        (tmp_path / "runs").write_bytes(pickle.dumps(runs))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "error", "-c", TRAINING, str(tmp_path / "runs")]
        started = [
            subprocess.Popen(
                command, env=os.environ | address | {"RANK": rank, "LOCAL_RANK": rank}, stderr=-1, text=True
            )
            for rank in "01"
        ]
        try:
            for process in started:
                errors = process.communicate(timeout=200)[1]
                assert process.returncode == 0, errors
        finally:
            for process in started:
                process.kill()

    return train


def restored(trainer):
    assert trainer.resume()
    return trainer


@pytest.mark.slow
def test_two_processes_do_what_one_does_stop_together_and_resume_to_the_bit(make_trainer, everything, train_together):
    settings = {"sync_batchnorm": True, "ema": 0.9, "mirror": True, "diff_augment": ["translation"]}
    alone = make_trainer("alone", epochs=2, **settings)
    alone.run()

    train_together(
        (make_trainer("together", epochs=2, **settings), None),
        # Both ask each other after every step, also between two looks at the losses: one was asked to stop.
        (make_trainer("parts", epochs=2, **settings), 4),
        (make_trainer("parts", epochs=2, **settings), None),
    )

    together = restored(make_trainer("together", epochs=2, **settings))
    parts = restored(make_trainer("parts", epochs=2, **settings))
    assert together.step == parts.step == alone.step == 8
    for name, value in everything(together).items():
        assert torch.equal(value, everything(parts)[name]), name
    # One process normalises the same images and averages the same gradients, in another order of summation.
    for role in ("generator", "discriminator"):
        ours, theirs = getattr(together.pair, role), getattr(alone.pair, role)
        moved = [(p - q).abs().max() for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
        # Eight steps of Adam move a weight by up to 8 x 2e-4.
        assert max(moved) < 2e-4, (role, max(moved))
    rows = [trainer.history[-1] for trainer in (together, alone)]
    assert rows[0]["discriminator_loss"] == pytest.approx(rows[1]["discriminator_loss"], rel=1e-3)
    assert rows[0]["real_probability"] == pytest.approx(rows[1]["real_probability"], rel=1e-3)


@pytest.mark.parametrize("flag", [False, True])
def test_a_process_that_is_alone_knows_its_flag_without_waiting_for_the_device(flag, monkeypatch):
    monkeypatch.setattr(torch, "tensor", None)
    assert SINGLE.any(flag, torch.device("cpu")) is flag


def test_processes_share_a_minibatch_without_rest():
    rows = [Processes(rank, 4).rows(128) for rank in range(4)]

    assert [i for part in rows for i in range(128)[part]] == list(range(128))
    assert SINGLE.rows(128) == slice(0, 128)


@pytest.mark.parametrize(("batch_size", "count"), [(128, 3), (4, 4)])
def test_unequal_or_single_shares_are_refused(batch_size, count):
    with pytest.raises(
        TrainingError, match=rf"^batch_size {batch_size} cannot be shared by {count} processes: it must be a multiple"
    ):
        Processes(0, count).rows(batch_size)
