from __future__ import annotations

import math

import pytest

from dcgan_analysis.statistics import Z_95, spread_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # By hand for z^2 = 3.8415: 0 of n is [0, z^2 / (n + z^2)]; half of n is 1/2 +- z / (2 sqrt(n + z^2)).
        (0, 10, 0, 3.8415 / 13.8415),
        (10, 10, 10 / 13.8415, 1),
        (2, 4, 0.5 - 1.96 / (2 * math.sqrt(7.8415)), 0.5 + 1.96 / (2 * math.sqrt(7.8415))),
        # Published: Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_as_computed_by_hand_and_published(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("n", [1, 7, 10_000])
def test_wilson_intervals_enclose_the_value_and_stay_within_0_and_1(n):
    for successes in {0, 1, n // 2, n - 1, n}:
        low, high = wilson_interval(successes, n)
        assert 0 <= low <= successes / n <= high <= 1
        assert low < high


def test_more_trials_narrow_the_interval():
    widths = [high - low for low, high in (wilson_interval(4 * n, 5 * n) for n in (1, 100, 2000))]

    assert widths == sorted(widths, reverse=True)
    # At 10,000 test images an accuracy of 80 % is known to 0.8 points.
    assert widths[2] / 2 == pytest.approx(1.96 * math.sqrt(0.8 * 0.2 / 10_000), rel=1e-3)


def test_success_and_failure_are_mirrored():
    low, high = wilson_interval(3, 17)

    assert wilson_interval(14, 17) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match=rf"got {successes} of {n}"):
        wilson_interval(successes, n)


def test_the_quantile_leaves_5_percent():
    assert math.erfc(Z_95 / math.sqrt(2)) == pytest.approx(0.05, abs=1e-12)


def test_draws_are_reported_as_mean_and_196_standard_deviations():
    # Deviations -1, 0, 1: std with n - 1 is 1.
    assert spread_interval([2, 3, 4]) == pytest.approx((3, 3 - 1.96, 3 + 1.96))


def test_equal_draws_and_a_single_one_have_no_spread():
    assert spread_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert spread_interval([0.7]) == (0.7, 0.7, 0.7)
