from __future__ import annotations

import math

import numpy as np
import pytest

from dcgan_analysis.core.statistics import (
    Z_95,
    auc_difference,
    auc_interval,
    bootstrap_difference,
    bootstrap_mean,
    judged_interval,
    judged_share,
    mcnemar,
    mean_interval,
    paired_draws,
    precedence_test,
    rank_correlations,
    spread_interval,
    tails,
    wilson_interval,
)
from dcgan_analysis.errors import AnalysisError


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


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    # By hand: twice the binomial tail of 1/2. 5 of 5: 2/32; 8 of 10: 2 (45 + 10 + 1) / 1024; 3 of 6 and 0 of 0: 1.
    [(5, 0, 2 / 32), (0, 5, 2 / 32), (8, 2, 112 / 1024), (3, 3, 1), (0, 0, 1)],
)
def test_mcnemars_test_is_exact(only_a, only_b, p):
    found = mcnemar(only_a, only_b, 100)
    assert found.p == pytest.approx(p)
    assert found.value == (only_a - only_b) / 100
    assert found.low <= found.value <= found.high
    assert found.low < found.high


def test_swapping_two_classifiers_mirrors_their_difference():
    one, other = mcnemar(30, 12, 200), mcnemar(12, 30, 200)
    assert (one.value, one.low, one.high, one.p) == pytest.approx((-other.value, -other.high, -other.low, other.p))


def test_an_interval_without_zero_goes_with_a_small_p():
    assert mcnemar(40, 10, 1000).low > 0
    assert mcnemar(40, 10, 1000).p < 0.05
    assert mcnemar(12, 10, 1000).low < 0


@pytest.mark.parametrize("wrong", [(1, 1, 1), (-1, 0, 5), (0, 0, 0)])
def test_impossible_counts_of_disagreement_are_refused(wrong):
    with pytest.raises(ValueError, match="add up"):
        mcnemar(*wrong)


def test_draws_and_images_both_widen_a_paired_interval():
    a = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    b = np.array([[1, 0, 1, 0], [0, 1, 1, 1]])
    # By hand: differences by draw 1/4, 1/4 (variance 0); by image 1/2, 1/2, 0, 0 (variance 1/12, over 4 images 1/48).
    found = paired_draws(a, b, same_draws=True)
    assert found.high - found.value == pytest.approx(1.96 / math.sqrt(48), rel=1e-4)
    assert found.p == pytest.approx(math.erfc(0.25 * math.sqrt(48) / math.sqrt(2)))
    # With other draws the variances over draws add: A's means 3/4, 1 have 1/32, B's 1/2, 3/4 have 1/32; over 2 draws.
    apart = paired_draws(a, b, same_draws=False)
    assert apart.high - apart.value == pytest.approx(1.96 * math.sqrt(1 / 48 + 1 / 32), rel=1e-4)


def test_identical_predictions_have_no_difference():
    a = np.ones((3, 5))
    assert paired_draws(a, a, same_draws=True) == paired_draws(a, a, same_draws=False)
    assert paired_draws(a, a, same_draws=True).p == 1


def test_draws_on_other_images_are_refused():
    with pytest.raises(ValueError, match="same N images"):
        paired_draws(np.ones((2, 4)), np.ones((2, 5)), same_draws=False)


def test_rank_correlations_share_ranks_among_ties():
    from scipy.stats import spearmanr

    values = np.array([[1.0, 1.0, 2.0, 5.0, 3.0]])
    assert rank_correlations(values)[0] == pytest.approx(spearmanr(range(5), values[0]).statistic)


def test_rank_correlations_look_at_order_alone_and_a_constant_has_none():
    # Ranks 2, 1, 3 against 1, 2, 3: 1 - 6 (1 + 1) / (3 * 8).
    assert rank_correlations(np.array([[5.0, 1.0, 1000.0], [4.0, 4.0, 4.0]])).tolist() == pytest.approx([0.5, 0.0])


def rng():
    return np.random.default_rng(0)


def test_the_mean_weighs_every_group_alike_and_leaves_gaps_out():
    values = np.array([[1.0, 1.0, 1.0], [4.0, np.nan, np.nan], [np.nan] * 3])
    found = bootstrap_mean(values, rng())
    assert (found.value, found.groups) == (2.5, 2)
    assert found.low == 1
    assert found.high == 4


def test_one_group_of_equal_values_has_an_interval_without_width():
    found = bootstrap_mean(np.array([[2.0, 2.0]]), rng())
    assert found.low == found.value == found.high == 2


def test_the_interval_is_that_of_normal_theory_where_there_is_one_value_in_each_group():
    values = np.random.default_rng(1).normal(10, 2, (200, 1))
    found = bootstrap_mean(values, rng())
    half = 1.96 * values.std() / np.sqrt(200)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_values_of_one_group_count_for_less_than_values_of_many():
    spread = np.random.default_rng(2).normal(size=(40, 1))
    alike = np.repeat(spread[:4], 10, axis=1)
    many, few = bootstrap_mean(spread, rng()), bootstrap_mean(alike, rng())
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_an_interval_of_95_percent_covers_the_truth_about_that_often():
    source = np.random.default_rng(3)
    hits = 0
    for _ in range(40):
        values = source.normal(0, 1, (25, 1)) + source.normal(0, 1, (25, 4))
        found = bootstrap_mean(values, source)
        hits += found.low <= 0 <= found.high
    assert hits >= 34


