"""The demonstration of the main analysis; that of all is tested with runs of several analyses."""

from __future__ import annotations

import pytest

from dcgan_analysis.cli import demo


@pytest.fixture
def requests(monkeypatch):
    """The requests of the command, which are not carried out."""
    requests = []
    monkeypatch.setattr(demo, "execute", requests.append)
    return requests


def test_the_demonstration_shows_photos_on_which_learning_is_visible(run_cli, requests):
    outcome = run_cli("demo").assert_success()
    assert [(request.analysis, request.dataset) for request in requests] == [("svm-cifar", "cifar10-mini")]
    assert "never saw a test photo" in outcome.err


def test_digits_stay_and_are_introduced_as_what_they_are(run_cli, requests):
    outcome = run_cli("demo", "--dataset", "digits").assert_success()
    assert [request.dataset for request in requests] == ["digits"]
    assert "both do well" in outcome.err


def test_what_is_not_embedded_is_wrong_usage(run_cli, requests):
    assert run_cli("demo", "--dataset", "cifar10").exit_code == 2
    assert not requests
