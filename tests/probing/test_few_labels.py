from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcgan_analysis.errors import DatasetError
from dcgan_analysis.probing.classification import labelled_images
from dcgan_analysis.probing.few_labels import (
    choose_labels_per_class,
    draws_classes_table,
    errors_by_class,
    few_label_study,
    make_draws,
)
from dcgan_analysis.probing.grids import GridSettings


@pytest.fixture
def images(dcgan_context):
    return labelled_images(dcgan_context, validation=0.2)


@pytest.mark.parametrize(
    ("asked", "smallest", "usual", "chosen"),
    [
        (None, 800, 400, 400),
        (None, 799, 400, 100),
        (None, 199, 100, 40),
        (None, 8, 100, 4),
        (None, 7, 100, 0),
        (7, 3, 400, 7),
        (0, 800, 400, 0),
    ],
)
def test_the_usual_number_of_labels_or_what_half_of_the_smallest_class_gives(asked, smallest, usual, chosen):
    assert choose_labels_per_class(asked, smallest, usual) == chosen


@pytest.mark.parametrize("seed", range(5))
def test_draws_hold_every_class_equally_and_no_held_out_row(seed, dcgan_context):
    context = replace(dcgan_context, seed=seed)
    images = labelled_images(context, validation=0.4)
    draws = make_draws(images, 6, context, choosing=3, tested=4)
    assert (draws.per_class, len(draws.choosing), len(draws.tested)) == (6, 3, 4)
    for draw in (*draws.choosing, *draws.tested):
        assert not images.held_out[draw].any()
        assert np.bincount(images.labels[draw]).tolist() == [6, 6, 6]
        assert len(set(draw.tolist())) == len(draw)


def test_draws_differ_among_themselves_and_are_the_same_for_a_seed(dcgan_context, images):
    first, again = (make_draws(images, 4, dcgan_context, choosing=2, tested=2) for _ in range(2))
    rows = [draw.tolist() for draw in (*first.choosing, *first.tested)]
    assert rows == [draw.tolist() for draw in (*again.choosing, *again.tested)]
    assert len(set(map(tuple, rows))) == 4


def test_no_labels_asked_means_no_draws(dcgan_context, images):
    draws = make_draws(images, 0, dcgan_context, choosing=2, tested=2)
    assert (draws.per_class, draws.choosing, draws.tested) == (0, [], [])


def test_more_labels_than_a_class_has_are_refused_with_its_name(dcgan_context, images):
    with pytest.raises(DatasetError, match="Class 'disc' has 16 images, 17 per class were asked for"):
        make_draws(images, 17, dcgan_context, choosing=1, tested=1)


def study(context, images, train, test):
    draws = make_draws(images, 5, context, choosing=2, tested=3)
    return few_label_study(context, GridSettings(C=(1e-2, 1.0)), {"toy": (train, test)}, images, draws)["toy"]


def test_features_that_say_the_class_leave_no_error(dcgan_context, images):
    says = np.eye(3, dtype=np.float32)
    found = study(dcgan_context, images, says[images.labels], says[images.test_labels])
    assert found.accuracies == [1, 1, 1]
    assert found.held_out.min() == 1


def test_features_that_say_nothing_leave_the_error_of_guessing(dcgan_context, images):
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(60, 8)).astype(np.float32), rng.normal(size=(30, 8)).astype(np.float32)
    assert 0.1 < np.mean(study(dcgan_context, images, train, test).accuracies) < 0.6


def test_errors_are_counted_within_each_class():
    errors = errors_by_class(np.array([[0, 1, 1], [1, 1, 0]]), np.array([0, 0, 1]), 3)
    np.testing.assert_array_equal(errors, [[0.5, 0, np.nan], [1, 1, np.nan]])


def test_a_class_without_test_images_has_no_row(dcgan_context, images):
    says = np.eye(3, dtype=np.float32)
    found = study(dcgan_context, images, says[images.labels], says[images.test_labels])
    few = replace(images, test_labels=np.where(images.test_labels == 1, 0, images.test_labels))
    table = draws_classes_table(few, {"toy": found, "again": found})
    assert [row[0] for row in table.rows] == ["disc", "columns"]
    # Half of what now counts as a disc shows stripes and is taken for them.
    assert table.rows[0][1:3] == [20, 0.5]
    assert table.columns[-1] == "again"
