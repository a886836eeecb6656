from __future__ import annotations

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.mnist_nn import search
from dcgan_analysis_plugins.mnist_nn.generated import GeneratedSamples
from dcgan_analysis_plugins.mnist_nn.images import ImageSamples
from dcgan_analysis_plugins.mnist_nn.search import nearest_samples
from dcgan_analysis_plugins.mnist_nn.source import BLOCK

from dcgan_analysis.errors import AnalysisError

CPU = torch.device("cpu")
COUNTS = (100, BLOCK, BLOCK + 250, 4 * BLOCK)


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    monkeypatch.setattr(search, "_ROUND", BLOCK)
    monkeypatch.setattr(search, "_GROUP", BLOCK)


@pytest.fixture
def queries():
    return np.random.default_rng(0).integers(90, 160, (20, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def look(queries, conditional, tmp_path):
    def look(counts=COUNTS, **options):
        settings = {"device": CPU, "folder": tmp_path} | options
        return nearest_samples(queries, GeneratedSamples(conditional, 0, CPU), counts, **settings)

    return look


def brute_force(queries, conditional, counts):
    source = GeneratedSamples(conditional, 0, CPU)
    samples = np.concatenate([source.images(number) for number in range(-(-max(counts) // BLOCK))]).astype(np.int64)
    distances = ((queries[:, None].astype(np.int64) - samples) ** 2).sum((2, 3, 4))
    return [(distances[:, :n].argmin(1), distances[:, :n].min(1)) for n in counts]


def assert_same(found, expected):
    for index, distance, (right_index, right_distance) in zip(found.index, found.distance, expected, strict=True):
        np.testing.assert_array_equal(index, right_index)
        np.testing.assert_array_equal(distance, right_distance)


class Killed(Exception):
    pass


def killed_at(samples):
    def progress(what, done, total):
        if done == samples:
            raise Killed

    return progress


def test_one_pass_answers_for_all_counts(look, queries, conditional):
    found = look()
    assert (found.counts, found.resumed) == (COUNTS, 0)
    assert_same(found, brute_force(queries, conditional, COUNTS))


def test_groups_of_blocks_change_nothing(look, queries, conditional, monkeypatch):
    monkeypatch.setattr(search, "_GROUP", 3 * BLOCK)
    assert_same(look(), brute_force(queries, conditional, COUNTS))


def test_a_killed_search_goes_on_from_what_was_saved(look, queries, conditional):
    with pytest.raises(Killed):
        look(save_seconds=0, progress=killed_at(2 * BLOCK + 750))
    found = look()
    assert found.resumed == BLOCK + 250 + BLOCK  # the save before the one that the kill prevented
    assert_same(found, brute_force(queries, conditional, COUNTS))


def test_a_longer_search_goes_on_from_a_shorter_one(look, queries, conditional):
    look(counts=(100, BLOCK))
    found = look()
    assert found.resumed == BLOCK
    assert_same(found, brute_force(queries, conditional, COUNTS))
    assert look().resumed == 4 * BLOCK


def test_a_count_that_was_passed_unrecorded_is_searched_anew(look, queries, conditional):
    look(counts=(BLOCK,))
    found = look(counts=(200, BLOCK))
    assert found.resumed == 0
    assert_same(found, brute_force(queries, conditional, (200, BLOCK)))


def test_another_version_or_other_images_do_not_go_on_with_an_old_search(
    look, queries, conditional, tmp_path, monkeypatch
):
    look()
    other = nearest_samples(queries[::-1], GeneratedSamples(conditional, 0, CPU), COUNTS, device=CPU, folder=tmp_path)
    assert other.resumed == 0
    monkeypatch.setattr(search, "SEARCH_VERSION", search.SEARCH_VERSION + 1)
    assert look().resumed == 0


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", b"something else"])
def test_a_damaged_state_is_no_obstacle(look, tmp_path, damage):
    look(counts=(BLOCK,))
    (state,) = (tmp_path / "neighbours").glob("*.npz")
    state.write_bytes(damage)
    assert look(counts=(BLOCK,)).resumed == 0


def test_samples_of_another_shape_are_refused(conditional, tmp_path):
    queries = np.zeros((2, 1, 28, 28), np.uint8)
    with pytest.raises(AnalysisError, match=r"Samples have the shape \(1, 8, 8\), .* \(1, 28, 28\)"):
        nearest_samples(queries, GeneratedSamples(conditional, 0, CPU), (10,), device=CPU, folder=tmp_path)


def test_more_samples_than_there_are_images_are_refused(queries, split, tmp_path):
    with pytest.raises(AnalysisError, match="Numbers of samples must be 1 to 11, got 5, 12"):
        nearest_samples(queries, ImageSamples(split, 0), (5, 12), device=CPU, folder=tmp_path)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np, torch
from dcgan_analysis import load_checkpoint
from dcgan_analysis.core.distributed import divided, process_group
from dcgan_analysis_plugins.mnist_nn import search
from dcgan_analysis_plugins.mnist_nn.generated import GeneratedSamples
from dcgan_analysis_plugins.mnist_nn.search import nearest_samples
search._ROUND = search._GROUP = 500
cpu, folder = torch.device("cpu"), Path(sys.argv[1])
with process_group() as leader:
    source = GeneratedSamples(load_checkpoint(folder / "tiny.safetensors"), 0, cpu)
    queries = np.load(folder / "queries.npy")
    found = nearest_samples(queries, source, (100, 500, 750, 2000), device=cpu, folder=folder)
    name = "leader" if leader else "other"
    who = divided([lambda number=number: (number, leader) for number in range(3)])
    np.savez(folder / f"{name}.npz", index=found.index, distance=found.distance, resumed=found.resumed, who=who)
"""


@pytest.mark.slow
def test_two_processes_find_what_one_finds_and_go_on_from_what_one_saved(look, queries, conditional, tmp_path):
    look(counts=(100, BLOCK))
    conditional.save(tmp_path / "tiny.safetensors")
    np.save(tmp_path / "queries.npy", queries)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    workers = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], env=os.environ | group | {"RANK": str(number)})
        for number in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    expected = brute_force(queries, conditional, COUNTS)
    for name in ("leader", "other"):
        with np.load(tmp_path / f"{name}.npz") as found:
            assert found["resumed"] == BLOCK
            assert found["who"].tolist() == [[0, True], [1, False], [2, True]]
            np.testing.assert_array_equal(found["index"], [index for index, _ in expected])
            np.testing.assert_array_equal(found["distance"], [distance for _, distance in expected])
