"""What becomes of imported weights: statistics, provenance, and the authors' own network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.importers import builtin_importers
from dcgan_analysis.checkpoints.importers.assemble import assemble
from dcgan_analysis.checkpoints.importers.contract import ImportedWeights
from dcgan_analysis.checkpoints.importers.theano import load
from dcgan_analysis.core.hashing import hash_file
from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.models.tables import dcgan28_conditional


@pytest.fixture
def imported(write_arrays, request_for):
    folder, _ = write_arrays("svhn", width=4, z=6)
    (folder / "LICENSE").write_text("Do what you like.\n", encoding="utf-8")
    return load(request_for(folder))


def test_the_generator_samples_as_the_authors_did_in_batches(imported):
    checkpoint = assemble(imported, "svhn", "theano")
    frozen = checkpoint.sample(500, seed=5)
    generator = checkpoint.generator().train()
    with torch.no_grad():
        batch = generator(checkpoint.latents(500, seed=5))
    # Tiny random networks differ by the noise of a batch's statistics; with mean 0, variance 1 nothing would fit.
    assert float((frozen - batch).abs().mean()) < 0.05 * float(batch.std())


def test_the_discriminators_statistics_are_marked_as_unknown(imported):
    checkpoint = assemble(imported, "svhn", "theano")
    norm = checkpoint.discriminator().conv2.norm
    assert not norm.running_mean.any()
    assert norm.running_var.eq(1).all()
    notes = checkpoint.metadata.provenance["batchnorm"]
    assert notes["discriminator"].startswith("not in the files")
    assert notes["generator"] == "re-estimated on 2,560 latent vectors in batches of 128, seed 0"


def test_the_same_files_give_the_same_checkpoint(imported):
    assert assemble(imported, "a", "theano").sha256() == assemble(imported, "b", "theano").sha256()


def test_provenance_has_format_hashes_and_licence(imported):
    provenance = assemble(imported, "svhn", "theano").metadata.provenance
    assert provenance["format"] == "theano"
    assert provenance["files"] == {path.name: hash_file(path) for path in imported.files}
    assert len(provenance["files"]) == 18
    assert provenance["licence"] == "Do what you like.\n"


def test_a_conditional_generators_statistics_are_estimated_over_all_classes():
    architecture = dcgan28_conditional(width=2, hidden=8, classes=3)
    state = Checkpoint.random(architecture, seed=0).weights["generator"]
    without = {name: tensor for name, tensor in state.items() if "running" not in name and "num_batches" not in name}
    checkpoint = assemble(ImportedWeights(architecture, without, None), "mnist", "acme")
    assert checkpoint.generator().project1.norm.running_mean.any()
    assert not checkpoint.has("discriminator")


def test_a_strangers_importer_is_checked(imported):
    extra = {**imported.discriminator, "more": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="tensor 'more' belongs to no layer"):
        assemble(replace(imported, discriminator=extra), "x", "acme")
    with pytest.raises(
        CheckpointError, match=r"^Importer 'acme' returned metadata that no checkpoint has: [^\n]*prior"
    ):
        assemble(replace(imported, metadata={"prior": "normal"}), "x", "acme")


def test_the_built_in_importers_are_named():
    assert [importer.name for importer in builtin_importers()] == ["theano", "pytorch", "keras", "safetensors", "numpy"]


@pytest.mark.data
@pytest.mark.slow
def test_the_authors_svhn_network_is_imported(weights_root, request_for):
    folder = weights_root / "authors-svhn"
    if not folder.is_dir():
        pytest.skip(f"the authors' SVHN weights are not in {weights_root}")
    imported = load(request_for(folder))
    checkpoint = assemble(imported, "authors-svhn", "theano")
    assert checkpoint.architecture.identity() == {
        "name": "dcgan32-svhn",
        "parameters": {"width": 64, "z_size": 100, "image_channels": 3, "batchnorm_eps": 1e-8},
    }
    assert checkpoint.metadata.z_prior == "normal"
    assert checkpoint.metadata.epoch == 200
    assert checkpoint.metadata.provenance["licence"].startswith("The MIT License")

    # Each network judges the other: kernels of the generator the wrong way round (a wrong import that has all shapes
    # right) cost it 7 points of the discriminator's logit. In batches, as in training.
    turned = {name: tensor.flip(2, 3) if tensor.dim() == 4 else tensor for name, tensor in imported.generator.items()}
    wrong = assemble(replace(imported, generator=turned), "wrong", "theano")
    judge = checkpoint.discriminator().train()
    with torch.no_grad():
        right_logit, wrong_logit = (float(judge(each.sample(128, seed=0)).mean()) for each in (checkpoint, wrong))
    assert right_logit - wrong_logit > 4
