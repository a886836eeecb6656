from __future__ import annotations

import json
import pickle
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.checkpoints.checkpoint import read_checkpoint
from dcgan_analysis.core.registry import Registry
from dcgan_analysis.data import load_dataset
from dcgan_analysis.errors import TrainingError
from dcgan_analysis.models.batchnorm import reestimate
from dcgan_analysis.models.registry import ArchitectureEntry, builtin_architectures
from dcgan_analysis.training import Watcher, failures


@pytest.fixture
def architectures():
    registry = Registry[ArchitectureEntry]("architecture")
    for entry in builtin_architectures():
        registry.add(entry.name, entry, owner="test")
    return registry


def differing(first, second):
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize(("precision", "z_prior"), [("float32", "uniform"), ("bfloat16", "normal")])
def test_a_resumed_training_equals_one_in_one_go_to_the_bit(make_trainer, everything, precision, z_prior):
    settings = {"precision": precision, "z_prior": z_prior}
    whole = make_trainer("whole", epochs=3, **settings)
    final = whole.run()

    make_trainer("parts", epochs=1, **settings).run()
    second = make_trainer("parts", epochs=2, **settings)
    assert second.resume()
    assert second.step == 4
    second.run()
    third = make_trainer("parts", epochs=3, **settings)
    third.resume()
    again = third.run()

    assert third.step == whole.step == 12
    assert differing(everything(third), everything(whole)) == []
    assert again.sha256() == final.sha256()
    speeds = ("images_per_second", "seconds")
    losses = [[{k: v for k, v in row.items() if k not in speeds} for row in t.history] for t in (third, whole)]
    assert losses[0] == losses[1]


def test_with_a_moving_average_resume_is_exact_too_and_the_checkpoint_holds_the_average(make_trainer):
    options = {"ema": 0.9, "ema_discriminator": 0.9}
    whole = make_trainer("whole", epochs=2, **options)
    final = whole.run()
    make_trainer("parts", epochs=1, **options).run()
    rest = make_trainer("parts", epochs=2, **options)
    rest.resume()

    assert rest.run().sha256() == final.sha256()
    for role, name in (("generator", "deconv1.operation.weight"), ("discriminator", "conv2.operation.weight")):
        assert torch.equal(final.weights[role][name], whole.pair.averages[role].state_dict()[name])
        assert not torch.equal(final.weights[role][name], getattr(whole.pair, role).state_dict()[name])
    # The training itself does not feel it.
    plain = make_trainer("plain", epochs=2)
    plain.run()
    for role in ("generator", "discriminator"):
        latest = getattr(whole.pair, role).state_dict()
        assert all(torch.equal(latest[name], value) for name, value in getattr(plain.pair, role).state_dict().items())


def test_saving_in_the_middle_of_an_epoch_changes_nothing(make_trainer, everything):
    whole = make_trainer("whole", epochs=2)
    whole.run()

    # 1.25 epochs end one step into the second.
    make_trainer("parts", epochs=1.25).run()
    rest = make_trainer("parts", epochs=2)
    rest.resume()
    assert rest.step == 5
    rest.run()

    assert differing(everything(rest), everything(whole)) == []


def test_the_seed_decides_everything_and_global_random_state_nothing(make_trainer, everything):
    torch.manual_seed(1)
    first = make_trainer("a")
    first.run()
    before = torch.get_rng_state()
    torch.manual_seed(2)
    second, other = make_trainer("b"), make_trainer("c", seed=4)
    second.run()
    other.run()

    assert differing(everything(first), everything(second)) == []
    assert differing(everything(first), everything(other)) != []
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


TRAINING = """
import pickle, sys
import torch
from dcgan_analysis.training import Trainer

with open(sys.argv[1], "rb") as file:
    threads, *arguments = pickle.load(file)
torch.set_num_threads(threads)
Trainer(*arguments).run()
"""