def test_a_difference_is_first_less_second_and_its_sign_is_known_when_they_lie_apart():
    first, second = np.array([[3.0], [4.0], [5.0]]), np.array([[1.0], [1.5]])
    found = bootstrap_difference(first, second, rng())
    assert found.value == 2.75
    assert 0 < found.low <= found.value <= found.high
    assert found.groups == 2


def test_no_value_at_all_is_refused():
    with pytest.raises(ValueError, match="no value to resample"):
        bootstrap_mean(np.full((2, 2), np.nan), rng())


def test_judges_add_their_variance_to_that_of_cases():
    rng = np.random.default_rng(0)
    cases = rng.normal(size=200)
    alike, apart = np.tile(cases, (5, 1)), cases + np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[:, None]
    mean, low, high = judged_interval(alike)
    assert (mean, high - mean) == (pytest.approx(cases.mean()), pytest.approx(1.97 * cases.std() / 200**0.5, rel=0.02))
    # Five judges of standard deviation 0.79: their mean is known to 0.35, with some four degrees of freedom.
    mean, low, high = judged_interval(apart)
    assert high - mean == pytest.approx(2.7 * (0.79**2 / 5 + cases.var() / 200) ** 0.5, rel=0.05)
    assert high - mean == pytest.approx(mean - low)


def test_intervals_over_judges_and_cases_cover_what_they_should():
    """Judges that differ by 0.1, 100 cases: intervals of cases alone would cover two in three."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        truth = 0.4
        judges = rng.normal(scale=0.1, size=5)
        cases = rng.uniform(size=100)
        low, high = judged_share(cases[None] < truth + judges[:, None])[1:]
        held += low <= truth <= high
    assert held / 400 > 0.93


def test_a_share_of_none_or_all_has_a_bound_on_one_side():
    for hits, ends in ((np.zeros((5, 50), bool), (0, 0.0713)), (np.ones((5, 50), bool), (0.9287, 1))):
        value, low, high = judged_share(hits)
        assert (low, high) == (pytest.approx(ends[0], abs=1e-3), pytest.approx(ends[1], abs=1e-3))
        assert value == hits.mean()


def test_one_judge_leaves_the_interval_that_wilson_gives():
    hits = np.arange(100) < 30
    assert judged_share(hits[None])[1:] == pytest.approx(wilson_interval(30, 100), abs=5e-3)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_means_of_few_draws_cover_the_truth_95_times_in_100(n):
    draws = np.random.default_rng(n).normal(1.0, 2.0, (2000, n))
    covered = np.mean([low <= 1.0 <= high for _, low, high in (mean_interval(row.tolist()) for row in draws)])

    assert covered == pytest.approx(0.95, abs=0.015)


def test_the_difference_of_two_areas_on_the_same_cases_has_their_common_part_taken_out():
    rng = np.random.default_rng(0)
    plainness = rng.random(400)
    ours, theirs = plainness + 0.1 * rng.random(400), plainness + 0.1 * rng.random(400)
    value, low, high = auc_difference(ours[:200], ours[200:], theirs[:200], theirs[200:])
    assert low < 0 < high
    assert value == pytest.approx(auc_interval(ours[:200], ours[200:])[0] - auc_interval(theirs[:200], theirs[200:])[0])
    assert high - low < 0.3 * np.diff(auc_interval(ours[:200], ours[200:])[1:])
    assert auc_difference(ours[:200], ours[200:], ours[:200], ours[200:]) == (0, 0, 0)


def test_an_area_is_that_of_scikit_learn_and_scipy():
    from scipy.stats import mannwhitneyu
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    lower, higher = rng.integers(0, 20, 40), rng.integers(4, 24, 60)  # with ties
    value, low, high = auc_interval(lower, higher)
    kinds = np.repeat([0, 1], [40, 60])
    assert value == pytest.approx(roc_auc_score(kinds, np.concatenate([lower, higher])))
    assert value == pytest.approx(mannwhitneyu(higher, lower).statistic / 2400)
    assert low < value < high


def test_samples_of_which_one_lies_below_the_other_have_the_interval_of_the_fewer():
    assert auc_interval(range(10), range(10, 40)) == (1.0, *wilson_interval(10, 10))
    assert auc_interval(range(10, 40), range(10)) == (0.0, *wilson_interval(0, 10))


def test_the_precedence_test_holds_its_level_and_sees_a_few_small_values_among_many():
    rng = np.random.default_rng(0)
    chances = np.array([precedence_test(rng.random(300), rng.random(60), 2)[1] for _ in range(1000)])
    assert 0.02 < (chances < 0.05).mean() <= 0.06
    copies = np.concatenate([rng.random(290), np.full(10, -1.0)])
    assert precedence_test(copies, rng.random(300), 3)[1] < 0.05
    assert precedence_test([5, 6], [1, 2]) == (0, 1)


def test_ends_are_the_lowest_and_the_highest_values():
    low, high = tails(np.array([5.0, 1.0, 4.0, 2.0, 3.0]), 0.4, 2)
    assert (low.tolist(), high.tolist()) == ([1, 3], [2, 0])
    with pytest.raises(AnalysisError, match="Either end of the scores holds 2 of 5 samples; 3 are needed"):
        tails(np.arange(5.0), 0.4, 3)
