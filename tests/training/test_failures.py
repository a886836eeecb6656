"""Histories made up so that it is known what has failed, and when."""

from __future__ import annotations

import pytest

from dcgan_analysis.training.failures import AHEAD, COLLAPSE, FILTERS, SATURATED, STANDSTILL, episodes, failures

HEALTHY = {
    "generator_loss": 1.8,
    "real_probability": 0.7,
    "fake_probability": 0.3,
    "diversity": 0.9,
    "nearest_sample": 1.0,
    "sample_distance": 2.0,
    "collapsed_filters": 0.0,
    "filters": {"deconv1": {"maps": 20, "dead": 0, "fixed": 0, "oscillating": 0}},
}


def history(*changes, **of_all):
    """Return one row for each change to a healthy row, from step 1100 on."""
    return [
        HEALTHY | of_all | {"epoch": float(number), "step": 1000 + 100 * number} | change
        for number, change in enumerate(changes, start=1)
    ]


def fixed(maps):
    return {"filters": {"deconv1": {"maps": 20, "dead": 0, "fixed": maps, "oscillating": maps}}}


def test_a_healthy_history_is_accused_of_nothing():
    assert episodes(history(*[{}] * 8)) == []


@pytest.mark.parametrize(
    ("change", "name", "evidence"),
    [
        ({"diversity": 0.4}, COLLAPSE, "samples lie 0.40 times as far apart as real images"),
        # As of a conditional network that knew two or three pictures of each class.
        ({"nearest_sample": 0.2}, COLLAPSE, "the nearest other 0.20 times (warned below 0.5 and 0.4)"),
        (fixed(3), FILTERS, "of 20 maps 0 never change and 3 show one picture whatever the latent vector, 3 of them"),
        ({"real_probability": 0.99, "fake_probability": 0.01}, SATURATED, "0.990 for real and 0.010 for generated"),
        ({"real_probability": 0.503, "fake_probability": 0.5}, STANDSTILL, "0.503 for real and 0.500 for generated"),
    ],
)
def test_each_failure_is_found_with_its_evidence_from_the_reading_on_that_shows_it(change, name, evidence):
    (episode,) = episodes(history({}, {}, change, change))

    assert (episode.failure.name, episode.began, episode.ended) == (name, 3.0, None)
    assert evidence in episode.failure.evidence


@pytest.mark.parametrize("change", [{"diversity": 0.55}, fixed(2), {"real_probability": 0.9, "fake_probability": 0.1}])
def test_what_is_within_the_limits_is_not_accused(change):
    assert failures(history({}, change)) == []


def test_the_line_of_a_warning_names_the_layer():
    (failure,) = failures(history(fixed(5)))

    assert str(failure).startswith("Collapsing filters in the generator's 'deconv1': of 20 maps 0 never change and 5")


def losses(*values, distances):
    return history(
        *(
            {"generator_loss": loss, "sample_distance": distance}
            for loss, distance in zip(values, distances, strict=True)
        )
    )


def test_a_discriminator_is_ahead_when_the_loss_is_high_and_samples_gain_nothing():
    ahead = losses(2, 3, 4, 5, 5, 5, distances=[9, 5, 4, 4.1, 4.2, 4])

    (episode,) = episodes(ahead)

    assert (episode.failure.name, episode.began, episode.ended) == (AHEAD, 6.0, None)
    assert "loss is 5.00 over 3 readings, and the distance of samples to real images has come to 4 at best, from 4" in (
        episode.failure.evidence
    )


def test_a_high_loss_while_samples_get_better_is_no_failure():
    assert episodes(losses(4, 4, 4, 4, 4, 4, distances=[9, 8, 7, 6, 5, 4])) == []


def test_samples_that_gain_nothing_at_a_low_loss_are_no_failure():
    assert episodes(losses(2, 2, 2, 2, 2, 2, distances=[2] * 6)) == []


def test_without_distances_a_high_loss_that_does_not_fall_is_taken_for_it():
    rows = losses(3.2, 3.2, 3.5, 4, 5, 6.6, distances=[1] * 6)
    older = [{key: value for key, value in row.items() if key != "sample_distance"} for row in rows]

    (episode,) = episodes(older)

    assert (episode.failure.name, episode.began) == (AHEAD, 4.0)
    assert "the history holds no distance of samples" in episode.failure.evidence


def test_a_failure_that_passes_has_an_end_and_one_that_pauses_for_a_reading_has_one_beginning():
    bad = {"diversity": 0.2}
    first, second = episodes(history({}, bad, {}, bad, {}, {}, bad))

    assert (first.began, first.ended) == (2.0, 5.0)
    assert (second.began, second.ended) == (7.0, None)


def test_layers_fail_one_by_one():
    layers = {name: {"maps": 20, "dead": 5, "fixed": 0, "oscillating": 0} for name in ("deconv1", "deconv2")}
    rows = history({}, {"filters": {"deconv2": layers["deconv2"]}}, {"filters": layers})

    assert [(episode.failure.layer, episode.began) for episode in episodes(rows)] == [
        ("deconv2", 2.0),
        ("deconv1", 3.0),
    ]


def test_the_first_steps_are_not_judged():
    assert failures([HEALTHY | {"step": 999, "epoch": 1.0, "diversity": 0.0}]) == []


def test_rows_of_older_releases_are_judged_by_what_they_hold():
    (failure,) = failures([{"step": 1200, "epoch": 3.0, "collapsed_filters": 0.3}])

    assert failure.evidence == "30% of the maps of the worst generator layer (warned above 10% of the maps)."
