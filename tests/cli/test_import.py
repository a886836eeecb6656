from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import save_file

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.tables import dcgan32

SETTINGS = ("--set", "architecture=dcgan32", "--set", "parameters.width=4", "--set", "parameters.z_size=6")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A safetensors file of a small ``dcgan32``; checkpoints by name are looked for in ``tmp_path``."""
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    checkpoint = Checkpoint.random(dcgan32(width=4, z_size=6), seed=1)
    arrays = {f"{role}.{name}": tensor for role, state in checkpoint.weights.items() for name, tensor in state.items()}
    save_file(arrays, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_a_name_can_be_used_from_then_on(weights, cli, tmp_path):
    done = cli(
        "import", "safetensors", weights, "--out", "mine", *SETTINGS, "--set", "data.name=birds"
    ).assert_success()
    path = tmp_path / "checkpoints" / "mine" / "model.safetensors"
    assert done.out == f"{path}\n"
    assert "dcgan32 (width 4, z_size 6" in done.err
    shown = cli("show", "mine", "--json").assert_success().json()
    assert (shown["architecture"], shown["data"]) == ("dcgan32", {"name": "birds"})
    assert shown["provenance"]["format"] == "safetensors"


def test_a_path_with_a_slash_is_a_folder(weights, cli, tmp_path):
    cli("import", "safetensors", weights, "--out", "./there", *SETTINGS).assert_success()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["model.safetensors"]


def test_nothing_is_overwritten(weights, cli):
    for out, message in (
        ("mine", "Checkpoint name 'mine' is taken by"),
        ("./there", "'there' already holds a checkpoint"),
    ):
        first = ("import", "safetensors", weights, "--out", out, *SETTINGS)
        cli(*first).assert_success()
        again = cli(*first)
        assert (again.exit_code, again.out) == (1, "")
        assert message in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("theanos", "x", "--out", "mine"), "Error: Unknown importer 'theanos'. Did you mean 'theano'? Available:"),
        (("theano", "x", "--out", "mine"), "Error: Theano weights 'x' are no folder."),
        (("theano", ".", "--out", "mine"), "Error: Folder '.' holds no arrays of the authors' code"),
        (("theano", "x", "--out", "-mine"), "Error: Checkpoint name '-mine' must begin with a letter or digit"),
        (("pytorch", "x", "--out", "mine"), "Error: PyTorch weights 'x' do not exist."),
        (("pytorch", "weights.safetensors", "--out", "mine"), "is no state dict of the 64x64 DCGAN example"),
        (("safetensors", "x", "--out", "mine", *SETTINGS), "Error: Safetensors file 'x' does not exist."),
        (
            ("safetensors", "x", "--out", "mine", "--set", "z_prior=cauchy"),
            "Error: z_prior: must be 'uniform' or 'normal'",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, message, weights, cli, tmp_path):
    outcome = cli("import", *words)
    assert (outcome.exit_code, outcome.out) == (1, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "checkpoints").exists()


def test_what_is_no_array_is_one_line_too(cli, tmp_path):
    np.save(tmp_path / "1_gen_params.jl_01.npy", np.array([print], dtype=object), allow_pickle=True)
    outcome = cli("import", "theano", tmp_path, "--out", "./x")
    assert outcome.exit_code == 1
    assert outcome.err.startswith("Error: Array file '")
    assert "hides code" in outcome.err
    assert outcome.err.count("\n") == 1


def test_importers_are_listed(cli):
    rows = cli("list", "importers", "--json").assert_success().json()["importers"]
    assert [row["name"] for row in rows] == ["pytorch", "safetensors", "theano"]
