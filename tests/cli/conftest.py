from __future__ import annotations

import re

import pytest


@pytest.fixture
def checkpoint_file(tiny_checkpoint, tmp_path):
    """The tiny checkpoint as a file."""
    path = tmp_path / "tiny.safetensors"
    tiny_checkpoint.save(path)
    return path


@pytest.fixture
def run_folder(cli, tmp_path):
    """A finished run of the toy analysis."""
    folder = tmp_path / "finished"
    cli("run", "toy", "--out", folder).assert_success()
    return folder


@pytest.fixture
def store_file(cli, checkpoint_file):
    """A feature store in the cache: the test images of the toy dataset."""
    words = ("--dataset", "toy-images", "--split", "test", "--set", "batchnorm=running", "--set", "taps=['conv1']")
    return cli("extract", "--checkpoint", checkpoint_file, *words, "--json").assert_success().json()["test"]


@pytest.fixture
def complains():
    """Assert that a command ended with 1, or another code, and one line, and nothing on standard output."""

    def check(outcome, *texts, code=1):
        assert outcome.exit_code == code, outcome
        assert outcome.out == ""
        # After ^C the message begins on a line of its own; what had begun has lines with the time of day.
        text = re.sub(r"^\d\d:\d\d:\d\d .*\n", "", outcome.err, flags=re.MULTILINE).removeprefix("\n")
        assert text.startswith("Error: ")
        assert text.count("\n") == 1, text
        assert text.endswith("\n")
        for expected in texts:
            assert expected in text

    return check
