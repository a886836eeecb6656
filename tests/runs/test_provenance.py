"""The code hash covers what computes: the plugin's distribution and the framework's computing rooms."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from dcgan_analysis.host.loading import PluginInfo
from dcgan_analysis.runs import provenance
from dcgan_analysis.runs.provenance import code_sha256
from dcgan_analysis.runs.run import run

ANALYSIS = """
from dcgan_analysis.api import AnalysisConfig, Metric, Needs
from {science} import level


class Level:
    \"\"\"Says a number.\"\"\"

    name, summary, question, reference = "level", "A level", "Which level?", "none"
    config_type, needs = AnalysisConfig, Needs()

    def run(self, context, config):
        return context.result(title="Level", headline="level", metrics={{"level": Metric(value=level())}})
"""
SCIENCE = '"""Levels."""\n\n\ndef level():\n    """Return it."""\n    return 0.5\n'


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes modules where they can be imported; they are forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    written = set()

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / "site" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.add(name.split("__")[0])
        importlib.invalidate_caches()

    yield write
    # These alone: a module of the framework imported a second time would have classes that are not those of the first.
    for name in [name for name in sys.modules if name.split(".")[0] in written]:
        del sys.modules[name]


@pytest.fixture
def package(write):
    """An analysis in a package, as an editable installation leaves it: only the path leads to it."""
    write(acme_gan__analysis=ANALYSIS.format(science="acme_gan.science"), acme_gan__science=SCIENCE)
    Path(sys.path[0], "acme_gan", "__init__.py").touch()
    return importlib.import_module("acme_gan.analysis").Level()


@pytest.fixture
def framework(tmp_path, monkeypatch):
    """A copy of some rooms in place of the framework."""
    copy = tmp_path / "framework" / "dcgan_analysis"
    for room in ("cli", "report", "host", "core", "linear"):
        shutil.copytree(provenance._FRAMEWORK / room, copy / room)
    monkeypatch.setattr(provenance, "_FRAMEWORK", copy)
    return copy


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_what_only_shows_or_checks_does_not_count(framework):
    before = code_sha256()
    change(framework / "cli" / "verify.py", "for damage.", "for damage of any kind.")
    assert code_sha256() == before
    for room in ("cli", "report", "host"):
        (framework / room / "new.py").write_text("STEP = 1\n", encoding="utf-8")
    assert code_sha256() == before


def test_a_docstring_of_a_computing_room_does_not_count_and_its_code_does(framework):
    before = code_sha256()
    change(framework / "core" / "statistics.py", '"""', '"""Words. ')
    assert code_sha256() == before
    (framework / "linear" / "new.py").write_text("STEP = 1\n", encoding="utf-8")
    assert code_sha256() != before


def test_every_computing_file_of_the_plugins_package_counts(package, write):
    before = code_sha256(package)
    assert before != code_sha256()
    write(acme_gan__science=SCIENCE.replace("Return it.", "Other words."))
    assert code_sha256(package) == before
    write(acme_gan__science=SCIENCE.replace("0.5", "0.25"))
    changed = code_sha256(package)
    assert changed != before
    write(acme_gan__deep__more="STEP = 1\n")
    assert code_sha256(package) not in (before, changed)


def test_a_module_by_itself_counts_with_the_modules_beside_it_that_it_imports(write):
    write(acme_level=ANALYSIS.format(science="acme_science"), acme_science=SCIENCE, acme_unrelated="STEP = 1\n")
    level = importlib.import_module("acme_level").Level()
    before = code_sha256(level)
    write(acme_unrelated="STEP = 2\n")
    assert code_sha256(level) == before
    write(acme_science=SCIENCE.replace("0.5", "0.25"))
    assert code_sha256(level) != before


def test_an_installed_distribution_counts_as_a_whole(package, write):
    site = Path(sys.path[0])
    info = site / "acme_gan-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-gan\nVersion: 1.0\n", encoding="utf-8")
    names = ["acme_gan/__init__.py", "acme_gan/analysis.py", "acme_gan/science.py", "acme_tools.py", "acme_gan/a.txt"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names), encoding="utf-8")
    write(acme_tools="STEP = 1\n")
    plugin = PluginInfo("level", "acme-gan", "1.0", "acme_gan.analysis")
    before = code_sha256(package, plugin)
    write(acme_tools="STEP = 2\n")
    assert code_sha256(package, plugin) != before


def test_the_distribution_of_the_built_in_plugins_counts_without_the_command_line():
    pixels = pytest.importorskip("dcgan_analysis_plugins.pixels").Pixels()
    plugin = PluginInfo("pixels", "dcgan-analysis", "0", "dcgan_analysis_plugins.pixels", builtin=True)
    assert code_sha256(pixels, plugin) == code_sha256(pixels) != code_sha256()


def test_an_analysis_that_was_typed_at_a_prompt_has_no_file(make_toy, monkeypatch):
    toy = make_toy()
    monkeypatch.setattr(type(toy), "__module__", "no_such_module")
    assert code_sha256(toy) == code_sha256()


def test_a_run_records_the_code_that_made_it(package, write, host, tmp_path):
    hashes = []
    for number in range(2):
        result = run(package, host=host, out=tmp_path / str(number))
        hashes.append(result.environment.code_sha256)
        write(acme_gan__science=SCIENCE.replace("0.5", "0.25"))
    assert hashes[0] != hashes[1]
