"""The plugin host: installed plugins are real ``.dist-info`` folders, as pip writes them."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.errors import AnalysisError, ConfigError, UnknownNameError
from dcgan_analysis.host.host import PluginHost, default_host, load_plugins

BROKEN = {
    "import_error": r"could not be loaded: ModuleNotFoundError: No module named 'a_package",
    "system_exit": r"could not be loaded: SystemExit: 3\. Other plugins are not affected\.",
    "misspelt_hook": (
        r"Plugin 'acme' implements 'dcgan_register_analysis', which is not a hook\. "
        r"Did you mean 'dcgan_register_analyses'\?"
    ),
    "unmarked_hook": r"'dcgan_register_analyses' that would never be called\. Put @dcgan_analysis",
    "wrong_argument": r"does not fit the hooks: .*'registrar'",
    "no_hook": r"Plugin 'acme' \(acme-gan 2\.0\) implements no hook\.",
    "class_entry:Plugin": r"is the class Plugin; an entry point must name a module or an instance",
    "taken_name": (
        r"Analysis 'healthy' is registered twice: by aaa-good 1\.0 \(aaa\) "
        r"and by acme-gan 2\.0 \(acme\)\."
    ),
    "half_registered": r"failed in dcgan_register_analyses: RuntimeError: no luck today\.",
    "missing_members": r"'bare' without question, reference, config_type, needs; an analysis has",
    "newer_api": r"needs plugin API 2, this release has 1\. Update dcgan-analysis\.",
    "absent_module": r"ModuleNotFoundError: No module named 'broken_plugins\.absent_module'",
    "healthy:absent": r"AttributeError: .*'absent'",
}


def of(host, name):
    """Return what the host knows of the plugins with this name."""
    return [info for info in host.plugins if info.name == name]


@pytest.mark.parametrize("module", BROKEN)
def test_a_broken_plugin_is_reported_and_harms_no_other(install, module):
    install("aaa-good", "1.0", aaa="healthy")
    install("acme-gan", "2.0", acme=module)

    host = load_plugins()

    (failure,) = host.failures
    assert (failure.name, failure.distribution, failure.version) == ("acme", "acme-gan", "2.0")
    assert (failure.state, failure.registered, failure.hooks) == ("failed", {}, ())
    assert failure.cause is not None
    assert "\n" not in failure.error
    with pytest.raises(AnalysisError, match=BROKEN[module]) as caught:
        host.analysis("acme")
    assert caught.value.__cause__ is failure.cause
    assert host.analyses.names() == ["healthy"]
    assert "half" not in host.datasets
    assert "digits" in host.datasets


def test_ctrl_c_while_a_plugin_is_imported_ends_the_loading(install):
    install("acme-gan", "2.0", acme="interrupted")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_what_a_plugin_prints_does_not_reach_standard_output(install, capsys):
    install("acme-gan", "2.0", acme="system_exit")
    load_plugins()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "printed by system_exit" in printed.err


def test_a_sound_plugin_is_listed_with_its_origin_and_what_it_registered(install):
    install("aaa-good", "1.0", aaa="healthy")
    host = load_plugins()
    (info,) = of(host, "aaa")
    assert 0 < info.seconds < 60
    assert info.document() == {
        "name": "aaa",
        "distribution": "aaa-good",
        "version": "1.0",
        "module": "broken_plugins.healthy",
        "builtin": False,
        "state": "loaded",
        "hooks": ["dcgan_after_run", "dcgan_before_run", "dcgan_register_analyses"],
        "registered": {"analyses": ["healthy"]},
        "seconds": info.seconds,
        "error": "",
    }
    assert json.loads(json.dumps(info.document())) == info.document()
    assert host.analyses.owner("healthy") == "aaa-good 1.0 (aaa)"
    assert host.analysis("healthy") is host.analyses["healthy"]


def test_the_framework_itself_is_the_first_plugin():
    core = load_plugins("").plugins[0]
    assert (core.name, core.distribution, core.builtin) == ("core", "dcgan-analysis", True)
    assert "dcgan32" in core.registered["architectures"]
    assert "digits" in core.registered["datasets"]


def test_built_in_plugins_come_first_and_then_the_order_is_that_of_names(install):
    install("zeta", "1.0", zeta="raising_observer")
    install("alpha", "1.0", alpha="misspelt_hook")
    install("dcgan-analysis", "0.1.0", mid="healthy")
    assert [info.name for info in load_plugins().plugins] == ["core", "mid", "alpha", "zeta"]


def test_a_stranger_cannot_take_the_name_of_a_built_in_analysis(install):
    install("dcgan_analysis", "0.1.0", zzz="healthy")
    install("acme-gan", "2.0", acme="taken_name")
    host = load_plugins()
    assert host.analyses.owner("healthy") == "dcgan_analysis 0.1.0 (zzz)"
    assert [info.name for info in host.failures] == ["acme"]


def test_two_distributions_with_one_plugin_name_are_both_named(install):
    install("acme-gan", "2.0", same="healthy")
    install("other-gan", "3.1", same="raising_observer")
    host = load_plugins()
    assert [info.state for info in of(host, "same")] == ["loaded", "failed"]
    assert host.failures[0].error.startswith(
        "Plugin name 'same' is used twice: by acme-gan 2.0 (same) and by other-gan 3.1 (same)."
    )
    assert host.analyses.names() == ["healthy"]


def test_the_name_core_is_taken(install):
    install("acme-gan", "2.0", core="healthy")
    (failure,) = load_plugins().failures
    assert "'core' is used twice: by dcgan-analysis" in failure.error
    assert " (core) and by acme-gan 2.0 (core)." in failure.error


def test_damaged_metadata_do_not_stop_the_loading(install, tmp_path):
    install("aaa-good", "1.0", aaa="healthy")
    (tmp_path / "aaa_good-1.0.dist-info" / "METADATA").unlink()
    host = load_plugins()
    assert host.failures == []
    assert "healthy" in host.analyses


class TestSelection:
    @pytest.fixture(autouse=True)
    def _three_plugins(self, install):
        install("dcgan-analysis", "0.1.0", builtin="healthy")
        install("acme-gan", "2.0", acme="raising_observer")
        install("other-gan", "3.1", other="import_error")

    def states(self, host):
        return {info.name: info.state for info in host.plugins if info.name != "core"}

    def test_without_the_variable_all_are_loaded(self):
        states = self.states(load_plugins())
        assert states == {"builtin": "loaded", "acme": "loaded", "other": "failed"}

    @pytest.mark.parametrize(
        ("value", "acme", "other"),
        [
            ("", "disabled", "disabled"),
            (" , ", "disabled", "disabled"),
            ("acme", "loaded", "disabled"),
            (" acme , builtin ", "loaded", "disabled"),
            ("acme,other", "loaded", "failed"),
        ],
    )
    def test_the_variable_chooses_among_strangers(self, monkeypatch, value, acme, other):
        monkeypatch.setenv("DCGAN_ANALYSIS_PLUGINS", value)
        states = self.states(load_plugins())
        assert states == {"builtin": "loaded", "acme": acme, "other": other}

    def test_an_argument_wins_over_the_variable(self, monkeypatch):
        monkeypatch.setenv("DCGAN_ANALYSIS_PLUGINS", "acme")
        assert self.states(load_plugins("")) == {"builtin": "loaded", "acme": "disabled", "other": "disabled"}

    def test_an_unknown_name_is_an_error_with_a_guess(self, monkeypatch):
        monkeypatch.setenv("DCGAN_ANALYSIS_PLUGINS", "acmee")
        expected = r"DCGAN_ANALYSIS_PLUGINS: Unknown plugin 'acmee'\. Did you mean 'acme'\?"
        with pytest.raises(ConfigError, match=expected):
            load_plugins()

    def test_an_analysis_of_a_disabled_plugin_says_so(self):
        with pytest.raises(AnalysisError, match="DCGAN_ANALYSIS_PLUGINS does not name plugin"):
            load_plugins("").analysis("acme")


def test_an_unknown_analysis_gets_a_guess_and_the_failed_plugins(install):
    install("aaa-good", "1.0", aaa="healthy")
    install("acme-gan", "2.0", acme="import_error")
    expected = r"Unknown analysis 'helthy'\. Did you mean 'healthy'\?.* Plugins that failed: acme"
    with pytest.raises(UnknownNameError, match=expected):
        load_plugins().analysis("helthy")


def test_a_failing_observer_is_a_warning_and_the_others_are_called(install):
    install("acme-gan", "2.0", acme="raising_observer")
    install("zzz-good", "1.0", zzz="healthy")
    host = load_plugins()
    analysis, result = host.analysis("healthy"), SimpleNamespace()

    before = host.before_run(analysis, SimpleNamespace(), SimpleNamespace())
    after = host.after_run(analysis, SimpleNamespace(), result)

    name = "Plugin 'acme' (acme-gan 2.0) failed in"
    assert before == [f"{name} dcgan_before_run: ValueError: the observer broke. The run went on."]
    assert after == [f"{name} dcgan_after_run: SystemExit: 1. The run went on."]
    seen = sys.modules["broken_plugins.healthy"].SEEN
    assert seen == [("before", analysis), ("after", result)]


def test_ctrl_c_in_an_observer_passes_through():
    class Impatient:
        @hookimpl
        def dcgan_before_run(self):
            raise KeyboardInterrupt

    host = PluginHost()
    host.register(Impatient(), "impatient")
    with pytest.raises(KeyboardInterrupt):
        host.before_run(SimpleNamespace(), SimpleNamespace(), SimpleNamespace())


def test_the_analysis_of_a_plugins_own_name_cannot_be_taken_by_an_earlier_one(install):
    install("acme-gan", "2.0", acme="taken_name")
    install("good-gan", "1.0", healthy="healthy")
    host = load_plugins()
    assert host.analyses.owner("healthy") == "good-gan 1.0 (healthy)"
    expected = "registers the analysis 'healthy', which is the name of good-gan 1.0 (healthy)."
    assert expected in host.failures[0].error
    assert [info.name for info in host.failures] == ["acme"]


def test_each_host_is_its_own(install):
    install("aaa-good", "1.0", aaa="healthy")
    first, second = load_plugins(), load_plugins("")
    assert "healthy" in first.analyses
    assert "healthy" not in second.analyses


def test_the_default_host_is_loaded_once(install):
    default_host.cache_clear()
    try:
        assert default_host() is default_host()
    finally:
        default_host.cache_clear()
