from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.units.changes import draws_range, pixel_changes, removed_metric


def test_pixels_change_inside_or_outside_of_the_boxes_as_a_fraction_of_the_range():
    before = torch.zeros(2, 3, 8, 8)
    after = before.clone()
    after[0, :, 2:4, 0:4] = 1.0  # the whole box
    after[1, :, 7, 7] = -2.0  # one pixel of the 56 outside
    inside, outside = pixel_changes(before, after, [[(0, 2, 4, 2)]] * 2, (-1.0, 1.0))

    assert inside.tolist() == [0.5, 0]
    assert outside.tolist() == pytest.approx([0, 1 / 56])


def test_boxes_that_leave_nothing_outside_change_nothing_there():
    after = torch.ones(1, 1, 4, 4)
    inside, outside = pixel_changes(after * 0, after, [[(0, 0, 4, 4)]], (0.0, 1.0))
    assert (inside.tolist(), outside.tolist()) == ([1], [0])


def test_the_interval_is_named_for_what_it_is():
    before = np.full((2, 10), 0.5)
    before[:, 0] = 0.2
    some = removed_metric(before, before / 2, "gone", higher_is_better=True)
    none = removed_metric(before, before * 0, "gone", higher_is_better=None)

    assert (some.value, some.n, some.interval) == (pytest.approx(0.5), 10, "95 % over judges and samples")
    assert (none.value, none.interval) == (1, "one-sided 95 % Clopper-Pearson over samples")


def test_draws_span_from_the_least_to_the_most():
    metric = draws_range([0.1, 0.3, 0.2], "others")
    assert (metric.value, metric.low, metric.high, metric.n) == (pytest.approx(0.2), 0.1, 0.3, 3)
