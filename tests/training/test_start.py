"""Trainings that start from a checkpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import ConfigError, TrainingError
from dcgan_analysis.models import tables
from dcgan_analysis.models.layers import layers
from dcgan_analysis.training import Trainer, TrainingConfig

ARCHITECTURE = tables.dcgan32_svhn(width=4, z_size=5, image_channels=1)


@pytest.fixture
def start_trainer(split, tmp_path):
    def make(start, folder="run", **settings):
        config = TrainingConfig.build(
            {"dataset": "noise", "architecture": "dcgan32-svhn", "parameters": dict(ARCHITECTURE.parameters)}
            | {"batch_size": 8, "precision": "float32", "epochs": 1, "start_from": "some"}
            | settings
        )
        return Trainer(config, ARCHITECTURE, split, tmp_path / folder, torch.device("cpu"), start=start)

    return make


@pytest.mark.parametrize("options", [{}, {"spectral_norm": True, "ema": 0.9}])
def test_the_first_step_is_made_with_the_weights_of_the_checkpoint(start_trainer, options):
    start = Checkpoint.random(ARCHITECTURE, seed=11)

    pair = start_trainer(start, **options).pair

    generator = pair.averages.get("generator", pair.generator).state_dict()
    assert all(torch.equal(generator[name], tensor) for name, tensor in start.weights["generator"].items())
    if not options:
        discriminator = pair.discriminator.state_dict()
        assert all(torch.equal(discriminator[name], tensor) for name, tensor in start.weights["discriminator"].items())


def test_the_metadata_name_what_it_started_from_and_count_all_epochs(start_trainer):
    first = Checkpoint.random(ARCHITECTURE, seed=11, name="first")
    second = start_trainer(first, "second").run()
    third = start_trainer(second, "third", epochs=2).run()

    assert second.metadata.provenance["started_from"] == {
        **{"name": "first", "sha256": first.sha256(), "epochs": 0.0},
        **{"images": 0, "hours": 0.0, "all_hours": False},
    }
    started_from = third.metadata.provenance["started_from"]
    assert (started_from["name"], started_from["sha256"]) == ("second", second.sha256())
    assert (started_from["epochs"], started_from["images"], started_from["all_hours"]) == (1.0, 36, True)
    fourth = start_trainer(third, "fourth")
    assert fourth.run().metadata.provenance["started_from"]["epochs"] == 3.0


def test_a_resume_does_not_need_the_checkpoint_and_gives_the_same_bits(start_trainer):
    start = Checkpoint.random(ARCHITECTURE, seed=11)
    whole = start_trainer(start, "whole", epochs=2).run()
    start_trainer(start, "parts", epochs=1).run()

    going_on = start_trainer(None, "parts", epochs=2)
    assert going_on.resume()
    resumed = going_on.run()

    assert resumed.sha256() == whole.sha256()
    assert resumed.metadata.provenance["started_from"] == whole.metadata.provenance["started_from"]


def test_another_width_is_refused_with_the_settings_to_give(start_trainer):
    start = Checkpoint.random(tables.dcgan32_svhn(width=8, z_size=5, image_channels=1), seed=0, name="wide")
    with pytest.raises(
        TrainingError, match=r"'wide' is .*width 8.* Leave out architecture and parameters to train what it is\.$"
    ):
        start_trainer(start)


def test_a_wider_training_is_refused_unless_it_is_asked_for(start_trainer):
    start = Checkpoint.random(tables.dcgan32_svhn(width=3, z_size=5, image_channels=1), seed=0, name="narrow")
    with pytest.raises(TrainingError, match=r"width 3.* what it is \(or widen it by the setting widen=true\)\.$"):
        start_trainer(start)


def test_a_narrower_training_is_refused_with_what_stands_against_widening(start_trainer):
    start = Checkpoint.random(tables.dcgan32_svhn(width=8, z_size=5, image_channels=1), seed=0, name="wide")
    with pytest.raises(TrainingError, match=r"'wide' cannot be widened to .*: layer 'project' differs otherwise than"):
        start_trainer(start, widen=True)


def test_widening_nothing_is_refused():
    with pytest.raises(ConfigError, match="widen: needs start_from, the checkpoint to widen"):
        TrainingConfig.build({"widen": True})


def test_a_widened_training_begins_with_the_images_of_the_narrow_checkpoint(start_trainer):
    start = Checkpoint.random(tables.dcgan32_svhn(width=3, z_size=5, image_channels=1), seed=0, name="narrow")

    trainer = start_trainer(start, widen=True)

    z = start.latents(4, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(trainer.pair.generator.eval()(z), start.generator()(z), rtol=1e-4, atol=1e-5)
    started_from = trainer.run().metadata.provenance["started_from"]
    assert started_from["widened_from"]["width"] == 3
    assert started_from["sha256"] == start.sha256()


def test_a_generator_alone_is_refused(start_trainer):
    start = Checkpoint.random(ARCHITECTURE, seed=0, name="half")
    del start.weights["discriminator"]
    with pytest.raises(TrainingError, match="'half' holds no discriminator"):
        start_trainer(start)


def test_another_prior_is_refused(start_trainer):
    start = Checkpoint.random(ARCHITECTURE, seed=0, name="uniform")
    with pytest.raises(TrainingError, match="z_prior=uniform"):
        start_trainer(start, z_prior="normal")


def test_a_checkpoint_is_found_by_its_path(tmp_path):
    from dcgan_analysis.runs.library import train

    small = {"architecture": "dcgan32-svhn", "parameters": {"width": 4, "image_channels": 3}}
    common = small | {"dataset": "digits", "epochs": 0.1, "precision": "float32"}
    first = train(common, tmp_path / "first", limit=256)
    second = train(common | {"start_from": str(tmp_path / "first")}, tmp_path / "second", limit=256)
    assert second.metadata.provenance["started_from"]["sha256"] == first.sha256()


TABLES = {
    "generator": [
        {"name": "seed", "kind": "deconv", "out": 8, "kernel": 4, "padding": 0, "norm": "batch", "activation": "relu"},
        {"name": "up", "kind": "upsample", "stride": 2},
        {"name": "fill", "kind": "conv", "out": 6, "kernel": 3, "norm": "group", "norm_groups": 2, "activation": "elu"},
        {"name": "grow", "kind": "deconv", "out": 6, "kernel": 5, "stride": 2, "padding": "same", "norm": "instance"},
        {"name": "image", "kind": "deconv", "out": 1, "kernel": 4, "stride": 2, "activation": "tanh"},
    ],
    "discriminator": [
        {"name": "conv1", "kind": "conv", "out": 6, "kernel": 5, "stride": 2, "padding": "same", "bias": True},
        {"name": "conv2", "kind": "conv", "out": 6, "kernel": 4, "stride": 2, "norm": "batch", "activation": "prelu"},
        {"name": "smaller", "kind": "max_pool", "kernel": 2, "stride": 2},
        {"name": "hidden", "kind": "linear", "out": 5, "norm": "layer", "activation": "leaky_relu"},
        {"name": "logit", "kind": "linear", "out": 1, "bias": True, "activation": "sigmoid"},
    ],
    "image_shape": [1, 32, 32],
    "z_size": 5,
}


@pytest.mark.parametrize("options", [{}, {"spectral_norm": True, "ema": 0.9, "weight_decay": 0.01}])
def test_tables_of_layers_are_trained_further_and_resumed_to_the_bit(split, tmp_path, options):
    start = Checkpoint.random(layers(**TABLES), seed=11)

    def trainer(folder, begun, **settings):
        config = TrainingConfig.build(
            {"dataset": "noise", "architecture": "layers", "parameters": dict(start.architecture.parameters)}
            | {"batch_size": 8, "precision": "float32", "start_from": "some", **options, **settings}
        )
        return Trainer(config, start.architecture, split, tmp_path / folder, torch.device("cpu"), start=begun)

    first = trainer("whole", start, epochs=2)
    assert torch.equal(
        first.pair.plain("generator").seed.operation.weight, start.weights["generator"]["seed.operation.weight"]
    )
    whole = first.run()
    trainer("parts", start, epochs=1).run()
    going_on = trainer("parts", None, epochs=2)
    assert going_on.resume()

    assert going_on.run().sha256() == whole.sha256() != start.sha256()


def test_a_start_brings_its_architecture_and_its_prior_along(tmp_path):
    from dcgan_analysis.runs.library import load_checkpoint, train

    coloured = {**TABLES["generator"][-1], "out": 3}
    tables = {"generator": [*TABLES["generator"][:-1], coloured], "image_shape": [3, 32, 32]}
    start = Checkpoint.random(layers(**TABLES | tables), seed=11)
    metadata = start.metadata.model_copy(update={"z_prior": "normal"})
    (tmp_path / "start").mkdir()
    replace(start, metadata=metadata).save(tmp_path / "start" / "model.safetensors")
    settings = {"dataset": "digits", "start_from": str(tmp_path / "start"), "epochs": 0.1, "batch_size": 16}

    trained = train(settings, tmp_path / "out", limit=64)

    assert trained.architecture.identity() == start.architecture.identity()
    assert trained.metadata.z_prior == "normal"
    assert load_checkpoint(tmp_path / "out").sha256() == trained.sha256()
    with pytest.raises(TrainingError, match=r"is 'layers' \(generator 5 rows, .*\), and 'dcgan32' .* to be trained\."):
        train({**settings, "architecture": "dcgan32"}, tmp_path / "other", limit=64)
