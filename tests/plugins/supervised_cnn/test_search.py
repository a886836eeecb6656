from __future__ import annotations

from dataclasses import asdict

import numpy as np
from dcgan_analysis_plugins.supervised_cnn.search import draw_settings


def drawn(n, **options):
    rng = np.random.default_rng(0)
    return [draw_settings(rng, epochs=3, patience=2, **options) for _ in range(n)]


def test_the_space_is_kept_and_images_are_mirrored_only_where_asked_for():
    trials = drawn(200)
    assert all(10**-3.5 <= one.learning_rate <= 10**-2 for one in trials)
    assert all(10**-3 <= one.weight_decay <= 10**0.5 for one in trials)
    assert {one.batch for one in trials} == {32, 64, 128}
    assert {one.shift for one in trials} == {0, 1, 2, 3}
    assert {(one.epochs, one.patience, one.frozen) for one in trials} == {(3, 2, False)}
    assert not any(one.mirror for one in trials)
    assert 60 < sum(one.mirror for one in drawn(200, mirror=True)) < 140


def test_mirroring_changes_no_other_setting():
    plain, mirrored = ([{**asdict(one), "mirror": None} for one in drawn(5, mirror=mirror)] for mirror in (False, True))
    assert plain == mirrored
