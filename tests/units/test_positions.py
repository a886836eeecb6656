from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.units.positions import fit_positions, grouped_auc


@pytest.fixture
def positions():
    """200 positions on 20 images; one feature speaks for the object, one against it, one never fires."""
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.5
    features = np.stack([5 + 10 * labels, 3 - 0.01 * labels, np.zeros(200)], axis=1)
    features[:, :2] += rng.normal(scale=[4, 0.004], size=(200, 2))
    return features, labels, np.arange(200) // 10


def test_weights_have_the_sign_of_what_they_speak_for_whatever_the_scale(positions):
    probe = fit_positions(*positions)
    assert probe.weights[0] > 0 > probe.weights[1]
    assert probe.weights[2] == 0
    scores = probe(positions[0])
    assert ((scores > 0) == positions[1]).mean() > 0.9


def test_an_image_is_scored_by_a_probe_that_never_saw_it(positions):
    features, labels, groups = positions
    # One image whose labels are turned round: a probe that knew it could follow, one that does not is always wrong.
    wrong = labels.copy()
    wrong[groups == 3] = ~wrong[groups == 3]
    code = np.zeros((200, 1))
    code[groups == 3, 0] = np.where(wrong[groups == 3], 100.0, -100.0)
    probe = fit_positions(np.hstack([features, code]), wrong, groups, c=100)
    mine = groups == 3
    assert ((probe(np.hstack([features, code]))[mine] > 0) == wrong[mine]).all()
    assert ((probe.held_out[mine] > 0) == wrong[mine]).mean() < 0.3


def test_one_kind_or_one_image_alone_is_refused(positions):
    features, labels, groups = positions
    for bad in ((features, np.ones(200, bool), groups), (features, labels, np.zeros(200, int))):
        with pytest.raises(AnalysisError, match="inside and outside of boxes"):
            fit_positions(*bad)


def test_the_interval_of_the_auc_resamples_images(positions):
    features, labels, groups = positions
    scores = features[:, 0]
    value, low, high = grouped_auc(labels, scores, groups, np.random.default_rng(0))
    pairs = scores[labels][:, None] > scores[~labels]
    assert value == pytest.approx(pairs.mean())
    assert 0.5 < low < value < high <= 1


def test_equal_scores_count_half():
    labels = np.array([True, False, True, False])
    assert grouped_auc(labels, np.zeros(4), np.arange(4) // 2, np.random.default_rng(0))[0] == 0.5