@pytest.mark.slow
def test_a_training_killed_between_saves_resumes_to_the_same_bits(make_trainer, everything, tmp_path):
    options = {"ema": 0.9, "spectral_norm": True, "mirror": True, "diff_augment": ["color", "cutout"]}
    endless = make_trainer("killed", epochs=500, **options)
    arguments = (endless.config, endless.architecture, endless.split, endless.folder, endless.device)
    (tmp_path / "arguments").write_bytes(pickle.dumps((torch.get_num_threads(), *arguments)))
    process = subprocess.Popen([sys.executable, "-c", TRAINING, str(tmp_path / "arguments")])
    try:
        # However long a busy machine takes to save first; it never ends by itself.
        while not (endless.folder / "state.safetensors").exists() and process.poll() is None:
            time.sleep(0.01)
        # Anywhere: in a step, or while something is written.
        time.sleep(random.uniform(0, 0.4))
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL

    assert endless.resume()
    epochs = endless.step // 4 + 2
    resumed, whole = (make_trainer(name, epochs=epochs, **options) for name in ("killed", "whole"))
    resumed.resume()

    assert resumed.run().sha256() == whole.run().sha256()
    assert differing(everything(resumed), everything(whole)) == []


def test_a_training_leaves_what_it_says(make_trainer, architectures, split):
    trainer = make_trainer(epochs=2)

    checkpoint = trainer.run()

    assert sorted(path.name for path in trainer.folder.iterdir()) == [
        "history.json",
        "model.safetensors",
        "samples",
        "state.safetensors",
        "states",
    ]
    assert sorted(path.name for path in (trainer.folder / "samples").iterdir()) == [
        "epoch-0001.00.png",
        "epoch-0002.00.png",
    ]
    history = json.loads((trainer.folder / "history.json").read_text())
    assert [(row["epoch"], row["step"]) for row in history] == [(1, 4), (2, 8)]
    assert all(row["images_per_second"] > 0 for row in history)
    saved = read_checkpoint(trainer.folder / "model.safetensors", architectures)
    assert saved.sha256() == checkpoint.sha256()
    assert (saved.metadata.step, saved.metadata.epoch) == (8, 2)
    assert saved.metadata.data["sha256"] == split.sha256
    assert saved.metadata.training == trainer.config.model_dump(mode="json")
    assert saved.metadata.provenance["origin"] == "trained by dcgan-analysis"


def test_samples_are_saved_every_so_many_epochs(make_trainer):
    trainer = make_trainer(epochs=3, sample_every=2)
    trainer.run()

    assert [row["step"] for row in trainer.history] == [8, 12]


def test_watchers_are_told_of_the_last_step(make_trainer):
    told, intervals = [], []

    class Listener(Watcher):
        def steps(self, at):
            told.append(at)

        def interval(self, folder, row):
            intervals.append((folder.name, row["step"]))

    make_trainer(epochs=1).run([Listener()])

    (at,) = told
    assert (at.step, at.steps, at.epoch) == (4, 4, 1)
    assert at.images_per_second > 0
    assert intervals == [("run", 4)]
    assert at.means.keys() == {"generator_loss", "discriminator_loss", "real_probability", "fake_probability"}


def test_a_finished_training_resumed_is_as_it_was(make_trainer):
    checkpoint = make_trainer().run()
    again = make_trainer()
    again.resume()

    assert again.run().sha256() == checkpoint.sha256()


def test_an_empty_folder_has_nothing_to_resume(make_trainer):
    assert not make_trainer().resume()


def test_other_images_under_the_same_name_are_refused(make_trainer, split):
    make_trainer().run()
    images = split.images.copy()
    images[0, 0, 0, 0] ^= 1

    with pytest.raises(TrainingError, match=r"^'.*run' was trained on other images under the name 'noise'\."):
        make_trainer(images=replace(split, images=images), epochs=2).resume()


