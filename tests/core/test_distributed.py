"""The group of processes that torchrun describes; what several processes do together is tested where they do it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import torch
from torch import distributed

from dcgan_analysis.core.distributed import divided, is_leader, process_group, rank, world_size
from dcgan_analysis.training.distributed import SINGLE
from dcgan_analysis.training.distributed import process_group as training_group

CPU = torch.device("cpu")


@pytest.fixture
def joined(monkeypatch):
    """Record how a group is joined, and join none."""
    calls = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "init_process_group", lambda backend, timeout: calls.append((backend, timeout)))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: calls.append("left"))
    return calls


def test_without_torchrun_nothing_is_joined(joined, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE")
    with process_group() as leader:
        assert leader
    with training_group(CPU) as (processes, device):
        assert (processes, device) == (SINGLE, CPU)
    assert joined == []


def test_a_training_waits_longer_and_joins_by_the_device_it_computes_on(joined, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a GPU that nobody asked for
    with training_group(CPU):
        pass
    assert joined == [("gloo", timedelta(hours=2)), "left"]


def test_the_group_is_left_when_the_block_fails(joined):
    with pytest.raises(ZeroDivisionError), process_group(gpus=False):
        divmod(1, 0)
    assert joined == [("gloo", None), "left"]


def test_a_group_that_stands_is_neither_joined_again_nor_left(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        with process_group() as leader, training_group(CPU) as (processes, _):
            assert leader
            assert processes == SINGLE
        assert distributed.is_initialized()
        assert (rank(), world_size(), is_leader()) == (0, 1, True)
    finally:
        distributed.destroy_process_group()


def test_one_process_does_all_pieces_in_order():
    done = []
    assert divided([lambda: done.append(1) or "a", lambda: done.append(2) or "b"]) == ["a", "b"]
    assert done == [1, 2]
    assert divided([]) == []


@pytest.mark.parametrize("number", [0, 1])
def test_each_of_two_processes_does_its_pieces_and_gets_all_results(number, monkeypatch):
    def all_gather(found, mine):
        found[:] = [["0", "2"], ["1"]]
        assert mine == found[number]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "get_rank", lambda: number)
    monkeypatch.setattr(distributed, "all_gather_object", all_gather)
    assert divided([lambda: "0", lambda: "1", lambda: "2"]) == ["0", "1", "2"]
