from __future__ import annotations

import numpy as np
import torch
from dcgan_analysis_plugins.latent_arithmetic.arithmetic import (
    C_ALONE,
    LATENT,
    ONE_LATENT,
    ONE_PIXELS,
    ONE_RESCALED,
    PIXELS,
    compute_triples,
    draw_triples,
)


def square(z, labels=None, *, what=""):
    """Make images of one pixel: the square of the latent number, so that latent and pixel sums differ."""
    return (z**2).numpy().clip(0, 255).astype(np.uint8)[:, :, None, None]


def test_a_triple_is_of_different_samples_of_each_pool():
    pools = [np.array([2, 5, 9]), np.array([1, 3, 4]), np.array([0, 6, 7, 8])]
    triples = draw_triples(pools, 3, 20, np.random.default_rng(0))
    assert [tuple(part.shape) for part in triples] == [(20, 3)] * 3
    for pool, part in zip(pools, triples, strict=True):
        assert all(len(set(row)) == 3 and set(row) <= set(pool.tolist()) for row in part.tolist())


def test_triples_are_computed_in_latent_space_and_on_pixels_averaged_and_not():
    z = torch.tensor([[6.0], [2.0], [1.0], [3.0], [5.0], [7.0]])
    triples = [torch.tensor([pair]) for pair in ([0, 1], [2, 3], [4, 5])]
    images = {way: page.ravel().tolist() for way, page in compute_triples(square, z, triples).items()}
    assert images[LATENT] == [(4 - 2 + 6) ** 2]
    assert images[ONE_LATENT] == [(6 - 1 + 5) ** 2]
    # As long as the samples are: the root of (36 + 4 + 1 + 9 + 25 + 49) / 6 = 4.55 squared is 20.67.
    assert images[ONE_RESCALED] == [20]
    assert images[C_ALONE] == [6**2]
    assert images[PIXELS] == [(36 + 4) / 2 - (1 + 9) / 2 + (25 + 49) / 2]
    assert images[ONE_PIXELS] == [36 - 1 + 25]
