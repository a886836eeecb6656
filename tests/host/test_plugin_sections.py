"""Commands and report sections of plugins: what goes wrong in one harms nothing else."""

from __future__ import annotations

import click
import pytest

import dcgan_analysis as da
from dcgan_analysis.api import CommandEntry, Figure, Result, Section, Table
from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.cli import main as command_line
from dcgan_analysis.errors import AnalysisError, ConfigError, RegistrationError
from dcgan_analysis.host.host import PluginInfo

HOSTILE = '<script>alert("x")</script>'


class Adding:
    """Adds a section that ``work`` makes."""

    def __init__(self, work):
        self.work = work

    @hookimpl
    def dcgan_report_sections(self, analysis, context, result, add):
        self.work(context, result, add)


@pytest.fixture
def run(host, tmp_path):
    def run(*works):
        for number, work in enumerate(works):
            host.register(Adding(work), f"adding-{number}")
        result = da.run("toy", host=host, out=tmp_path / "run")
        return result, (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    return run


def test_a_section_shows_words_tables_and_pictures_and_nothing_of_it_is_html(run):
    from matplotlib.figure import Figure as Drawing

    def work(context, result, add):
        figure = context.save_figure(Drawing(figsize=(1, 1)), "acme-dots", "Dots", HOSTILE)
        table = Table(name="t", title=HOSTILE, columns=["a"], rows=[[HOSTILE]])
        add(Section(title=HOSTILE, text=f"One.\n\n{HOSTILE}", tables=[table], figures=[figure], owner="forged"))

    result, page = run(work)
    assert result.warnings == []
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 5
    assert page.count("data:image/png") == 1
    assert result.sections[0].owner == "plugin 'adding-0'"
    assert Result.load(result.folder).sections == result.sections
    assert result.figures == []


def fail(context, result, add):
    add(Section(title="Before it broke"))
    msg = "no luck"
    raise ValueError(msg)


def add_something_else(context, result, add):
    add("<h1>mine</h1>")


def add_an_absent_picture(context, result, add):
    add(Section(title="Absent", figures=[Figure(name="f", file="../../secret.png", title="F")]))


def change_the_result(context, result, add):
    result.metrics.clear()
    result.warnings.append("changed")


def overwrite_a_figure(context, result, add):
    from matplotlib.figure import Figure as Drawing

    for _ in range(2):
        context.save_figure(Drawing(figsize=(1, 1)), "curve", "Curve")


def test_a_section_that_cannot_be_shown_is_a_warning_and_the_others_stay(run):
    works = [fail, add_something_else, add_an_absent_picture, overwrite_a_figure, change_the_result]
    works.append(lambda context, result, add: add(Section(title="Sound")))
    result, page = run(*works)
    assert [section.title for section in result.sections] == ["Before it broke", "Sound"]
    assert set(result.metrics) == {"brightness", "draw", "words"}
    causes = (
        "ValueError: no luck",
        "must be a dcgan_analysis.api.Section",
        "dcgan_report_sections: Figure: file: '../../secret.png' does not lie in the run folder, got ",
        "saved twice",
    )
    assert len(result.warnings) == len(causes)
    for warning, cause in zip(result.warnings, causes, strict=True):
        assert cause in warning
        assert "dcgan_report_sections" in warning
        assert warning.split(":")[0].replace("'", "&#39;") in page
    assert Result.load(result.folder).warnings == result.warnings


class Commands:
    def __init__(self, *entries):
        self.entries = entries

    @hookimpl
    def dcgan_register_commands(self, register):
        for entry in self.entries:
            register(entry)


@pytest.fixture
def strangers(monkeypatch):
    """As if a package of somebody else's were installed."""
    info = PluginInfo("acme", distribution="acme-gan")
    monkeypatch.setattr("dcgan_analysis.host.loading.find_entry_points", lambda: [(info, None)])


def broken():
    msg = "No module named 'lpips'"
    raise ModuleNotFoundError(msg)


def greet():
    @click.command()
    @click.option("--name", default="you")
    def command(name):
        """Say hello."""
        click.echo(f"hello {name}")

    return command


def test_help_lists_commands_of_plugins_without_making_them(cli, host, strangers):
    host.register(Commands(CommandEntry("greet", "Say hello.", broken)), "acme")
    out = cli("--help").assert_success().out
    assert "Commands of plugins:\n  greet  Say hello." in out


def test_a_command_of_a_plugin_is_called_with_its_options(cli, host):
    host.register(Commands(CommandEntry("greet", "Say hello.", greet)), "acme")
    assert cli("greet", "--name", "world").assert_success().out == "hello world\n"
    assert "Say hello." in cli("greet", "--help").assert_success().out


@pytest.mark.parametrize(("load", "message"), [(broken, "No module named 'lpips'"), (dict, "not a click.Command")])
def test_a_command_that_cannot_be_made_is_one_line_and_the_others_work(load, message, cli, host):
    host.register(Commands(CommandEntry("greet", "Say hello.", load), CommandEntry("wave", "Wave.", greet)), "acme")
    outcome = cli("greet")
    assert (outcome.exit_code, outcome.out) == (1, "")
    assert outcome.err.startswith("Error: Command 'greet' of plugin 'acme' could not be loaded: ")
    assert message in outcome.err
    cli("wave").assert_success()
    cli("list").assert_success()


@pytest.mark.parametrize("name", ["run", "new-plugin", "import", "Bad Name"])
def test_a_name_that_is_not_free_is_refused(name, host):
    with pytest.raises(RegistrationError, match=r"keeps for itself|lower-case words"):
        host.register(Commands(CommandEntry(name, "", greet)), "acme")


def test_own_commands_come_without_any_plugin_being_loaded(cli, monkeypatch, tmp_path):
    def never():
        pytest.fail("plugins were loaded")

    monkeypatch.setattr(command_line, "_plugins", never)
    assert cli("verify", "--help").assert_success().out
    assert cli("show", tmp_path / "absent.h5").exit_code == 1


def test_help_answers_where_plugins_cannot_be_loaded_at_all(cli, monkeypatch, strangers):
    def refuse(hook=None):
        msg = "DCGAN_ANALYSIS_PLUGINS: Unknown plugin 'acne'."
        raise ConfigError(msg)

    monkeypatch.setattr(command_line, "_plugins", refuse)
    outcome = cli("--help").assert_success()
    assert "svm" not in outcome.err
    assert "Warning: DCGAN_ANALYSIS_PLUGINS: Unknown plugin 'acne'." in outcome.err
    assert "\n  run " in outcome.out


def test_an_unknown_command_may_be_one_of_a_plugin_that_failed(cli, host):
    host.load(PluginInfo("acme", distribution="acme-gan", version="2.0"), broken)
    outcome = cli("greet")
    assert outcome.exit_code == 2
    assert "Plugins that failed: acme (see: dcgan-analyze plugins)." in outcome.err
    with pytest.raises(AnalysisError, match="lpips"):
        host.analysis("acme")
