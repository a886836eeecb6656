"""An analysis goes with its folder, its entry point and its tests: nothing else needs it."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "dcgan_analysis_plugins"
BUILT_IN = ROOT / "plugins" / PACKAGE
ANALYSES = sorted(path.stem for path in BUILT_IN.iterdir() if path.stem[0] not in "_." and path.name != "py.typed")


def belongs_to(analysis, path):
    """Say whether a file goes with an analysis: it lies in its folder, is its one file, or tests it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] in ("plugins", "tests") and parts[2:3] in ((analysis,), (f"test_{analysis}",))


@functools.cache
def imported_modules(path):
    """Return all modules that a file imports, in functions as well."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


@pytest.mark.parametrize("analysis", ANALYSES)
def test_nothing_outside_an_analysis_imports_it(analysis):
    module = re.compile(rf"{PACKAGE}\.{analysis}(\.|$)")
    for folder in ("dcgan_analysis", "plugins", "tests", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            if not belongs_to(analysis, path):
                assert not any(map(module.match, imported_modules(path))), f"{path} imports {analysis}"


def copy_without(analyses, target):
    """Copy the repository without weights and without some analyses; return the names of the plugins that are left."""
    skip = shutil.ignore_patterns("*.safetensors", "*.so", ".*_cache", "*.egg-info")
    for name in ("dcgan_analysis", "plugins", "tests", "docs", "examples", "checkpoints"):
        shutil.copytree(ROOT / name, target / name, ignore=skip)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, target)
    for analysis in analyses:
        shutil.rmtree(target / "plugins" / PACKAGE / analysis)
        shutil.rmtree(target / "tests" / "plugins" / analysis)
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    gone = tuple(f'= "{PACKAGE}.{analysis}"' for analysis in analyses)
    text = "".join(line for line in lines if not line.rstrip().endswith(gone))
    (target / "pyproject.toml").write_text(text, encoding="utf-8")
    # What pip would write: the copy's own entry points come before those of the installed package.
    project = tomllib.loads(text)["project"]
    installed = target / f"dcgan_analysis-{project['version']}.dist-info"
    installed.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (installed / "METADATA").write_text(head, encoding="utf-8")
    groups = project["entry-points"]
    entries = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in groups.items()]
    (installed / "entry_points.txt").write_text("\n".join(entries), encoding="utf-8")
    return set(groups["dcgan_analysis"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_two_analyses_the_rest_is_whole(tmp_path):
    # Neither imports the other (the test above), so that whatever needs one of them is missed here as well.
    left = copy_without(["filter_dropout", "mnist_nn"], tmp_path)
    path = os.pathsep.join([str(tmp_path), str(tmp_path / "plugins")])
    environment = {**os.environ, "PYTHONPATH": path, "DCGAN_ANALYSIS_CACHE": str(tmp_path / "cache")}

    def python(*words):
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    plugins = json.loads(python("-m", "dcgan_analysis", "plugins", "--json"))
    builtin = {each["name"]: each["state"] for each in plugins if each["builtin"] and each["name"] != "core"}
    assert builtin == dict.fromkeys(left, "loaded")
    # All tests are collected, so that everything is imported that they import; these are run.
    chosen = ["-k", "(test_imports or test_host) and not light", "-m", "not slow"]
    plain = ["-q", "--assert=plain", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]
    assert "passed" in python("-m", "pytest", *plain, *chosen, "tests")
