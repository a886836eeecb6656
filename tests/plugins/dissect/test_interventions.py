from __future__ import annotations

import numpy as np
import torch
from dcgan_analysis_plugins.dissect.interventions import Levels, levels_of, matched_units, places_without


def test_other_units_are_as_active_as_the_chosen_ones_and_none_of_them():
    mean = np.concatenate([np.full(10, 1.0), np.full(10, 5.0)])
    levels = Levels(mean, mean)
    for seed in range(5):
        drawn = matched_units(levels, [0, 1, 12], np.random.default_rng(seed))
        assert not set(drawn) & {0, 1, 12}
        assert len(set(drawn)) == 3
        assert sorted(mean[drawn]) == [1, 1, 5]


def test_levels_are_those_of_all_places_and_of_the_strongest():
    levels = levels_of(torch.tensor([[0.0, 0.0, 0.0, 8.0], [1.0, 1.0, 3.0, 3.0]]), share=0.25)
    assert levels.mean.tolist() == [2, 2]
    assert levels.high.tolist() == [8, 3]


def test_units_are_put_in_where_the_object_is_not():
    boxes = [[(0.0, 0.0, 8.0, 16.0)], [(8.0, 0.0, 8.0, 16.0)], []]
    for seed in range(5):
        places = places_without(boxes, [(4.0, 4.0)], (16, 16), np.random.default_rng(seed))
        assert places[0][0] >= 8
        assert places[1][0] + 4 <= 9
        assert all(0 <= x <= 12 and 0 <= y <= 12 for x, y, _, _ in places)
