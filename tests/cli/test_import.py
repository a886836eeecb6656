from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.importers import sanity
from dcgan_analysis.models.tables import dcgan32, dcgan32_svhn

SETTINGS = ("--set", "architecture=dcgan32", "--set", "parameters.width=4", "--set", "parameters.z_size=6")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A safetensors file of a small ``dcgan32``; checkpoints by name are looked for in ``tmp_path``."""
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    checkpoint = Checkpoint.random(dcgan32(width=4, z_size=6), seed=1)
    arrays = {f"{role}.{name}": tensor for role, state in checkpoint.weights.items() for name, tensor in state.items()}
    save_file(arrays, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Two state dicts, one file each, of a small network."""
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    checkpoint = Checkpoint.random(dcgan32_svhn(width=4, z_size=6), seed=1)
    paths = []
    for role, name in (("generator", "netG.pth"), ("discriminator", "netD.pth")):
        torch.save(dict(checkpoint.weights[role]), tmp_path / name)
        paths.append(tmp_path / name)
    return paths


def test_two_files_become_one_checkpoint_that_can_be_used_by_name(networks, cli, tmp_path):
    done = cli("import", *networks, "--out", "mine", "--set", "data.name=birds").assert_success()
    folder = tmp_path / "checkpoints" / "mine"
    assert done.out.endswith(f"{folder / 'model.safetensors'}\n")
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "samples.png"]
    shown = cli("show", "mine", "--json").assert_success().json()
    assert (shown["architecture"], shown["data"]) == ("layers", {"name": "birds"})
    assert shown["provenance"]["format"] == "pytorch"
    assert set(shown["provenance"]["files"]) == {"netG.pth", "netD.pth"}


def test_an_import_that_ends_before_all_is_written_has_made_no_checkpoint_and_can_be_repeated(
    networks, cli, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sanity, "save_samples", stop)
        assert cli("import", *networks, "--out", "mine").exit_code == 130
    assert not list(tmp_path.rglob("model.safetensors"))
    cli("import", *networks, "--out", "mine").assert_success()


def test_it_prints_the_layers_the_assumptions_and_the_numbers(networks, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = cli("import", *networks, "--out", "mine").assert_success().out
    for words in (
        "Generator netG.pth",
        "conv 5x5, stride 2, padding 2",
        "conv1.operation.weight",
        "--set generator.output=tanh",
        "--set z_prior=normal",
        "standard deviation of the samples",
        "mean probability of being real, noise",
        "samples.png",
    ):
        assert words in text


def test_json_holds_the_same_and_stands_alone(networks, cli, tmp_path):
    document = cli("import", *networks, "--out", "mine", "--json").assert_success().json()
    assert document["image_shape"] == [3, 32, 32]
    assert document["read"] == {"generator": "netG.pth", "discriminator": "netD.pth"}
    first, *_, last = document["networks"]["discriminator"]
    assert (first["in"], first["out"], first["arrays"]) == ([3, 32, 32], [4, 16, 16], ["conv1.operation.weight"])
    assert (last["layer"], last["out"]) == ("logit", [1])
    assert {"generator.stride": [2, 2, 2], "generator.padding": [2, 2, 2], "generator.output_padding": [1, 1, 1]} in [
        each["settings"] for each in document["assumed"]
    ]
    assert set(document["numbers"]) == {
        *("samples_mean", "samples_std", "samples_variation", "share_at_ends", "judged_samples", "judged_noise"),
    }
    assert document["samples"] == str(tmp_path / "checkpoints" / "mine" / "samples.png")
    assert document["warnings"] == [each for each in document["warnings"] if "BatchNorm" in each or "samples" in each]


def test_a_path_with_a_slash_is_a_folder(weights, cli, tmp_path):
    cli("import", weights, "--out", "./there", *SETTINGS).assert_success()
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["model.safetensors", "samples.png"]


def test_nothing_is_overwritten(weights, cli):
    for out, message in (
        ("mine", "Checkpoint name 'mine' is taken by"),
        ("./there", "'there' already holds a checkpoint"),
    ):
        first = ("import", weights, "--out", out, *SETTINGS)
        cli(*first).assert_success()
        again = cli(*first)
        assert (again.exit_code, again.out) == (1, "")
        assert message in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x", "--out", "mine"), "Error: 'x' does not exist. Name a file of weights, or a folder with one:"),
        (("x", "--format", "theanos", "--out", "mine"), "Error: Unknown importer 'theanos'. Did you mean 'theano'?"),
        (("x", "--format", "theano", "--out", "mine"), "Error: Theano weights 'x' are no folder."),
        (("x", "--out", "-mine"), "Error: Checkpoint name '-mine' must begin with a letter or digit"),
        (
            ("a", "b", "c", "--out", "mine"),
            "Error: import takes one path, or two. The form is: dcgan-analyze import a b",
        ),
        (
            ("theano", "x", "--out", "mine"),
            "Error: import takes one path, or two. The form is: dcgan-analyze import x --format theano --out mine",
        ),
        (("x", "--format", "safetensors", "--out", "mine", *SETTINGS), "Error: Safetensors file 'x' does not exist."),
        (("weights.safetensors", "--out", "mine", "--set", "z_prior=cauchy"), "Error: z_prior: must be 'uniform' or"),
        (
            ("weights.safetensors", "--out", "mine", "--set", "imagesize=4"),
            "Error: Unknown setting 'imagesize'. Did you mean",
        ),
        (
            ("weights.safetensors", "--format", "keras", "--out", "mine"),
            "Error: 'weights.safetensors' is read as safetensors, not as keras",
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
    outcome = cli("import", tmp_path, "--out", "./x")
    assert outcome.exit_code == 1
    assert outcome.err.startswith("Error: Array file '")
    assert "hides code" in outcome.err
    assert outcome.err.count("\n") == 1


def test_warnings_are_written_to_standard_error(networks, cli):
    outcome = cli("import", networks[0], "--out", "mine", "--json").assert_success()
    assert json.loads(outcome.out)["warnings"]
    assert outcome.err.startswith("Warning: generator: BatchNorm statistics are in the files, but never updated")


def test_importers_are_listed(cli):
    rows = cli("list", "importers", "--json").assert_success().json()["importers"]
    assert [row["name"] for row in rows] == ["keras", "numpy", "pytorch", "safetensors", "theano"]