def test_a_loss_that_is_not_finite_stops_with_the_last_state_intact(make_trainer, monkeypatch, everything):
    trainer = make_trainer(epochs=1)
    trainer.run()
    good = everything(trainer)
    files = {path: path.read_bytes() for path in trainer.folder.rglob("*") if path.is_file()}
    diverging = make_trainer(epochs=3)
    diverging.resume()
    update = diverging.pair.update_generator
    monkeypatch.setattr(
        diverging.pair,
        "update_generator",
        lambda *a: (update(*a)[0] * (torch.nan if diverging.step == 9 else 1), update(*a)[1]),
    )

    with pytest.raises(
        TrainingError,
        match=r"^Training diverged between steps 8 and 10 \(epoch 2\.50\): not finite: generator_loss\. "
        r"The state of step 8 in",
    ) as caught:
        diverging.run()
    assert str(caught.value).endswith("is kept. Train with a smaller learning_rate into another folder (out).")

    # The second epoch was still good, and is the last that was saved.
    resumed = make_trainer(epochs=3)
    resumed.resume()
    assert resumed.step == 8
    assert differing(everything(resumed), good) != []
    assert all(torch.isfinite(value).all() for value in everything(resumed).values())
    assert {path for path in trainer.folder.rglob("*") if path.is_file()} >= set(files)
    resumed.run()
    assert resumed.step == 12


