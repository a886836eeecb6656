from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dcgan_analysis.errors import TrainingError
from dcgan_analysis.training.config import free_settings
from dcgan_analysis.training.state import load_state, save_state


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def trained(make_trainer):
    trainer = make_trainer()
    trainer.run()
    return trainer


def test_all_that_the_next_step_depends_on_comes_back(trained, make_trainer, everything, tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, trained.pair, trained.config, {"step": 4, "history": [{"loss": 0.1}]})
    fresh = make_trainer()

    progress, monitored = load_state(path, fresh.pair, fresh.config)

    assert progress == {"step": 4, "history": [{"loss": 0.1}]}
    assert monitored == {}
    assert same(everything(fresh), everything(trained))


def test_moments_keep_the_memory_layout_of_their_weights(trained, make_trainer):
    fresh = make_trainer()
    fresh.resume()

    for old, new in zip(trained.pair.discriminator.parameters(), fresh.pair.discriminator.parameters(), strict=True):
        moment = fresh.pair.discriminator_optimizer.state[new]["exp_avg"]
        assert moment.stride() == new.stride() == old.stride()


def test_a_state_before_the_first_step_has_no_moments(make_trainer, everything, tmp_path):
    path, trainer, fresh = tmp_path / "state.safetensors", make_trainer(), make_trainer(seed=3)
    save_state(path, trainer.pair, trainer.config, {})

    load_state(path, fresh.pair, fresh.config)

    assert not fresh.pair.generator_optimizer.state
    assert same(everything(fresh), everything(trainer))


def test_other_settings_are_named_with_both_values(trained, make_trainer):
    other = make_trainer(learning_rate=0.1, z_prior="normal")

    with pytest.raises(
        TrainingError,
        match=(
            r"^'.*run' holds a training with other settings, saved at step 4: "
            r"learning_rate \(saved 0\.0002, now 0\.1\); z_prior \(saved 'uniform', now 'normal'\)\. "
            r"Resume with the same settings, or train into another folder \(out\)\.$"
        ),
    ):
        other.resume()


def test_more_epochs_are_no_other_training(trained, make_trainer):
    assert make_trainer(epochs=5, sample_every=2).resume()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_damaged_state_is_refused_in_one_line(trained, make_trainer, share):
    path = trained.folder / "state.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(
        TrainingError, match=r"^Training state '.*' cannot be read: [^\n]*\. Start anew into another folder"
    ):
        make_trainer().resume()


@pytest.mark.parametrize("with_progress", [True, False])
def test_a_foreign_file_is_refused(trained, make_trainer, with_progress):
    header = {"config": trained.config.model_dump_json()} | ({"progress": "{}"} if with_progress else {})
    save_file({"x": torch.zeros(1)}, trained.folder / "state.safetensors", metadata=header)

    with pytest.raises(TrainingError, match="cannot be read"):
        make_trainer().resume()


def test_a_state_of_another_version_is_told_from_other_settings(trained, make_trainer):
    path = trained.folder / "state.safetensors"
    settings = trained.config.model_dump(mode="json")
    del settings["mirror"]
    header = {"config": json.dumps(settings), "progress": "{}"}
    save_file({"x": torch.zeros(1)}, path, metadata=header)

    with pytest.raises(TrainingError, match=r"saved by another version of dcgan-analysis, .*differ in: mirror\. Go on"):
        make_trainer().resume()


def test_a_state_from_before_a_free_setting_was_added_is_gone_on_with(trained, make_trainer):
    path = trained.folder / "state.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    del header["checksums"]
    settings = json.loads(header["config"])
    for name in free_settings(trained.config):
        del settings[name]
    header["config"] = json.dumps(settings)
    save_file(load_file(path), path, metadata=header)

    assert make_trainer().resume()


def test_a_state_from_before_a_list_could_be_given_had_none(trained, make_trainer):
    path = trained.folder / "state.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    del header["checksums"]
    settings = json.loads(header["config"])
    assert settings.pop("leave_out") is None
    header["config"] = json.dumps(settings)
    save_file(load_file(path), path, metadata=header)

    assert make_trainer().resume()
    with pytest.raises(TrainingError, match=r"other settings, .* leave_out \(saved None, now 'd\.json'\)"):
        make_trainer(leave_out="d.json").resume()
