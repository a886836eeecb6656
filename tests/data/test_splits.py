from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.data import DatasetSplit
from dcgan_analysis.data.splits import few_label_draws, holdout, last
from dcgan_analysis.errors import DatasetError


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_holdout_puts_every_image_on_exactly_one_side(labelled, grouped):
    labels = rng(1).integers(0, 7, 500) if labelled else None
    groups = np.arange(500) // 3 if grouped else None
    rest, held = holdout(500, 120, rng(), labels=labels, groups=groups)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, held])), np.arange(500))
    assert 118 <= len(held) <= 120


def test_holdout_takes_each_class_in_proportion():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    _, held = holdout(1000, 100, rng(), labels=labels)
    assert np.bincount(labels[held]).tolist() == [60, 30, 10]


@pytest.mark.parametrize("size", [1, 7, 50, 99])
def test_holdout_is_exact_where_proportions_are_not_whole(size):
    labels = rng(3).integers(0, 9, 100)
    _, held = holdout(100, size, rng(), labels=labels)
    assert len(held) == size
    exact = np.bincount(labels) * size / 100
    assert np.abs(np.bincount(labels[held], minlength=9) - exact).max() < 1


def test_holdout_never_divides_a_group():
    groups = rng(4).integers(0, 90, 300)
    labels = rng(5).integers(0, 3, 300)
    rest, held = holdout(300, 100, rng(), labels=labels, groups=groups)
    assert not set(groups[rest]) & set(groups[held])


def test_holdout_of_groups_stays_near_the_proportions():
    groups = rng(6).permutation(np.arange(2000) // 2)
    labels = rng(7).choice(3, 2000, p=[0.6, 0.3, 0.1])
    _, held = holdout(2000, 500, rng(), labels=labels, groups=groups)
    assert np.abs(np.bincount(labels[held]) - np.bincount(labels) / 4).max() <= 5


def test_holdout_fails_where_every_group_is_too_large():
    with pytest.raises(DatasetError, match="No group of images is as small as the 2"):
        holdout(9, 2, rng(), groups=np.arange(9) // 3)


def test_holdout_depends_on_the_seed_alone():
    first, again, other = (holdout(50, 20, rng(seed))[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("size", [0, 10, -1])
def test_holdout_leaves_no_side_empty(size):
    with pytest.raises(DatasetError, match=f"Cannot hold out {size} of 10"):
        holdout(10, size, rng())


def test_draws_hold_equally_many_of_each_class_and_no_image_twice():
    labels = rng(8).integers(0, 4, 200)
    rows = few_label_draws(labels, 20, 6, rng())
    assert rows.shape == (6, 80)
    assert rows.dtype == np.int64
    for row in rows:
        assert np.bincount(labels[row]).tolist() == [20] * 4
        assert (np.diff(row) > 0).all()
    assert len({tuple(row) for row in rows}) == 6


def test_more_draws_begin_with_the_same_ones():
    labels = np.arange(60) % 3
    few, many = few_label_draws(labels, 4, 2, rng()), few_label_draws(labels, 4, 5, rng())
    np.testing.assert_array_equal(few, many[:2])


def test_every_image_is_drawn_about_equally_often():
    rows = few_label_draws(np.arange(20) % 2, 5, 2000, rng())
    # Each image is in half of the draws: 1000 +- 22 (one standard deviation).
    assert np.abs(np.bincount(rows.ravel()) - 1000).max() < 5 * 22.4


def test_class_with_too_few_images_is_named():
    labels = [0, 0, 0, 1, 1]
    with pytest.raises(DatasetError, match="Class 'owl' has 2 images, 3 per class were asked"):
        few_label_draws(labels, 3, 1, rng(), classes=["hen", "owl"])
    with pytest.raises(DatasetError, match="Class 'emu' has 0 images"):
        few_label_draws(labels, 1, 1, rng(), classes=["hen", "owl", "emu"])


@pytest.mark.parametrize(("per_class", "draws"), [(0, 1), (1, 0)])
def test_empty_draws_are_refused(per_class, draws):
    with pytest.raises(DatasetError, match="both must be 1 or more"):
        few_label_draws([0, 1], per_class, draws, rng())


def split_of(n, groups=None):
    images = np.zeros((n, 1, 1, 1), np.uint8)
    return DatasetSplit(images, None, [str(i) for i in range(n)], groups, source="s.zip")


def test_last_cuts_off_the_end_and_says_so():
    rest, held = last(split_of(5), 2)
    assert (rest.ids, held.ids) == (["0", "1", "2"], ["3", "4"])
    assert (rest.source, held.source) == ("s.zip, first 3", "s.zip, last 2")


@pytest.mark.parametrize("n", [0, 5])
def test_last_leaves_no_side_empty(n):
    with pytest.raises(DatasetError, match=f"last {n} of 5"):
        last(split_of(5), n)


def test_last_does_not_cut_through_a_photo():
    split = split_of(5, np.array([1, 1, 2, 2, 3]))
    with pytest.raises(DatasetError, match=r"share 1 groups .* group 2"):
        last(split, 2)
    assert last(split, 3)[1].groups.tolist() == [2, 2, 3]
