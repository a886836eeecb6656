"""The examples in docstrings run, in the package as it is installed."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules_with_examples():
    """Yield the dotted names of all modules of the framework and its plugins that hold an example."""
    for root in (ROOT / "dcgan_analysis", *sorted((ROOT / "plugins").iterdir())):
        for path in sorted(root.rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(root.parent).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def failures(module):
    """Run a module's examples and return what doctest reports, one text for each that fails."""
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(verbose=False)
    reports = []
    for test in finder.find(module):
        runner.run(test, out=reports.append)
    return reports


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch, unrendered):
    monkeypatch.chdir(tmp_path)  # some write a run folder, or images
    reports = failures(importlib.import_module(name))
    assert not reports, "\n".join(reports)


def test_a_wrong_example_is_reported():
    class Module:
        """Adds.

        >>> 1 + 1
        3
        """

    assert "Expected:\n    3\nGot:\n    2" in failures(Module)[0]
