from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.api import accuracy_metric, draws_metric, mean_metric, paired_metric, share_metric


def test_an_accuracy_has_the_wilson_interval_of_its_test_set():
    metric = accuracy_metric(8, 10, "toy", published=0.9, source="a paper")
    assert (metric.value, metric.n, metric.interval) == (0.8, 10, "95 % Wilson")
    assert (metric.low, metric.high) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert (metric.published, metric.source) == (0.9, "a paper")


def test_draws_have_their_mean_and_spread():
    metric = draws_metric([0.2, 0.3, 0.4], "toy", over="networks", higher_is_better=False)
    assert metric.value == pytest.approx(0.3)
    assert metric.high - metric.value == pytest.approx(1.96 * 0.1)
    assert (metric.n, metric.interval, metric.higher_is_better) == (3, "1.96 std over networks", False)


def test_draws_are_better_when_higher_unless_said_otherwise():
    assert draws_metric([0.5], "toy").higher_is_better


def test_the_spread_of_draws_stays_between_none_and_all():
    assert draws_metric([0, 0.1], "toy").low == 0
    assert draws_metric([1, 0.9], "toy").high == 1
    assert draws_metric([1, 1], "toy").low == 1


def test_a_paired_metric_counts_images_that_one_alone_gets_right():
    a = np.array([True] * 9 + [False])
    b = np.array([True] * 5 + [False] * 4 + [True])
    metric = paired_metric(a, b, "a minus b")
    assert metric.value == pytest.approx(0.3)
    assert (metric.n, metric.interval) == (10, "95 %, paired")
    # 4 against 1: the exact two-sided p is 2 (1 + 5) / 2^5.
    assert metric.description == "a minus b; McNemar's exact test: p = 0.38"
    assert metric.low < 0 < metric.value < metric.high


def test_a_share_has_the_wilson_interval_of_its_cases():
    metric = share_metric(np.array([True] * 8 + [False] * 2), "toy", higher_is_better=None)
    assert metric == accuracy_metric(8, 10, "toy").model_copy(update={"higher_is_better": None})


def test_a_mean_is_known_to_its_standard_error_and_no_end_is_out_of_bounds():
    metric = mean_metric([0.0, 1.0, 0.0, 1.0], "toy", over="legs", higher_is_better=False)
    # Standard deviation sqrt(1/3), four values; 3.182 is the quantile of Student's t with three degrees of freedom.
    assert metric.high - metric.value == pytest.approx(3.182446 * (1 / 3) ** 0.5 / 2)
    assert (metric.value, metric.n, metric.interval) == (0.5, 4, "95 % Student's t over legs")
    assert (metric.unit, metric.higher_is_better) == ("number", False)
    cut = mean_metric([0.0, 1.0], "toy", over="legs", higher_is_better=None, bounds=(0, 1))
    assert (cut.low, cut.high) == (0, 1)


@pytest.mark.parametrize(("count", "ends"), [(0, (0, 0.0038)), (500, (0.469, 0.531))])
def test_shares_that_are_alike_are_open_to_the_sides_that_one_measurement_leaves(count, ends):
    alike = mean_metric(
        [count / 1000] * 3, "toy", over="draws", higher_is_better=None, unit="fraction", bounds=(0, 1), cases=1000
    )
    assert (alike.low, alike.high) == pytest.approx(ends, abs=1e-3)
    assert (alike.value, alike.n, alike.interval) == (count / 1000, 1000, "95 % Wilson, all draws alike")


def test_shares_that_differ_have_the_interval_of_their_draws():
    differ, plain = (mean_metric([0.1, 0.2], "toy", over="draws", higher_is_better=None, cases=n) for n in (10, None))
    assert differ == plain
