"""Plugins in an environment of their own, as pip installs them: the example, a new one, and three that are broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dcgan_analysis.host.scaffold import new_plugin

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "dcgan-analysis-hello"
BROKEN = {
    "acme-import": "import a_package_that_nobody_has\n",
    "acme-misspelt": (
        "from dcgan_analysis import hookimpl\n\n\n@hookimpl\ndef dcgan_register_analysis(register):\n    pass\n"
    ),
    "acme-duplicate": (
        "from dcgan_analysis import hookimpl\nfrom dcgan_analysis.api import AnalysisConfig, Needs\n\n\n"
        "class Namesake:\n"
        "    name, summary, question, reference = 'hello', 'A namesake', 'Who am I?', 'none'\n"
        "    config_type, needs = AnalysisConfig, Needs()\n\n"
        "    def run(self, context, config):\n        raise NotImplementedError\n\n\n"
        "@hookimpl\ndef dcgan_register_analyses(register):\n    register(Namesake())\n"
    ),
}


def write_package(folder, name, source):
    """Write a package that holds one module."""
    module = name.replace("-", "_")
    folder.mkdir()
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    lines = [
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"',
        f'[project]\nname = "{name}"\nversion = "2.0"',
        f'[project.entry-points.dcgan_analysis]\n{name} = "{module}"',
        f'[tool.hatch.build.targets.wheel]\nonly-include = ["{module}.py"]\n',
    ]
    (folder / "pyproject.toml").write_text("\n\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment that sees the packages of this one, with five plugins installed; returns its interpreter."""
    for needed in ("hatchling", "pip"):
        pytest.importorskip(needed)
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "venv", symlinks=os.name != "nt")
    found = root / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    site = subprocess.run(
        [found, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, text=True, stdout=-1
    ).stdout.strip()
    # Lines that begin with import are run: each folder with its own .pth files, those of editable installs as well.
    overlay = "".join(f"import site; site.addsitedir({path!r})\n" for path in here)
    (Path(site) / "overlay.pth").write_text(overlay, encoding="utf-8")
    packages = [EXAMPLE, new_plugin("fresh-probe", root / "fresh")]
    packages += [write_package(root / name, name, source) for name, source in BROKEN.items()]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", found, "install", *options, *packages],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def run(python, tmp_path):
    """Run the environment's interpreter in an empty folder."""

    def run(*words, code=0):
        environment = {**os.environ, "DCGAN_ANALYSIS_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}
        environment.pop("DCGAN_ANALYSIS_PLUGINS", None)
        done = subprocess.run(
            [python, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


CLI = ("-m", "dcgan_analysis.cli.main")


def test_broken_plugins_are_listed_with_their_causes_and_harm_no_other(run):
    plugins = {each["name"]: each for each in json.loads(run(*CLI, "plugins", "--json").stdout)}
    assert {name: plugins[name]["state"] for name in ("hello", "fresh-probe", *BROKEN)} == {
        "hello": "loaded",
        "fresh-probe": "loaded",
        "acme-import": "failed",
        "acme-misspelt": "failed",
        "acme-duplicate": "failed",
    }
    assert plugins["hello"]["distribution"] == "dcgan-analysis-hello"
    assert plugins["hello"]["registered"] == {"analyses": ["hello"]}
    assert plugins["svm-cifar"]["state"] == "loaded"
    assert "No module named 'a_package_that_nobody_has'" in plugins["acme-import"]["error"]
    assert "Did you mean 'dcgan_register_analyses'?" in plugins["acme-misspelt"]["error"]
    duplicate = plugins["acme-duplicate"]["error"]
    assert "registers the analysis 'hello', which is the name of dcgan-analysis-hello 0.1.0 (hello)." in duplicate


def test_commands_work_beside_broken_plugins(run):
    assert "Usage: dcgan-analyze" in run(*CLI, "--help").stdout
    done = run(*CLI, "run", "hello", "--limit", "20", "--set", "images=20", "--json")
    assert json.loads(done.stdout)["plugin"] == "dcgan-analysis-hello 0.1.0 (hello)"
    assert done.stderr.count("Warning: ") == len(BROKEN)


def test_packages_pass_their_own_tests_as_they_stand(run, python):
    fresh = python.parents[2] / "fresh"
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:anyio", "-p", "no:randomly"]
    output = run("-m", "pytest", *options, "-c", fresh / "pyproject.toml", "-rA", EXAMPLE, fresh).stdout
    for test in ("test_hello.py", "test_fresh_probe.py"):
        assert re.search(rf"^PASSED .*{test}", output, re.MULTILINE), output
