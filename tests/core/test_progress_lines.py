"""Lines in Python's logging: when stages begin and end, and how far long ones are."""

from __future__ import annotations

import logging
import pickle
from types import SimpleNamespace

import pytest

from dcgan_analysis.core import progress
from dcgan_analysis.core.progress import ProgressLog


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def lines(caplog):
    """What was logged so far."""
    caplog.set_level(logging.INFO, logger="dcgan_analysis")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_stage_has_a_line_at_its_beginning_and_one_with_its_time_at_its_end(clock, lines):
    with ProgressLog().stage("features"):
        assert lines() == ["features: begins"]
        clock.seconds = 65
    assert lines()[1:] == ["features: done after 1 min 05 s"]


def test_a_stage_that_fails_does_not_say_that_it_is_done(clock, lines):
    with pytest.raises(KeyboardInterrupt), ProgressLog().stage("features"):
        raise KeyboardInterrupt
    assert lines()[-1] == "features: stopped after 0 ms"


def test_a_long_stage_says_each_minute_what_share_is_done_and_how_long_the_rest_takes(clock, lines):
    report = ProgressLog(interval=60)
    with report.stage("features"):
        for seconds in range(0, 121, 10):
            clock.seconds = seconds
            report("images", 100 * seconds, 48_000)
        assert lines()[1:] == [
            "features: images: 6,000 of 48,000, 12 %, about 7 min 00 s left (1 min 00 s so far)",
            "features: images: 12,000 of 48,000, 25 %, about 6 min 00 s left (2 min 00 s so far)",
        ]


def test_work_without_a_known_end_says_how_much_is_done(clock, lines):
    report = ProgressLog(interval=60)
    with report.stage("fit"):
        clock.seconds = 60
        report("L2-SVM (steps)", 7, 0)
    assert lines()[1] == "fit: L2-SVM (steps): 7 so far (1 min 00 s so far)"


def test_work_that_reports_nothing_is_said_to_go_on(clock, lines):
    report = ProgressLog(interval=60)
    with report.stage("a stranger's analysis"):
        clock.seconds = 59
        report.remind()
        assert len(lines()) == 1
        clock.seconds = 61
        report.remind()
    assert lines()[1] == "a stranger's analysis (1 min 01 s so far)"


def test_the_rest_is_estimated_for_work_that_began_in_the_middle(clock, lines):
    report = ProgressLog(interval=60)
    report("images", 900, 1000)
    clock.seconds = 60
    report("images", 950, 1000)
    assert "95 %, about 1 min 00 s left" in lines()[0]


def test_a_stage_that_fails_before_any_work_leaves_the_word_to_the_error(lines):
    report = ProgressLog()
    with pytest.raises(FileNotFoundError), report.stage("preparing", at_work=True):
        raise FileNotFoundError
    assert lines() == []
    with report.stage("preparing", at_work=True):
        report("images", 1, 2)
    assert [line.split(" after")[0] for line in lines()] == ["preparing: begins", "preparing: done"]


def test_stages_within_stages_each_have_their_lines(clock, lines):
    report = ProgressLog()
    with report.stage("run"), report.stage("features"):
        pass
    assert [line.split(" after")[0] for line in lines()] == [
        "run: begins",
        "features: begins",
        "features: done",
        "run: done",
    ]


def test_a_log_goes_to_a_worker_process_as_one_that_calls_nobody():
    calls = []
    pickle.loads(pickle.dumps(ProgressLog(lambda *call: calls.append(call))))("images", 1, 2)
    assert calls == []


def test_calls_are_passed_on_and_a_log_is_not_wrapped_twice():
    calls = []
    report = ProgressLog.over(lambda *call: calls.append(call))
    ProgressLog.over(report)("images", 1, 2)
    assert ProgressLog.over(report) is report
    assert calls == [("images", 1, 2)]
