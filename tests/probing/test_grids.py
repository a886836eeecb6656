from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from dcgan_analysis.linear.selection import DECADES, probe, search_grid
from dcgan_analysis.probing.grids import GridSettings, grid_table, note_grid


@dataclass
class Choice:
    c: float
    cs: np.ndarray
    validation: np.ndarray


@pytest.fixture
def words(dcgan_context):
    """What a context was told: notes and warnings."""
    notes, warnings = [], []
    dcgan_context.note, dcgan_context.warn = notes.append, warnings.append
    return notes, warnings


def peak_at(c):
    """Accuracies that fall with the distance to a C in decades."""
    return lambda cs: 1 - np.abs(np.log10(np.asarray(cs) / c)) / 20


def test_a_grid_that_holds_the_best_stays_as_it_is():
    grid, accuracies = search_grid({"a": peak_at(1e-2)}, [1e-3, 1e-2, 1e-1])
    assert grid.tolist() == [1e-3, 1e-2, 1e-1]
    assert accuracies["a"].tolist() == pytest.approx([0.95, 1, 0.95])


@pytest.mark.parametrize(("best", "ends"), [(5.0, (1e-3, 10.0)), (2e-6, (1e-6, 1e-2))])
def test_a_grid_goes_on_until_the_best_lies_inside(best, ends):
    grid, accuracies = search_grid({"a": peak_at(best)}, [1e-3, 1e-2])
    assert (grid[0], grid[-1]) == ends
    assert grid[accuracies["a"].argmax()] == best
    np.testing.assert_allclose(accuracies["a"], peak_at(best)(grid))


def test_all_that_are_compared_have_the_grid_that_one_of_them_needs():
    grid, accuracies = search_grid({"learned": peak_at(3e-3), "twin": peak_at(2.0)}, [1e-3, 3e-3, 1e-2])
    assert grid[-1] == 10
    assert {len(values) for values in accuracies.values()} == {len(grid)}
    assert [grid[values.argmax()] for values in accuracies.values()] == [3e-3, 2.0]


def test_draws_are_judged_by_their_mean():
    judges = {"a": lambda cs: np.stack([peak_at(1e-3)(cs), peak_at(1e-1)(cs), peak_at(1e-1)(cs)])}
    grid, accuracies = search_grid(judges, [1e-3, 1e-2])
    assert accuracies["a"].shape == (3, len(grid))
    assert grid[accuracies["a"].mean(axis=0).argmax()] == 1e-1


def test_an_accuracy_that_never_falls_is_followed_so_far_and_no_farther():
    grid, _ = search_grid({"a": np.log10}, [1e-3, 1e-2])
    assert grid[-1] == pytest.approx(1e-2 * 10**DECADES)
    assert search_grid({"a": np.log10}, [1e-3, 1e-2], decades=0)[0].tolist() == [1e-3, 1e-2]


def test_values_that_are_equally_good_are_no_reason_to_go_on():
    assert len(search_grid({"a": np.ones_like}, [1e-3, 1e-2])[0]) == 2
    assert len(search_grid({"a": np.log10}, [1e-2])[0]) == 1


def test_what_tells_classes_apart_beside_louder_noise_needs_a_c_beyond_the_grid():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    quiet, loud = np.eye(3)[labels] * 0.05, rng.normal(size=(300, 20))
    features = np.concatenate([quiet, loud], axis=1).astype(np.float32)
    held_out = np.arange(300) % 4 == 0
    fixed, extended = (
        probe(features, labels, held_out, features, (1e-3, 1e-2), decades=decades) for decades in (0, DECADES)
    )
    assert fixed.validation.max() < 0.8
    assert extended.c > 1
    assert extended.validation.max() == 1


def test_an_extension_is_told(words, dcgan_context):
    choice = Choice(0.5, np.array([0.1, 0.5, 1.0]), np.array([0.1, 0.3, 0.2]))
    note_grid(dcgan_context, GridSettings(C=(0.1, 0.2)), {"toy": choice})
    notes, warnings = words
    assert notes == [
        "The best C of a set of features lay at an end of the grid, 0.1 to 0.2: "
        "for all of them it was extended to 0.1 to 1."
    ]
    assert not warnings


@pytest.mark.parametrize(("validation", "word"), [([3, 2, 1], "smaller"), ([1, 2, 3], "larger"), ([1, 2, 1], None)])
def test_a_best_c_that_stays_at_an_end_is_a_warning(validation, word, words, dcgan_context):
    choice = Choice(1, np.array([0.1, 1, 10]), np.array(validation) / 10)
    note_grid(dcgan_context, GridSettings(C=(0.1, 1, 10), protocol="paper"), {"toy": choice})
    notes, warnings = words
    assert not notes
    assert [f"A {word} one may do better" in text for text in warnings] == ([True] if word else [])


def test_grids_that_were_extended_apart_share_a_table():
    near = Choice(0.1, np.array([0.1, 1.0]), np.array([0.75, 0.5]))
    far = Choice(10, np.array([1.0, 10.0]), np.array([0.5, 1.0]))
    assert grid_table({"near": near, "far": far}).rows == [[0.1, 0.75, None], [1.0, 0.5, 0.5], [10.0, None, 1.0]]
