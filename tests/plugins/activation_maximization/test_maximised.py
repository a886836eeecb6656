from __future__ import annotations

from dcgan_analysis_plugins.activation_maximization.maximised import AscentSettings


def test_jitter_and_blur_shrink_with_the_receptive_field():
    config = AscentSettings(jitter=2, blur=0.5)
    small, large = config.ascent(3, 9), config.ascent(29, 529)
    assert (small.jitter, large.jitter) == (0, 2)
    assert small.blur < 0.1 < large.blur == 0.5
