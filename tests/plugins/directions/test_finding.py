from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.directions.finding import fit_boundaries


class Context:
    def rng(self, *names):
        return np.random.default_rng([*map(ord, "".join(names))])


@pytest.fixture(scope="module")
def z():
    return torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))


def judge_of(scores):
    names = [f"attribute {column}" for column in range(scores.shape[1])]
    return SimpleNamespace(names=names, column=names.index)


def test_the_attributes_that_boundaries_separate_best_are_chosen(z):
    scores = np.random.default_rng(0).standard_normal((1000, 12))
    scores[:, 7], scores[:, 4] = z[:, 2], -z[:, 5]
    boundaries = fit_boundaries(Context(), judge_of(scores), z, scores, tail=0.3, k=2)

    assert {one.attribute for one in boundaries.directions} == {4, 7}
    assert min(boundaries.separated) > 0.97


def test_what_chooses_attributes_does_not_say_how_well_they_are_separated(z):
    noise = np.random.default_rng(1).standard_normal((1000, 60))
    boundaries = fit_boundaries(Context(), judge_of(noise), z, noise, tail=0.1, k=3)

    # The best three of sixty kinds of noise, and yet at chance.
    assert np.mean(boundaries.separated) == pytest.approx(0.5, abs=0.12)


def test_attributes_that_are_asked_for_keep_their_order(z):
    scores = z.numpy()
    boundaries = fit_boundaries(
        Context(), judge_of(scores), z, scores, tail=0.3, k=1, asked=["attribute 5", "attribute 0"]
    )

    assert [one.attribute for one in boundaries.directions] == [5, 0]
