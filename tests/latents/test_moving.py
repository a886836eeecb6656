from __future__ import annotations

import numpy as np
import torch

from dcgan_analysis.latents.moving import Moves, measure_directions


class Sampler:
    """The image is one pixel: the first latent number."""

    def __call__(self, z, labels=None, *, what=""):
        return z[:, :1].numpy().round().astype(np.uint8)[:, :, None, None]

    def labels(self, n):
        return None


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
