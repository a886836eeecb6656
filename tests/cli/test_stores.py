"""``extract`` and ``cache``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcgan_analysis.features.outcomes import keep_outcome
from dcgan_analysis.features.store import FeatureStore

FAST = ("--dataset", "toy-images", "--set", "taps=['conv1', 'conv2']", "--set", "batchnorm_batch=20")


@pytest.fixture
def extract(cli, checkpoint_file):
    def extract(*words):
        return cli("extract", "--checkpoint", checkpoint_file, *FAST, *words)

    return extract


def test_a_second_extraction_makes_no_forward_pass_and_says_so(extract):
    first, second = extract().assert_success(), extract().assert_success()
    assert "150 images through the network" in first.err
    assert second.err.count("no forward pass") == 1
    assert "through the network" not in second.err
    assert second.out == first.out


def test_all_splits_are_extracted_by_default(extract, tmp_path):
    lines = extract("--out", tmp_path / "stores").assert_success().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["train", "test"]
    assert lines[1].split(": ")[1].startswith("30 x 256 ")
    assert all(str(tmp_path / "stores") in line for line in lines)


def test_json_names_the_stores(extract):
    paths = extract("--split", "test", "--json").assert_success().json()
    assert list(paths) == ["test"]
    store = FeatureStore(Path(paths["test"]))
    assert store.shape == (30, 256)


def test_another_setting_makes_another_store(extract):
    paths = {extract("--split", "test", "--set", f"grid={grid}", "--json").json()["test"] for grid in (2, 4)}
    assert len(paths) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "tap=['conv1']"], "Unknown setting 'tap'. Did you mean 'taps'?"),
        (["--set", "taps=['conv9']"], "Unknown tap 'conv9'. Did you mean "),
        (["--split", "validation"], "has no split 'validation', only: train, test."),
    ],
)
def test_wrong_input_is_named(words, message, extract, complains):
    complains(extract(*words), message)


def test_images_of_another_shape_are_refused(cli, tmp_path, complains):
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.models.tables import dcgan64

    Checkpoint.random(dcgan64(width=4), seed=0).save(tmp_path / "large.safetensors")
    complains(cli("extract", "--checkpoint", "large.safetensors", "--dataset", "toy-images"), "32", "64")


def test_the_cache_lists_its_stores(cli, store_file):
    out = cli("cache", "ls").assert_success().out
    assert Path(store_file).name in out
    assert "1 stores" in out
    assert "dcgan32" in out


def test_an_empty_cache_lists_nothing(cli):
    assert "0 stores, 0.00 GB in " in cli("cache", "ls").assert_success().out


def test_the_cache_lists_what_else_is_kept(cli, store_file):
    keep_outcome("trials", {"a": 1}, {"x": np.zeros(500_000, np.float32)})
    out = cli("cache", "ls").assert_success().out
    assert any(line.split()[:4] == ["trials", "1", "2.0", "MB"] for line in out.splitlines())
    assert "1 stores and 1 other files, " in out


def test_a_damaged_store_is_listed_with_its_problem(cli, store_file):
    Path(store_file).write_bytes(b"no HDF5")
    assert Path(store_file).name in cli("cache", "ls").assert_success().out


def test_explain_compares_with_the_nearest_other_store(cli, store_file, extract):
    alone = cli("cache", "explain", Path(store_file).name).assert_success().out
    assert "There is no other store to compare with." in alone
    extract("--split", "test").assert_success()
    out = cli("cache", "explain", store_file).assert_success().out
    assert "Nearest other store: " in out
    assert "taps: " in out.partition("it differs in")[2]
    assert "dataset_sha256" not in out.partition("it differs in")[2]


def test_explain_of_a_store_that_is_not_there(cli, complains):
    complains(cli("cache", "explain", "absent.h5"), "absent.h5")


def test_garbage_collection_removes_what_does_not_fit(cli, store_file):
    assert cli("cache", "gc").assert_success().out == "0 files removed\n"
    assert cli("cache", "gc", "--older-than", "1").assert_success().out == "0 files removed\n"
    for wrong in ("nan", "inf", "-1", "1e300"):
        refused = cli("cache", "gc", "--max-gb", wrong)
        assert (refused.exit_code, "is not in the range" in refused.err) == (2, True)
    out = cli("cache", "gc", "--max-gb", "0").assert_success().out
    assert out == f"removed {Path(store_file).name}\n1 files removed\n"
    assert not Path(store_file).exists()
