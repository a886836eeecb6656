from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dcgan_analysis.api import Result

with (Path(__file__).parents[2] / "pyproject.toml").open("rb") as project:
    PLUGINS = tomllib.load(project)["project"]["entry-points"]["dcgan_analysis"]
BUILT_IN = tuple(sorted(PLUGINS.keys() - {"annotate", "paper-figures", "paper-tables"}))  # these bring commands


def test_a_run_prints_its_numbers_and_where_the_report_is(cli, tmp_path):
    outcome = cli("run", "toy", "--out", tmp_path / "mine").assert_success()
    assert "brightness" in outcome.out
    assert outcome.out.splitlines()[-1] == str(tmp_path / "mine" / "report.html")


def test_json_is_all_there_is_on_standard_output(cli, tmp_path):
    outcome = cli("run", "toy", "--json", "--out", tmp_path / "mine").assert_success()
    assert Result.model_validate(outcome.json()) == Result.load(tmp_path / "mine").model_copy(update={"folder": None})


def test_settings_come_from_a_file_and_from_the_command_line_which_wins(cli, tmp_path):
    (tmp_path / "mine.toml").write_text('times = 3\nlabel = "file"\n', encoding="utf-8")
    words = ("--config", "mine.toml", "--set", "label=line", "--set", "levels=[0.5]", "--json")
    config = cli("run", "toy", *words).assert_success().json()["config"]
    assert (config["times"], config["label"], config["levels"]) == (3, "line", [0.5])


def test_a_limited_run_is_labelled(cli):
    outcome = cli("run", "toy", "--limit", "6").assert_success()
    assert "Smoke run" in outcome.out
    assert outcome.result.smoke


def test_memory_that_the_program_alone_takes_is_refused_in_a_line_and_enough_changes_nothing(cli, complains):
    complains(
        cli("run", "toy", "--memory", "0.01"), "memory is 0.01 GB; the program alone needs", "Allow more than that."
    )
    assert cli("run", "toy", "--memory", "100").assert_success().result.metrics["brightness"].value


def test_an_existing_run_is_replaced_with_force_only(cli, run_folder, complains):
    complains(cli("run", "toy", "--out", run_folder), "exists.", "replace it (force)")
    cli("run", "toy", "--out", run_folder, "--seed", "9", "--force").assert_success()
    assert Result.load(run_folder).seed == 9


def test_help_of_an_analysis_lists_its_settings_with_defaults(cli):
    words = " ".join(cli("run", "toy", "--help").assert_success().out.split())
    assert "How bright are the images?" in words
    assert "times how often it draws [default: 1]" in words
    assert "exact whether nothing is drawn [default: false]" in words
    assert "levels fractions [default: [0.1, 1.0]]" in words
    assert "extra numbers by name [default: {}]" in words
    assert "--dataset toy-images --checkpoint" in words or "--checkpoint none --dataset toy-images" in words


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_analysis_loads_and_explains_its_settings(name, run_cli):
    out = run_cli("run", name, "--help").assert_success().out
    assert out.startswith(f"Usage: dcgan-analyze run {name} ")
    assert "Settings (--set KEY=VALUE):" in out


def test_help_of_run_lists_the_analyses(cli):
    out = cli("run", "--help").assert_success().out
    assert "toy  Brightness of images" in out


@pytest.fixture
def failed_plugin(host):
    from dcgan_analysis.host.host import PluginInfo

    def source():
        msg = "No module named 'lpips'"
        raise ModuleNotFoundError(msg)

    host.load(PluginInfo(name="acme", distribution="acme-gan", version="2.0"), source)


def test_a_plugin_that_failed_is_mentioned_once_and_stops_nothing(cli, failed_plugin, host, make_toy):
    host.analyses.add("other", make_toy(name="other"), owner="test")
    warning = "Warning: Plugin 'acme' (acme-gan 2.0) could not be loaded: ModuleNotFoundError: No module named 'lpips'."
    for words in (["run", "toy"], ["run", "toy", "--json"], ["list"]):
        assert cli(*words).assert_success().err.count(warning) == 1
    assert cli("run", "--help").assert_success().err.count(warning) <= 1


def test_an_unknown_analysis_may_be_one_that_failed(cli, failed_plugin):
    outcome = cli("run", "acme-probe")
    assert outcome.exit_code == 1
    assert "Plugins that failed: acme (see: dcgan-analyze plugins)." in outcome.err
