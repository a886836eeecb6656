from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from dcgan_analysis.core.randomness import derive_seed, seeded, torch_generator
from dcgan_analysis.errors import ConfigError


def drawn(*parts):
    return torch.randn(4, generator=torch_generator(*parts)).tolist()


def test_every_word_and_number_counts_in_its_place():
    streams = [
        ("twin", 0),
        ("twin", 1),
        ("twin", 1 << 32),
        ("twi", "n", 0),
        ("twin",),
        ("twin", "0"),
        (0, "twin"),
        (0,),
    ]
    assert len({derive_seed(*stream) for stream in streams}) == len(streams)
    assert all(0 <= derive_seed(*stream) < 1 << 32 for stream in streams)


def test_a_derived_seed_is_the_same_on_every_machine():
    # The first four bytes of the SHA-256 of '["twin", 0]', lowest first.
    assert derive_seed("twin", 0) == 3248008682


def test_a_lone_number_of_32_bits_is_torchs_own_seed():
    for seed in (0, 5, (1 << 32) - 1):
        assert drawn(seed) == torch.randn(4, generator=torch.Generator().manual_seed(seed)).tolist()


def test_seeds_that_torch_would_cut_to_32_bits_give_other_numbers():
    assert drawn(5) == torch.randn(4, generator=torch.Generator().manual_seed(5 + (1 << 32))).tolist()  # torch's way
    assert len({tuple(drawn(seed)) for seed in (5, 5 + (1 << 32), 5 + (1 << 64), 5 + (1 << 200))}) == 4


@pytest.mark.parametrize("seed", [-1, 0.5, "5", None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ConfigError, match=r"^A seed is an integer from 0, got "):
        torch_generator(seed)


def test_negative_numbers_are_refused_among_words_as_well():
    with pytest.raises(ConfigError, match=r"^A seed is an integer from 0, got -1\.$"):
        derive_seed("twin", -1)


def test_global_random_states_follow_the_seed_and_are_restored():
    def numbers():
        return torch.rand(1).item(), np.random.random(), random.random()

    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with seeded(7):
        first = numbers()
    with seeded(7):
        assert numbers() == first
    with seeded(7 + (1 << 32)):
        assert all(a != b for a, b in zip(numbers(), first, strict=True))
    with pytest.raises(RuntimeError), seeded(1):
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]
