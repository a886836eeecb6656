from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.errors import AnalysisError, CheckpointError, ConfigError
from dcgan_analysis.latents.judges import JudgeSettings, choose_judge
from dcgan_analysis.latents.perceptual import discriminator_embedding


@pytest.fixture
def images(dcgan_context):
    return np.random.default_rng(0).integers(0, 256, (5, *dcgan_context.checkpoint.architecture.image_shape), np.uint8)


@pytest.fixture
def alone(dcgan_context):
    """The context of a run on a generator alone."""
    whole = dcgan_context.checkpoint
    dcgan_context._checkpoint = replace(whole, weights={"generator": whole.weights["generator"]})
    return dcgan_context


def test_the_own_discriminator_judges_where_there_is_one(dcgan_context, images):
    judge = choose_judge(dcgan_context, JudgeSettings())
    checkpoint = dcgan_context.checkpoint
    embed = discriminator_embedding(checkpoint.discriminator(), checkpoint.architecture, torch.device("cpu"))
    assert judge.name == "discriminator"
    torch.testing.assert_close(judge(images), embed(images))


def test_a_generator_alone_is_judged_by_random_weights_that_a_seed_repeats(alone, images):
    judge, again = (choose_judge(alone, JudgeSettings()) for _ in range(2))
    assert judge.name == "a network of random weights"
    torch.testing.assert_close(judge(images), again(images))
    alone.seed += 1
    assert not torch.allclose(judge(images), choose_judge(alone, JudgeSettings())(images))
    assert alone._notes[0] == "How different images look is judged by: a network of random weights."


def test_random_weights_find_small_changes_small_and_other_images_far(alone, images):
    judge = choose_judge(alone, JudgeSettings(judge="random"))
    near = np.clip(images.astype(int) + 2, 0, 255).astype(np.uint8)
    rows, changed = judge(images), judge(near)
    small = (rows - changed).norm(dim=1)
    far = torch.cdist(rows, rows)[~torch.eye(len(rows), dtype=bool)]
    assert small.max() < 0.3 * far.min()


def test_pixels_are_judged_by_their_root_mean_square_difference(alone):
    black, white = np.zeros((1, 3, 32, 32), np.uint8), np.full((1, 3, 32, 32), 255, np.uint8)
    judge = choose_judge(alone, JudgeSettings(judge="pixels"))
    assert float((judge(black) - judge(white)).norm()) == pytest.approx(1, rel=1e-4)


def test_the_discriminator_of_another_checkpoint_can_judge(alone, images):
    with pytest.raises(AnalysisError, match="made without a way to load others"):
        choose_judge(alone, JudgeSettings(judge="checkpoint:other"))
    other = replace(alone.checkpoint.twin(3), name="other")
    alone._load = lambda name: other
    judge = choose_judge(alone, JudgeSettings(judge="checkpoint:other"))
    assert judge.name == "discriminator of other"
    assert judge(images).shape[0] == 5
    shape = other.architecture.image_shape
    alone._load = lambda name: replace(other, architecture=replace(other.architecture, image_shape=(shape[0], 64, 64)))
    with pytest.raises(CheckpointError, match=r"judges images of shape \(\d, 64, 64\).*or judge=random"):
        choose_judge(alone, JudgeSettings(judge="checkpoint:other"))


def test_a_discriminator_that_is_not_there_is_refused(alone):
    with pytest.raises(CheckpointError, match="holds no discriminator"):
        choose_judge(alone, JudgeSettings(judge="discriminator"))


@pytest.mark.parametrize("judge", ["nobody", "checkpoint:", ""])
def test_an_unknown_judge_is_refused_with_those_there_are(judge):
    with pytest.raises(
        ConfigError, match="must be one of auto, discriminator, random, pixels, vgg19, or checkpoint:NAME"
    ):
        JudgeSettings.build({"judge": judge})
