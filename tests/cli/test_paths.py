"""``show``, ``verify`` and ``compare``: what a path holds, and whether it is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from dcgan_analysis.api.result import Result
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.core import files


def test_a_checkpoint_is_shown_layer_by_layer(cli, checkpoint_file, tiny_checkpoint):
    out = cli("show", checkpoint_file).assert_success().out
    assert tiny_checkpoint.sha256() in out
    assert "conv1" in out
    assert "deconv1" in out
    assert "Guidelines of the paper" in out
    parameters = sum(p.numel() for p in tiny_checkpoint.generator().parameters())
    assert f"{parameters:,}" in out


def test_a_checkpoint_as_json(cli, checkpoint_file, tiny_checkpoint):
    document = cli("show", checkpoint_file, "--json").assert_success().json()
    assert document["sha256"] == tiny_checkpoint.sha256()
    assert document["architecture"] == "dcgan32"


def test_a_checkpoint_is_found_by_name_and_by_folder(cli, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path))
    tiny_checkpoint.save(tmp_path / "mine" / "model.safetensors")
    for what in ("mine", tmp_path / "mine"):
        assert cli("show", what, "--json").assert_success().json()["sha256"] == tiny_checkpoint.sha256()


def test_a_store_is_shown_with_its_key(cli, store_file):
    out = cli("show", store_file).assert_success().out
    assert "30 x 128" in out
    assert "conv1 128" in out
    document = cli("show", store_file, "--json").assert_success().json()
    assert document["shape"] == [30, 128]
    assert document["sha256"] in out
    assert document["key"]["split"] == "test"


def test_a_run_is_shown_as_it_was_printed(cli, run_folder):
    assert "brightness" in cli("show", run_folder).assert_success().out
    assert cli("show", run_folder / "result.json", "--json").assert_success().json()["analysis"] == "toy"


def test_what_is_whole_is_said_to_be(cli, checkpoint_file, store_file, run_folder):
    for path, text in (
        (checkpoint_file, "checkpoint, dcgan32, sha256 "),
        (store_file, "feature store, 30 x 128, key "),
        (run_folder, "run of toy, 1 file, headline brightness"),
    ):
        assert cli("verify", path).assert_success().out.startswith(f"{path}: OK, no damage found ({text}")


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_truncated_file_is_named(command, cli, checkpoint_file, store_file, complains, tmp_path):
    for path in (str(checkpoint_file), store_file):
        broken = tmp_path / f"broken{path[path.rindex('.') :]}"
        with open(path, "rb") as stream:  # noqa: PTH123 - both strings and paths
            broken.write_bytes(stream.read()[:-2000])
        complains(cli(command, broken), str(broken))


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_foreign_file_or_folder_is_named(command, cli, complains, tmp_path):
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    complains(cli(command, "notes.txt"), "notes.txt")
    complains(cli(command, "folder"), "Folder 'folder' is neither a run (result.json) nor a checkpoint")


def test_weights_that_are_not_finite_are_found(cli, tiny_checkpoint, complains, tmp_path):
    state = dict(tiny_checkpoint.weights["discriminator"])
    name = next(iter(state))
    state[name] = state[name] * float("nan")
    spoilt = Checkpoint("bad", tiny_checkpoint.architecture, {"discriminator": state}, tiny_checkpoint.metadata)
    spoilt.save(tmp_path / "bad.safetensors")
    complains(
        cli("verify", "bad.safetensors"),
        f"Checkpoint file 'bad.safetensors': tensor 'discriminator.{name}'",
        "not finite",
    )


def test_a_flipped_byte_in_a_store_is_found(cli, store_file, complains):
    import h5py

    with h5py.File(store_file, "r+") as file:
        features = next(each for each in (file["features"], *file.values()) if isinstance(each, h5py.Dataset))
        features[3] = 0 * features[3]
    complains(cli("verify", store_file), store_file)


@pytest.mark.parametrize("name", ["report.html", "result.json"])
def test_a_run_that_lost_a_file_is_not_whole(name, cli, run_folder, complains):
    (run_folder / name).unlink()
    complains(cli("verify", run_folder), name)


def test_runs_are_compared_with_what_differs(cli, run_folder, tmp_path):
    cli("run", "toy", "--out", "other", "--set", "label=longer", "--seed", "4").assert_success()
    outcome = cli("compare", run_folder, "other").assert_success()
    assert "label" in outcome.out
    assert "longer" in outcome.out
    table = cli("compare", run_folder, "other", "--json").assert_success().json()
    assert len(table["columns"]) == 3
    assert any("label" in str(row[0]) for row in table["rows"])


def test_verify_says_what_ended_processes_left_beside_a_run(cli, run_folder):
    left = Path(run_folder).absolute().parent / f".one.99999999-{files._host()}-01234567.part"
    left.mkdir()
    out = cli("verify", run_folder).assert_success().out
    assert "Beside it, processes that ended left an unfinished file or folder;" in out
    left.rmdir()
    assert "Beside it" not in cli("verify", run_folder).assert_success().out


def test_verify_says_what_a_killed_run_left_where_there_is_nothing_else(cli, tmp_path):
    (tmp_path / f".killed.99999999-{files._host()}-01234567.part").mkdir()
    outcome = cli("verify", tmp_path / "killed")
    assert outcome.exit_code == 1
    assert outcome.out == (
        "Beside it, processes that ended left an unfinished file or folder; the next command that writes there removes "
        "that.\n"
    )
    assert "does not exist" in outcome.err


READERS = {
    "show": ["show", "finished"],
    "show --json": ["show", "finished/result.json", "--json"],
    "compare": ["compare", "other", "finished"],
    "compare --html": ["compare", "other", "finished", "--html", "page.html"],
    "export": ["export", "other", "finished"],
    "card": ["card", "tiny.safetensors", "finished", "--out", "card.md"],
    "verify": ["verify", "finished"],
}


@pytest.mark.parametrize("name", ["result.json", "report.html", "figures/curve.png"])
def test_every_command_refuses_a_run_in_which_a_byte_was_changed(
    name, cli, run_folder, checkpoint_file, complains, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = Result.load(Path(run_folder))
    (Path(run_folder) / "figures").mkdir()
    Image.new("RGB", (2, 2)).save(Path(run_folder) / "figures" / "curve.png")
    result.save(Path(run_folder))
    shutil.copytree(run_folder, "other")
    path = Path(run_folder) / name
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    for words in READERS.values():
        complains(cli(*words), "finished", "is damaged")
    assert not Path("page.html").exists()
    assert not Path("card.md").exists()
