"""New plugin packages: the example under another name, whole or not at all."""

from __future__ import annotations

import ast
import tomllib

import pytest

from dcgan_analysis.errors import ConfigError
from dcgan_analysis.host.scaffold import new_plugin, render_plugin


def test_every_name_stands_where_it_belongs():
    files = render_plugin("my-2nd-probe")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == "dcgan-analysis-my-2nd-probe"
    assert project["entry-points"]["dcgan_analysis"] == {"my-2nd-probe": "dcgan_analysis_my_2nd_probe"}
    module = ast.parse(files["dcgan_analysis_my_2nd_probe.py"])
    assert {"My2ndProbe", "My2ndProbeConfig"} <= {node.name for node in module.body if isinstance(node, ast.ClassDef)}
    assert "dcgan_analysis_my_2nd_probe" in files["tests/test_my_2nd_probe.py"]
    assert "${{ matrix.python }}" in files[".github/workflows/test.yml"]
    assert "def test_my_2nd_probe_keeps_the_contract(" in files["tests/test_my_2nd_probe.py"]
    assert not any("hello" in path + text.lower() for path, text in files.items())


@pytest.mark.parametrize(
    "name", ["My-Probe", "my_probe", "2nd", "-x", "", "a/b", "table", "none", "analysis", "metric"]
)
def test_a_name_that_makes_no_package_is_refused(name):
    with pytest.raises(ConfigError, match=r"Plugin name '.*' (must be|would make a class)"):
        render_plugin(name)


def test_the_package_is_written_whole_and_never_over_anything(cli, tmp_path):
    outcome = cli("new-plugin", "my-probe").assert_success()
    folder = tmp_path / "dcgan-analysis-my-probe"
    assert outcome.out == "dcgan-analysis-my-probe\n"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(
        render_plugin("my-probe")
    )
    (folder / "README.md").write_text("mine", encoding="utf-8")
    again = cli("new-plugin", "my-probe")
    assert again.exit_code == 1
    assert "exists; nothing in it was touched. Choose another folder (out)." in again.err
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"


def test_the_name_of_an_analysis_that_exists_is_refused(cli, tmp_path):
    outcome = cli("new-plugin", "toy", "--out", "elsewhere")
    assert outcome.exit_code == 1
    assert "Analysis 'toy' exists already" in outcome.err
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(ConfigError, match="exists already"):
        new_plugin("toy", taken=["toy"])