def test_the_discriminators_statistics_are_those_of_real_images(make_trainer, split):
    # Bright real images, generated ones around gray: a mixture would lie far from either.
    bright = replace(split, images=np.maximum(split.images, 200))
    trainer = make_trainer(images=bright, epochs=2)

    checkpoint = trainer.run()

    prepared = torch.from_numpy(bright.images).float() / 127.5 - 1
    batches = [prepared[torch.from_numpy(trainer.order.indices(step))] for step in range(4)]
    expected = checkpoint.discriminator()
    reestimate(expected, batches)
    mixed = trainer.pair.discriminator
    for name, module in checkpoint.discriminator().named_modules():
        if isinstance(module, nn.BatchNorm2d):
            clean = expected.get_submodule(name)
            torch.testing.assert_close(module.running_mean, clean.running_mean, rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(module.running_var, clean.running_var, rtol=1e-3, atol=1e-6)
            distance = (mixed.get_submodule(name).running_mean - clean.running_mean).norm()
            assert distance > 0.2 * clean.running_mean.norm()


def test_making_a_checkpoint_changes_nothing_in_the_training(make_trainer, everything):
    trainer = make_trainer()
    trainer.run()
    before = everything(trainer)

    first, second = trainer.checkpoint(), trainer.checkpoint()

    assert differing(everything(trainer), before) == []
    assert trainer.pair.generator.training
    assert first.sha256() == second.sha256()


def test_the_generators_statistics_make_samples_like_those_of_training(make_trainer):
    trainer = make_trainer(epochs=2)
    checkpoint = trainer.run()
    z = checkpoint.latents(64, seed=0)

    with torch.no_grad():
        frozen, training = checkpoint.generator()(z), trainer.pair.generate(z, None)

    assert float(frozen.std()) == pytest.approx(float(training.std()), rel=0.2)


def test_a_conditional_architecture_trains_with_labels(make_trainer, split, everything):
    settings = {"architecture": "mlp-conditional", "parameters": {"width": 8, "image_size": 32, "classes": 3}}
    trainer = make_trainer("with", **settings)
    checkpoint = trainer.run()
    shuffled = replace(split, labels=np.roll(split.labels, 1))
    other = make_trainer("other", images=shuffled, **settings)
    other.run()

    assert checkpoint.sample(3, seed=0, labels=torch.arange(3)).shape == (3, 1, 32, 32)
    assert checkpoint.metadata.image_range == (0, 1)
    assert differing(everything(trainer), everything(other)) != []


def test_labels_go_with_their_images(make_trainer, split, monkeypatch):
    # Every image is as bright as its label says.
    images = np.broadcast_to((split.labels * 51).astype(np.uint8)[:, None, None, None], split.images.shape).copy()
    settings = {"architecture": "mlp-conditional", "parameters": {"width": 8, "image_size": 32, "classes": 3}}
    trainer = make_trainer(images=replace(split, images=images), **settings)
    seen = []
    update = trainer.pair.update_discriminator

    def spy(images, fake, labels, step):
        seen.append((images[:, 0, 0, 0], labels))
        return update(images, fake, labels, step)

    monkeypatch.setattr(trainer.pair, "update_discriminator", spy)
    trainer.run()

    assert len(seen) == 4
    for brightness, labels in seen:
        torch.testing.assert_close(brightness, labels / 5)


def test_images_of_another_size_are_refused_with_the_command_that_converts_them(make_trainer):
    message = (
        r"^Dataset 'noise' has images of 1x32x32, architecture 'dcgan64' takes 3x64x64\. Give another architecture, or "
        r"convert the images to size 64 and 3 channels: dcgan-analyze prepare\.$"
    )
    with pytest.raises(TrainingError, match=message):
        make_trainer(architecture="dcgan64", parameters={"width": 4})


def test_a_batch_larger_than_the_data_is_refused(make_trainer):
    with pytest.raises(
        TrainingError,
        match=r"^Dataset 'noise', split 'train' has 36 images, fewer than one minibatch of 37\. Give more im",
    ):
        make_trainer(batch_size=37)


@pytest.mark.parametrize(
    ("classes", "labelled", "message"),
    [
        (3, False, r"is conditional and dataset 'noise' has no labels\. Give a labelled dataset"),
        (
            2,
            True,
            r"^Dataset 'noise' has 3 classes, architecture 'mlp-conditional' 2\. Give parameters=\{classes=3\}\.$",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(make_trainer, split, classes, labelled, message):
    settings = {"architecture": "mlp-conditional", "parameters": {"width": 8, "image_size": 32, "classes": classes}}
    images = split if labelled else replace(split, labels=None)

    with pytest.raises(TrainingError, match=message):
        make_trainer(images=images, **settings)


def test_images_of_another_shape_are_refused(make_trainer):
    parameters = {"width": 4, "image_channels": 3}
    with pytest.raises(TrainingError, match=r"^Dataset 'noise' has images of 1x32x32, .*'dcgan32-svhn' takes 3x32x32"):
        make_trainer(parameters=parameters)


def test_a_short_training_on_digits_learns(make_trainer):
    digits = load_dataset("digits").split("train").take(range(256))
    trainer = make_trainer(
        images=digits,
        parameters={"width": 8, "z_size": 16},
        batch_size=32,
        epochs=8,
        sample_every=2,
        precision="auto",
    )

    checkpoint = trainer.run()

    first, last = trainer.history[0], trainer.history[-1]
    assert last["discriminator_loss"] < first["discriminator_loss"]
    assert last["real_probability"] > last["fake_probability"] + 0.2
    images = checkpoint.sample(32, seed=0)
    assert images.shape == (32, 3, 32, 32)
    assert -1 <= images.min() < images.max() <= 1
    assert images.flatten(1).std(0).mean() > 0.01


def test_a_training_warns_of_a_generator_that_lets_nothing_of_the_latent_vector_through_and_stays_so(
    make_trainer, monkeypatch
):
    monkeypatch.setattr(failures, "EARLY", 0)
    trainer = make_trainer(epochs=5, learning_rate=2e-2)
    trainer.pair.generator_optimizer.step = lambda: None
    with torch.no_grad():
        trainer.pair.generator.project.operation.weight.zero_()

    trainer.run()

    warned = {warning.split(":")[0] for warning in trainer.history[-1]["warnings"]}
    assert {"Mode collapse", "Discriminator ahead", "Collapsing filters in the generator's 'project'"} <= warned
    assert trainer.history[0]["warnings"] != trainer.history[-1]["warnings"]
