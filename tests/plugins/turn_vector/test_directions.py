from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.turn_vector.directions import (
    RANDOM,
    TURN,
    Moves,
    draw_directions,
    measure_directions,
    tails,
)

from dcgan_analysis.errors import AnalysisError


class Context:
    def rng(self, *names):
        return np.random.default_rng([len(name) for name in names])


class Sampler:
    """The image is one pixel: the first latent number."""

    def __call__(self, z, labels=None, *, what=""):
        return z[:, :1].numpy().round().astype(np.uint8)[:, :, None, None]

    def labels(self, n):
        return None


def test_ends_are_the_lowest_and_the_highest_values():
    low, high = tails(np.array([5.0, 1.0, 4.0, 2.0, 3.0]), 0.4, 2)
    assert (low.tolist(), high.tolist()) == ([1, 3], [2, 0])
    with pytest.raises(AnalysisError, match="The ends hold 2 of 5 samples each, 3 are averaged"):
        tails(np.arange(5.0), 0.4, 3)


def test_turns_lead_from_low_to_high_and_their_controls_are_as_long():
    z = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    found = draw_directions(Context(), z, z[:, 0].numpy(), directions=3, averaged=2, tail=0.1)
    assert len(found[TURN]) == len(found[RANDOM]) == 3
    for turn, control in zip(found[TURN], found[RANDOM], strict=True):
        assert turn[0] > 1.5
        assert control.norm().item() == pytest.approx(turn.norm().item())
        assert control[0] < turn[0]


def test_what_moves_is_judged_at_every_multiple_in_given_units():
    class Judges:
        """Two, the second of which sees everything twice as bright."""

        def each(self, images):
            shade = images[:, 0, 0, 0].astype(float)
            return np.stack([np.stack([shade * times, np.full(len(shade), 7.0)], axis=1) for times in (1, 2)])

    def embed(images, labels):
        return torch.from_numpy(images[:, 0, 0].astype(np.float32))

    new, vector = torch.tensor([[100.0, 0.0], [50.0, 0.0]]), torch.tensor([10.0, 3.0])
    done = []
    (move,) = measure_directions(
        Sampler(),
        Judges(),
        embed,
        new,
        [vector],
        torch.tensor([-1.0, 0.0, 1.0]),
        np.array([[5.0, 1.0], [5.0, 1.0]]),
        done.append,
    )
    assert move.margins[0, :, :, 0].tolist() == [[18, 20, 22], [8, 10, 12]]
    assert move.margins[1, 0, :, 0].tolist() == [36, 40, 44]
    assert move.ends.tolist() == [[[4, 0], [4, 0]], [[8, 0], [8, 0]]]
    assert move.change.tolist() == [20, 20]
    assert done == [1]


def test_ends_of_moves_are_the_last_multiple_less_the_first():
    move = Moves(np.array([[[[1.0], [9.0], [4.0]]]]), np.zeros(1))
    assert move.ends.tolist() == [[[3.0]]]
