"""The tests of copying on rows of numbers, where what is copied is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.memorisation.copying import (
    Collisions,
    Evidence,
    Preference,
    depth,
    nearer_to_training,
    relative_distances,
)
from dcgan_analysis_plugins.memorisation.nearest_images import (
    COPIES,
    FEATURES,
    HASH,
    HELD_OUT,
    SAMPLES,
    SEEN,
    View,
    nearest_images,
)
from dcgan_analysis_plugins.memorisation.queries import Gallery

from dcgan_analysis.latents.seen_images import Images
from dcgan_analysis.neighbours import nearest_rows

SIZE = 12


def images(n, rng, contrast=1.0):
    return np.rint(128 + contrast * rng.normal(0, 30, (n, 1, 1, SIZE))).clip(0, 255).astype(np.uint8)


def bits(rows, _):
    return (torch.from_numpy(rows).flatten(1) > 128).float()


VIEWS = {
    FEATURES: View(lambda rows, _: torch.from_numpy(rows).flatten(1).float()),
    HASH: View(bits, 1, learned=True),
}


def gather_evidence(samples, train, held_out, seed=0):
    """Look up samples, and perturbed training images as copies."""
    rng = np.random.default_rng(seed)
    gallery = Gallery(Images(train), None if held_out is None else Images(held_out))
    noisy = train[rng.permutation(len(train))[:60]].astype(int) + rng.integers(-2, 3, (min(60, len(train)), 1, 1, SIZE))
    queries = {
        SAMPLES: Images(samples),
        SEEN: Images(train, own=torch.arange(len(train))).take(rng.permutation(len(train))[:300]),
        COPIES: Images(noisy.clip(0, 255).astype(np.uint8)),
    }
    if held_out is not None:
        queries[HELD_OUT] = Images(held_out, own=len(train) + torch.arange(len(held_out)))
    neighbours = {name: nearest_images(view, queries, gallery.parts, k=depth(gallery)) for name, view in VIEWS.items()}
    return Evidence(VIEWS, neighbours, gallery, np.zeros(8, bool), bits=0, rng=rng)


@pytest.fixture(scope="module")
def train():
    return images(400, np.random.default_rng(0))


def with_copies(samples, train, share):
    put = round(share * len(samples))
    return np.concatenate([train[:put], samples[put:]])


@pytest.mark.parametrize("contrast", [1.0, 0.6])
def test_an_independent_sampler_is_not_accused_be_it_blurred(train, contrast):
    rng = np.random.default_rng(1)
    evidence = gather_evidence(images(300, rng, contrast), train, images(60, rng))
    assert evidence.verdict.startswith("no sign of memorisation (5 % planted copies are found in ")
    assert evidence.metrics["power"].value >= 0.8
    # Blurred samples are nearer to everything.
    assert (evidence.metrics["closer_than_real_features"].low > 0.5) == (contrast < 1)


@pytest.mark.parametrize("held_out", [None, 10, 60])
def test_five_per_cent_of_copies_are_found_with_few_held_out_images_and_with_none(train, held_out):
    rng = np.random.default_rng(2)
    others = None if held_out is None else images(held_out, rng)
    evidence = gather_evidence(with_copies(images(300, rng), train, 0.05), train, others)
    assert evidence.verdict.startswith("signs of memorisation (near copies, features")
    metric = evidence.metrics["near_copies_features"]
    assert metric.low < 0.05 <= metric.value


def test_few_images_cannot_tell():
    rng = np.random.default_rng(3)
    evidence = gather_evidence(images(20, rng), images(24, rng), images(5, rng))
    assert evidence.verdict.startswith("cannot tell (5 % planted copies are found in ")
    assert evidence.metrics["power"].value < 0.8
    assert "least_found" not in evidence.metrics or evidence.metrics["least_found"].value > 0.05


def preference(rng, m, contrast):
    train, held_out, samples = images(200, rng), images(m, rng), images(60, rng, contrast)
    gallery = Gallery(Images(train), Images(held_out))
    wanted = {SAMPLES: Images(samples), COPIES: Images(train[:1])}
    nearest = nearest_images(VIEWS[FEATURES], wanted, gallery.parts, k=depth(gallery))
    return Preference("features", nearest, gallery, rng)


@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_the_preference_for_training_images_keeps_its_level_where_all_samples_share_a_few(contrast):
    rng = np.random.default_rng(4)
    tests = [preference(rng, 15, contrast) for _ in range(30)]
    values = np.array([test.metric.value for test in tests])
    chances = np.array([test.chance(np.arange(60), np.arange(0)) for test in tests])
    assert values.mean() == pytest.approx(0.5, abs=0.06)
    # Up to four of 30 at 5 % are chance.
    assert (chances < 0.05).sum() <= 4
    covered = [test.metric.low <= 0.5 <= test.metric.high for test in tests]
    assert np.mean(covered) > 0.9
    # An interval over samples alone would be far too short.
    assert values.std() > 1.2 * 0.29 / 60**0.5


def test_the_chance_of_a_nearer_training_image_is_that_over_all_draws_of_them():
    rng = np.random.default_rng(5)
    rows = torch.from_numpy(rng.normal(size=(9, 2))).float()  # six of the training, three held out
    held_out = np.arange(9) >= 6
    wanted = torch.from_numpy(rng.normal(size=(4, 2))).float()
    table = torch.cdist(wanted, rows).numpy()
    counted = [
        np.mean([row[list(drawn)].min() < row[6:].min() for drawn in combinations(range(6), 3)]) for row in table
    ]
    nearest = nearest_rows(wanted, [rows], k=9)
    np.testing.assert_allclose(nearer_to_training(nearest, held_out, 6), counted, atol=1e-9)


def test_a_copy_is_near_to_one_image_and_what_is_near_to_all_is_none():
    rows = torch.tensor([[0.0], [10.0], [10.0], [-10.0], [50.0]])
    nearest = nearest_rows(torch.tensor([[0.1], [10.0], [1000.0]]), [rows], k=5)
    # The last row is held out and does not count.
    ratios = relative_distances(nearest, 4)
    assert ratios[0] < 0.02
    assert ratios[1] == 0
    assert ratios[2] == pytest.approx(0.99, abs=0.01)
    same = nearest_rows(torch.tensor([[3.0]]), [torch.full((4, 1), 3.0)], k=4)
    assert relative_distances(same, 4).tolist() == [1.0]


def test_the_chance_of_hash_collisions_is_that_of_fishers_exact_test():
    from scipy.stats import fisher_exact

    hits = {SAMPLES: np.arange(40) < 7, COPIES: np.ones(10, bool)}
    collisions = Collisions(hits, np.arange(60) < 4, bits=8)
    # 7 of the 40 samples and 3 copies collide, of 60 real images 4 do.
    table = [[10, 33], [4, 56]]
    assert collisions.chance(np.arange(40), np.arange(3)) == pytest.approx(fisher_exact(table, "greater").pvalue)
