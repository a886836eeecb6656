from __future__ import annotations

import pytest

from dcgan_analysis.core.locking import lock_path, writer_lock
from dcgan_analysis.errors import StoreError, TrainingError


def test_the_message_names_what_is_written(tmp_path):
    path = tmp_path / "state.safetensors"
    with (
        writer_lock(path, "Training 'faces'", TrainingError),
        pytest.raises(TrainingError, match=r"^Training 'faces' is being written by process \d+ on "),
        writer_lock(path, "Training 'faces'", TrainingError),
    ):
        pytest.fail("the lock was given twice")


def test_lock_is_refused_within_the_process_and_free_afterwards(tmp_path):
    path = tmp_path / "store.h5"
    with (
        writer_lock(path),
        pytest.raises(StoreError, match=r"is being written by process \d+ on "),
        writer_lock(path),
    ):
        pytest.fail("the lock was given twice")
    assert not lock_path(path).exists()
    with writer_lock(path):
        pass
