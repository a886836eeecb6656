from __future__ import annotations

import io
from contextlib import redirect_stderr
from types import SimpleNamespace

import pytest

from dcgan_analysis.cli import progress
from dcgan_analysis.cli.progress import shown_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    return Terminal()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_where_there_is_no_terminal_nothing_is_drawn(clock):
    with redirect_stderr(io.StringIO()) as written, shown_progress() as report:
        report("images", 10, 2000)
        clock.seconds = 5.0
        report("images", 1500, 2000)
    assert written.getvalue() == ""


def test_long_work_gets_a_bar_with_its_count(terminal, clock):
    with redirect_stderr(terminal), shown_progress() as report:
        report("images", 10, 2000)
        clock.seconds = 5.0
        report("images", 1500, 2000)
    assert "images" in terminal.getvalue()
    assert "1,500/2,000" in terminal.getvalue()


def test_work_that_is_over_at_once_gets_none_however_often_it_comes(terminal, clock):
    with redirect_stderr(terminal), shown_progress() as report:
        for _ in range(5):
            report("images", 1, 2)
            report("images", 2, 2)
            clock.seconds += 5.0
    assert "images" not in terminal.getvalue()
