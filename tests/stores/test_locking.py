from __future__ import annotations

import pytest
import torch

from dcgan_analysis.errors import StoreError
from dcgan_analysis.stores.locking import lock_path, writer_lock


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


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_second_writer_is_told_who_holds_the_store(start_writer, open_writer, tmp_path):
    path = tmp_path / "store.h5"
    process = start_writer(path)
    message = f"is being written by process {process.pid} on .* since .*Wait for it, or stop it"
    with pytest.raises(StoreError, match=message), open_writer(path):
        pytest.fail("two writers")
    process.kill()
    process.join()
    assert lock_path(path).exists()
    with open_writer(path) as writer:
        assert len(writer.missing) == 5
        writer.write(0, torch.zeros(23, 80))
