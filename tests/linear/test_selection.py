from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.linear import few_label_probe, probe

GRID = (1e-3, 1e-1)


@pytest.fixture
def problem(make_features):
    """240 training rows, of which 80 are held out, and 60 test rows of three classes."""
    features, labels = make_features(300, 50, 3)
    held_out = np.arange(240) % 3 == 0
    return features[:240], labels[:240], held_out, features[240:], labels[240:]


def draw(held_out, labels, per_class, seed):
    rng = np.random.default_rng(seed)
    kept = [np.flatnonzero((labels == k) & ~held_out) for k in range(3)]
    return np.sort(np.concatenate([rng.choice(members, per_class, replace=False) for members in kept]))


@pytest.fixture
def draws(problem):
    _, labels, held_out, *_ = problem
    return [draw(held_out, labels, 10, seed) for seed in range(5)]


def test_c_is_the_best_on_held_out_rows_and_the_smallest_of_equals(problem):
    features, labels, held_out, test, _ = problem
    found = probe(features, labels, held_out, test, (1e-1, 1e-3))
    assert found.cs.tolist() == [1e-3, 1e-1]
    assert found.c == found.cs[found.validation.argmax()]
    easy = np.eye(3, dtype=np.float32)[labels]
    assert probe(easy, labels, held_out, easy, (1.0, 0.1)).c == 0.1


def test_a_few_label_probe_reports_every_draw(problem, draws):
    found = few_label_probe(*problem, draws[:2], draws[2:], GRID)
    assert found.held_out.shape == (2, 2)
    np.testing.assert_allclose(found.validation, found.held_out.mean(axis=0))
    assert found.c == found.cs[found.validation.argmax()]
    assert found.predictions.shape == (3, 60)
    assert found.accuracies == pytest.approx((found.predictions == problem[-1]).mean(axis=1))


def test_test_labels_choose_nothing(problem, draws):
    found = few_label_probe(*problem, draws[:2], draws[2:], GRID)
    other = few_label_probe(*problem[:-1], problem[-1][::-1], draws[:2], draws[2:], GRID)
    assert other.c == found.c
    np.testing.assert_array_equal(other.predictions, found.predictions)


def test_tested_draws_choose_nothing(problem, draws):
    found = [few_label_probe(*problem, draws[:2], tested, GRID) for tested in (draws[2:3], draws[3:])]
    np.testing.assert_array_equal(found[0].held_out, found[1].held_out)


@pytest.mark.parametrize("place", [0, 1])
def test_a_draw_with_a_held_out_row_is_refused(place, problem, draws):
    parts = [draws[:1], draws[1:2]]
    parts[place] = [np.array([0, 1, 2, 4, 5])]
    with pytest.raises(ValueError, match="draws must not contain held-out rows, but row 0 is one"):
        few_label_probe(*problem, *parts, GRID)
