from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.dissect.agreement import agreement, average_precision, dissect_layer, shuffled

N, PLACES = 60, 64


@pytest.fixture(scope="module")
def masks():
    """A square of nine places, somewhere else in every image."""
    rng = np.random.default_rng(0)
    masks = np.zeros((N, 8, 8), bool)
    for mask in masks:
        top, left = rng.integers(0, 6, 2)
        mask[top : top + 3, left : left + 3] = True
    return torch.from_numpy(masks).view(N, PLACES)


@pytest.fixture(scope="module")
def values(masks):
    """Eight units of noise, the sixth of which is wired to the square."""
    noise = torch.rand(8, N, PLACES, generator=torch.Generator().manual_seed(0))
    noise[5] += 2 * masks.float()
    return noise


@pytest.fixture(scope="module")
def choosing():
    return torch.arange(N) % 2 == 0


def test_a_unit_wired_to_a_square_ranks_first_and_others_stand_at_chance(values, masks, choosing):
    concepts = torch.cat([masks[None], shuffled(masks, 3, np.random.default_rng(0))])
    layer = dissect_layer("generator", "maps", values, concepts, choosing, np.random.default_rng(0))
    share = float(masks.double().mean())

    assert layer.best == layer.agreement.ranked()[0] == 5
    # The nearest of the thresholds leaves up to a sixth of the places out, or takes as many too many.
    assert layer.iou[0] > 5 / 6
    assert layer.precision[0] == pytest.approx(1)
    noise = [unit for unit in range(8) if unit != 5]
    # Chance: active at a share a of all places, independently: a s / (a + s - a s).
    assert np.mean([layer.random_iou[unit] for unit in noise]) == pytest.approx(
        0.3 * share / (0.3 + 0.7 * share), abs=0.02
    )
    assert np.mean(layer.shuffled_precision) < share + 0.1
    assert average_precision(values[0], masks)[0] == pytest.approx(share, abs=0.02)


def test_the_threshold_that_is_measured_was_chosen_on_the_other_half(choosing):
    masks = torch.zeros(1, N, 10, dtype=torch.bool)
    masks[..., 0] = True
    values = torch.zeros(1, N, 10)
    values[0, choosing, 0] = 5.0
    values[0, ~choosing, 0] = 1.0
    agreed = agreement(values, masks, choosing)

    assert agreed.chosen[0, 0] > 0
    # Whatever exceeds 0 is the object, on both halves; whatever exceeds 1 is so on one alone.
    assert agreed.measured[0, 0] == (1 if agreed.thresholds[0, 0] < 1 else 0)


def test_no_image_keeps_its_own_mask(masks):
    marked = torch.arange(N).view(N, 1)
    for order in shuffled(marked, 4, np.random.default_rng(1)):
        assert (order != marked).all()
        assert sorted(order.ravel().tolist()) == list(range(N))


def test_a_unit_that_is_never_active_agrees_with_nothing(masks, choosing):
    agreed = agreement(torch.zeros(2, N, PLACES), masks[None], choosing)
    assert agreed.measured.tolist() == [[0], [0]]


def test_average_precision_is_that_of_scikit_learn_with_ties_and_without(values, masks):
    from sklearn.metrics import average_precision_score

    for scores in (values[1], values[5], (values[5] - 0.8).clamp_min(0).round(decimals=1)):
        known = average_precision_score(masks.ravel(), scores.ravel())
        assert average_precision(scores, masks)[0] == pytest.approx(known)


def test_the_interval_of_an_average_precision_holds_it_and_narrows_with_the_images(values, masks):
    few = average_precision(values[1, :10], masks[:10], np.random.default_rng(0))
    many = average_precision(values[1], masks, np.random.default_rng(0))

    assert few[1] <= few[0] <= few[2]
    assert many[2] - many[1] < few[2] - few[1]
