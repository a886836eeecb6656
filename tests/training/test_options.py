"""Options beyond the paper's recipe."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.errors import TrainingError
from dcgan_analysis.models import tables
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.batches import check_split
from dcgan_analysis.training.networks import AdversarialPair, learning_rate_factor
from dcgan_analysis.training.stopping import StopRequest

CPU = torch.device("cpu")
ARCHITECTURE = tables.dcgan32_svhn(width=4, z_size=5, image_channels=1)


def make_pair(**settings):
    config = TrainingConfig(**{"precision": "float32", "batch_size": 8} | settings)
    return AdversarialPair(ARCHITECTURE, config, CPU)


@pytest.fixture
def images():
    return torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_label_smoothing_is_one_sided(images):
    pair, fake = make_pair(label_smoothing=0.1), -torch.ones(8, 1, 32, 32)
    real_logits, fake_logits = pair.judge(images, None).detach(), pair.judge(fake, None).detach()

    loss, *_ = pair.update_discriminator(images, fake, None)

    expected = F.binary_cross_entropy_with_logits(real_logits, torch.full((8,), 0.9))
    expected = expected + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros(8))
    torch.testing.assert_close(loss, expected)


def test_spectral_norm_is_folded_into_plain_weights_of_norm_one(images):
    pair = make_pair(spectral_norm=True)
    for _ in range(20):  # the power iteration converges
        pair.update_discriminator(images, -images, None)

    plain = pair.plain("discriminator")

    assert plain.state_dict().keys() == ARCHITECTURE.discriminator().state_dict().keys()
    for name, weight in plain.named_parameters():
        if weight.dim() > 1:
            norm = float(torch.linalg.matrix_norm(weight.flatten(1), 2))
            assert norm == pytest.approx(1, abs=0.05), name
    trained = pair.discriminator.eval()
    torch.testing.assert_close(plain.eval()(images), trained(images))


def test_reading_plain_weights_changes_nothing_in_the_training(images):
    pair = make_pair(spectral_norm=True)
    pair.update_discriminator(images, -images, None)
    before = {name: value.clone() for name, value in pair.discriminator.state_dict().items()}

    pair.plain("discriminator")

    assert pair.discriminator.training
    assert all(torch.equal(value, before[name]) for name, value in pair.discriminator.state_dict().items())


def test_augmentation_reaches_both_updates_and_changes_with_the_step(images):
    z = torch.zeros(8, 5) + torch.arange(8)[:, None] / 8
    losses = {}
    for policy in ((), ("cutout",)):
        for step in (0, 1):
            pair = make_pair(diff_augment=policy)
            generator_loss, fake = pair.update_generator(z, None, step)
            losses[policy, step] = float(generator_loss), float(pair.update_discriminator(images, fake, None, step)[0])

    assert losses[(), 0] == losses[(), 1]
    for update in (0, 1):
        assert len({losses[key][update] for key in losses}) == 3


@pytest.mark.parametrize(
    ("decay", "expected"),
    [("none", [1, 1, 1, 1, 1]), ("linear", [1, 1, 1, 0.5, 0]), ("cosine", [1, 1, 1, 0.5, 0])],
)
def test_the_step_size_falls_to_zero_in_the_second_half(decay, expected):
    config = TrainingConfig(learning_rate_decay=decay, decay_start=0.5)

    assert [learning_rate_factor(config, share) for share in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx(expected)


def test_a_fallen_step_size_reaches_the_optimisers(images):
    pair = make_pair(learning_rate=0.01, learning_rate_decay="linear", decay_start=0.0)
    before = pair.discriminator.logit.operation.weight.detach().clone()

    assert pair.set_learning_rate(0.9) == pytest.approx(0.001)
    pair.update_discriminator(images, -images, None)

    step = (pair.discriminator.logit.operation.weight.detach() - before).abs()
    torch.testing.assert_close(step, torch.full_like(step, 0.001), rtol=1e-2, atol=0)


def test_mirrored_images_are_half_of_them_and_whole_rows(make_trainer, split):
    plain, mirrored = make_trainer("a")._inputs, make_trainer("b", mirror=True)._inputs
    turned = 0
    for step in range(8):
        for before, after in zip(plain(step).images, mirrored(step).images, strict=True):
            assert torch.equal(after, before) or torch.equal(after, before.flip(-1))
            turned += not torch.equal(after, before)
    assert 16 < turned < 48


def test_reused_samples_are_those_of_the_generators_update(make_trainer, monkeypatch):
    trainer = make_trainer(reuse_samples=True)
    shown = []
    update = trainer.pair.update_discriminator
    monkeypatch.setattr(trainer.pair, "update_discriminator", lambda *a: (shown.append(a[1]), update(*a))[1])
    monkeypatch.setattr(trainer.pair, "generate", lambda *a: pytest.fail("a second forward pass"))

    trainer._one_step(trainer._inputs(0))

    assert shown[0].shape == (8, 1, 32, 32)


ALL = {
    "label_smoothing": 0.1,
    "spectral_norm": True,
    "ema": 0.9,
    "mirror": True,
    "diff_augment": ("color", "cutout"),
    "learning_rate_decay": "linear",
    "reuse_samples": True,
}


def test_with_all_options_a_resume_is_exact_and_the_metadata_names_them(make_trainer, everything):
    whole = make_trainer("whole", epochs=2, **ALL)
    final = whole.run()
    first = make_trainer("parts", epochs=2, **ALL)
    first._train_until(3, [], StopRequest())
    first.folder.mkdir()
    first._save_state()

    second = make_trainer("parts", epochs=2, **ALL)
    second.resume()
    assert second.step == 3
    again = second.run()

    assert again.sha256() == final.sha256()
    ours, theirs = everything(second), everything(whole)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert second.history[-1]["generator_loss"] == whole.history[-1]["generator_loss"]
    assert final.metadata.provenance["recipe"] == (
        "the paper's with label_smoothing=0.1, spectral_norm=True, ema=0.9, mirror=True, "
        "diff_augment=('color', 'cutout'), learning_rate_decay=linear, reuse_samples=True"
    )
    assert make_trainer("plain").checkpoint().metadata.provenance["recipe"] == "the paper's"


def test_the_rotation_head_learns_to_tell_by_how_many_quarter_turns_real_images_are_turned(images):
    pair = make_pair(self_supervised="rotation", learning_rate=5e-3)
    upright = images.clone()
    upright[:, :, :8] = 1.0  # what is up can be seen

    def error():
        with torch.no_grad():
            return float(pair.rotation(pair.discriminator, upright, None))

    before = error()
    for _ in range(15):
        pair.update_discriminator(upright, images.flip(0), None)

    assert before == pytest.approx(math.log(4), abs=0.3)
    assert error() < before / 4


def test_losses_are_reported_without_that_of_rotations_which_both_updates_follow(images):
    z = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    plain, turned = make_pair(), make_pair(self_supervised="rotation")
    losses = []
    for pair in (plain, turned):
        generator_loss, fake = pair.update_generator(z, None)
        losses.append((generator_loss, pair.update_discriminator(images, fake, None)[0]))

    # The turned images have moved nothing but running statistics before the first updates.
    torch.testing.assert_close(losses[0], losses[1])
    for role in ("generator", "discriminator"):
        weights = [next(getattr(pair, role).parameters()) for pair in (plain, turned)]
        assert not torch.equal(*weights)
    assert plain.plain("discriminator").state_dict().keys() == turned.plain("discriminator").state_dict().keys()


def test_a_resume_with_a_rotation_head_is_exact_and_the_checkpoint_is_without_it(make_trainer, everything):
    whole = make_trainer("whole", epochs=2, self_supervised="rotation")
    checkpoint = whole.run()
    make_trainer("parts", epochs=1, self_supervised="rotation").run()
    second = make_trainer("parts", epochs=2, self_supervised="rotation")
    second.resume()
    again = second.run()

    assert again.sha256() == checkpoint.sha256()
    assert torch.equal(whole.pair.rotation.turns.weight, second.pair.rotation.turns.weight)
    assert checkpoint.metadata.provenance["recipe"] == "the paper's with self_supervised=rotation"
    assert checkpoint.weights["discriminator"].keys() == ARCHITECTURE.discriminator().state_dict().keys()


def test_a_conditional_discriminator_is_given_the_labels_of_turned_images(images):
    conditional = tables.dcgan28_conditional(width=2, hidden=8, image_size=32, classes=3)
    config = TrainingConfig(precision="float32", batch_size=8, self_supervised="rotation")
    pair = AdversarialPair(conditional, config, CPU)

    loss, *_ = pair.update_discriminator(images, -images, torch.arange(8) % 3)

    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_shape": (1, 32, 16)}, "images of 32x16 pixels cannot be turned by 90 degrees"),
        ({"discriminator_layers": ()}, "has no layer table with a hidden layer"),
    ],
)
def test_images_that_cannot_be_turned_and_a_discriminator_without_a_table_are_refused(change, reason):
    architecture = replace(ARCHITECTURE, **change)
    split = DatasetSplit(np.zeros((8, *architecture.image_shape), np.uint8), None, list("abcdefgh"))

    with pytest.raises(TrainingError, match=f"self_supervised=rotation: .*{reason}"):
        check_split(TrainingConfig(batch_size=8, self_supervised="rotation"), architecture, split)
