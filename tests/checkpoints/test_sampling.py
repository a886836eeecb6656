from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import BATCH, Sampler, as_bytes, class_labels
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.tables import dcgan28_conditional


@pytest.fixture
def conditional():
    return Checkpoint.random(dcgan28_conditional(width=2, hidden=8, image_size=8, z_size=5, classes=3), seed=0)


def test_batches_join_to_what_one_pass_gives(tiny_checkpoint):
    z, calls = tiny_checkpoint.latents(5, seed=0), []
    sampler = Sampler(tiny_checkpoint, progress=lambda *call: calls.append(call), batch=2)
    whole = tiny_checkpoint.generator()(z).detach()
    torch.testing.assert_close(sampler.images(z, what="toys"), whole)
    assert calls == [("toys", 2, 5), ("toys", 4, 5), ("toys", 5, 5)]
    assert [len(batch) for batch in sampler.batches(z)] == [2, 2, 1]
    assert np.abs(sampler(z).astype(int) - as_bytes(tiny_checkpoint, whole)).max() <= 1


def test_a_sample_of_a_seed_is_the_same_however_it_is_drawn(tiny_checkpoint):
    n = BATCH + 6
    z = tiny_checkpoint.latents(n, seed=3)
    sampler = Sampler(tiny_checkpoint)
    images = tiny_checkpoint.sample(n, seed=3)
    assert torch.equal(images, sampler.images(z))
    assert torch.equal(images, torch.cat(list(sampler.batches(z))))
    assert not images.is_inference()  # a tensor that gradients may be asked of
    np.testing.assert_array_equal(sampler(z), as_bytes(tiny_checkpoint, images))


def test_no_latent_vectors_give_no_images(tiny_checkpoint):
    z = tiny_checkpoint.latents(0, seed=0)
    assert Sampler(tiny_checkpoint)(z).shape == tuple(Sampler(tiny_checkpoint).images(z).shape) == (0, 3, 32, 32)


def test_hooks_on_its_generator_see_every_pass(tiny_checkpoint):
    sampler, seen = Sampler(tiny_checkpoint, batch=2), []
    sampler.generator.register_forward_hook(lambda module, inputs, images: seen.append(len(images)))
    sampler(tiny_checkpoint.latents(3, seed=0))
    assert seen == [2, 1]


def test_another_module_can_stand_in_for_the_generator(tiny_checkpoint):
    class White(torch.nn.Module):
        def forward(self, z):
            return torch.ones(len(z), 3, 32, 32)

    assert (Sampler(tiny_checkpoint, generator=White())(tiny_checkpoint.latents(2, seed=0)) == 255).all()


def test_classes_come_in_turn_or_are_all_one(tiny_checkpoint, conditional):
    assert class_labels(conditional.architecture, [0, 4, 5]).tolist() == [0, 1, 2]
    assert class_labels(conditional.architecture, [0, 4], 2).tolist() == [2, 2]
    assert class_labels(tiny_checkpoint.architecture, [0]) is None
    with pytest.raises(AnalysisError, match=r"label=3: .* has the classes 0 to 2"):
        class_labels(conditional.architecture, [0], 3)
    with pytest.raises(AnalysisError, match=r"label=1: .* is not conditional"):
        class_labels(tiny_checkpoint.architecture, [0], 1)


def test_a_sampler_draws_the_class_it_was_made_for_unless_others_are_named(conditional, tiny_checkpoint):
    z = conditional.latents(4, 0)
    twos, turns = Sampler(conditional, label=2), Sampler(conditional)
    assert twos.labels(range(3)).tolist() == [2, 2, 2]
    assert turns.labels([5, 0]).tolist() == [2, 0]
    np.testing.assert_array_equal(twos(z), turns(z, torch.full((4,), 2)))
    np.testing.assert_array_equal(twos(z, torch.tensor([0, 1, 2, 0])), turns(z))
    assert (twos(z) != turns(z)).any()
    # To an unconditional generator a class means nothing.
    plain = Sampler(tiny_checkpoint, label=2)
    assert plain.label is None
    assert plain.labels(range(3)) is None
    with pytest.raises(AnalysisError, match=r"label=3: .* has the classes 0 to 2"):
        Sampler(conditional, label=3)


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_latent_vectors_deviate_as_the_prior_says(tiny_checkpoint, prior):
    checkpoint = replace(tiny_checkpoint, metadata=tiny_checkpoint.metadata.model_copy(update={"z_prior": prior}))
    assert checkpoint.latents(400, seed=0).std().item() == pytest.approx(checkpoint.metadata.z_deviation, rel=0.01)
