from __future__ import annotations

import os

import joblib
import numpy as np
import pytest

from dcgan_analysis.features.outcomes import outcome_path
from dcgan_analysis.features.trials import run_trials

CALLS = []


def square(number):
    CALLS.append(number)
    if number < 0:
        raise ArithmeticError(number)
    return {"square": np.array([number**2])}


@pytest.fixture
def search(tmp_path):
    CALLS.clear()

    def search(*numbers, **options):
        keys = [{"number": number} for number in numbers]
        outcomes, computed = run_trials("squares", keys, square, numbers, folder=tmp_path, **options)
        return [int(one["square"][0]) for one in outcomes], computed

    return search


def test_outcomes_come_in_the_order_of_the_keys(search):
    assert search(3, 1, 2) == ([9, 1, 4], 3)


def test_what_was_done_is_not_done_again_and_more_trials_compute_the_new_ones_alone(search):
    search(3, 1)
    assert search(1, 5, 3) == ([1, 25, 9], 1)
    assert CALLS == [3, 1, 5]


def test_finished_trials_survive_one_that_fails(search):
    with pytest.raises(ArithmeticError):
        search(3, 1, -1, 2)
    CALLS.clear()
    search(3, 1, 2)
    assert CALLS == [2]


@pytest.mark.parametrize("backend", ["threading", "sequential"])
def test_any_back_end_of_joblib_gives_the_same_and_is_respected(search, backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert search(3, 1, 2) == ([9, 1, 4], 3)


def test_a_back_end_that_cannot_stream_is_used_as_well_and_its_outcomes_are_kept(search, tmp_path):
    class Plain(joblib._parallel_backends.ThreadingBackend):
        supports_return_generator = False

    joblib.register_parallel_backend("plain", Plain)
    try:
        with joblib.parallel_config(backend="plain", n_jobs=2):
            assert search(3, 1) == ([9, 1], 2)
    finally:
        joblib.parallel.BACKENDS.pop("plain")
    assert outcome_path("squares", {"number": 3}, tmp_path).exists()


@pytest.mark.slow
def test_trials_run_in_processes_of_their_own(tmp_path):
    # A local function travels by value: the processes cannot import a test module.
    def root(number):
        return {"root": np.sqrt([number]), "process": np.array([os.getpid()])}

    tasks = [3.0, 4.0]
    keys = [{"root": task} for task in tasks]
    outcomes, computed = run_trials("roots", keys, root, tasks, folder=tmp_path, n_jobs=2)
    assert [one["root"][0] for one in outcomes] == [3.0**0.5, 2.0]
    assert computed == 2
    assert os.getpid() not in {int(one["process"][0]) for one in outcomes}


def test_progress_counts_finished_trials_those_found_included(search):
    search(3)
    told = []
    search(3, 1, 2, progress=lambda *words: told.append(words))
    assert told == [("squares (finished)", done, 3) for done in (1, 2, 3)]
