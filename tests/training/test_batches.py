from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.training.batches import DataOrder, draw_latents


def epoch_of(order, epoch):
    steps = order.steps_per_epoch
    return np.concatenate([order.indices(step) for step in range(epoch * steps, (epoch + 1) * steps)])


def test_every_epoch_is_another_permutation_of_the_images():
    order = DataOrder(12, 4, seed=0)

    first, second = epoch_of(order, 0), epoch_of(order, 1)

    assert sorted(first) == sorted(second) == list(range(12))
    assert list(first) != list(second)


def test_incomplete_batches_are_dropped_and_no_image_comes_twice():
    order = DataOrder(14, 4, seed=0)

    assert order.steps_per_epoch == 3
    for epoch in range(5):
        assert len(set(epoch_of(order, epoch))) == 12
    # What one epoch drops, others show.
    assert len({*np.concatenate([epoch_of(order, epoch) for epoch in range(20)])}) == 14


def test_the_minibatch_of_a_step_does_not_depend_on_the_steps_before():
    walked = DataOrder(14, 4, seed=1)
    sequence = [walked.indices(step) for step in range(9)]

    for step in (8, 2, 5, 0):
        np.testing.assert_array_equal(DataOrder(14, 4, seed=1).indices(step), sequence[step])
        np.testing.assert_array_equal(walked.indices(step), sequence[step])


def test_another_seed_gives_another_order():
    assert list(epoch_of(DataOrder(12, 4, 0), 0)) != list(epoch_of(DataOrder(12, 4, 1), 0))


@pytest.mark.parametrize(
    ("prior", "mean_square", "low"),
    [("uniform", 1 / 3, -1), ("normal", 1, -6)],
)
def test_latents_follow_the_prior(prior, mean_square, low):
    z = draw_latents((2000, 10), prior, (0, 1, 2))

    assert z.shape == (2000, 10)
    assert z.dtype == torch.float32
    assert low <= z.min() < -0.99
    assert 0.99 < z.max() <= -low
    assert float(z.mean()) == pytest.approx(0, abs=0.02)
    assert float(z.square().mean()) == pytest.approx(mean_square, rel=0.05)


def test_latents_depend_on_the_key_alone():
    keys = [(seed, stream, step) for seed in (0, 1) for stream in (0, 1) for step in (0, 1)]
    drawn = [draw_latents((2, 3), "uniform", key) for key in keys]

    assert torch.equal(drawn[0], draw_latents((2, 3), "uniform", keys[0]))
    assert len({tuple(z.flatten().tolist()) for z in drawn}) == len(keys)
