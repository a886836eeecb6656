from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.turn_vector.analysis import TurnVector

from dcgan_analysis.core import rank_correlations
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.testing import check_analysis

SHORT = {"samples": 60, "new": 4, "multiples": 3, "vectors": 2, "tail": 0.2, "classifier_steps": 2}


def test_turn_vector_keeps_the_contract(dcgan_context, unrendered):
    result = check_analysis(TurnVector(), dcgan_context, {**SHORT, "attribute": "brightness"})
    assert result.tables[0].rows[0][0] == "brightness"
    assert {"monotonicity", "random_monotonicity", "selectivity", "image_change"} <= set(result.metrics)


def test_the_direction_of_brightness_turns_a_random_generator_brighter(run, make_images):
    settings = {**SHORT, "attribute": "brightness", "samples": 120, "ends": 8, "new": 8, "multiples": 5}
    metrics = run(TurnVector(), make_images(), **settings).metrics
    assert metrics["monotonicity"].value > 0.5
    assert metrics["effect"].value > 2 * metrics["random_effect"].value


def test_every_number_follows_from_the_files_of_the_run(run, make_images, saved):
    result = run(TurnVector(), make_images(), **SHORT, attribute="brightness")
    arrays = saved(result, "turn")
    column = arrays["attributes"].tolist().index(result.config["attribute"])
    for prefix, kind, sign in (("", "turn", np.array), ("random_", "random", np.abs)):
        said = arrays[f"{kind}_said"]  # (V, J, S, T, A)
        correlations = [[rank_correlations(one[..., column]).mean() for one in judges] for judges in said]
        ends = said[..., -1, :] - said[..., 0, :]
        expected = {
            "monotonicity": sign(correlations).mean(),
            "effect": sign(ends[..., column].mean(axis=2)).mean(),
            "image_change": arrays[f"{kind}_change"].mean(),
        }
        assert {name: result.metrics[prefix + name].value for name in expected} == pytest.approx(expected)


def test_ends_that_hold_too_few_samples_are_refused(run, make_images):
    with pytest.raises(AnalysisError, match="Either end of the scores holds 1 of 60 samples; 4 are needed"):
        run(TurnVector(), make_images(), **{**SHORT, "tail": 0.01})
