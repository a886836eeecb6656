"""The plugin host: installed plugins are real ``.dist-info`` folders, as pip writes them."""

from __future__ import annotations

import importlib
import json
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcgan_analysis.errors import AnalysisError, ConfigError, RegistrationError, UnknownNameError
from dcgan_analysis.hookspecs import hookimpl
from dcgan_analysis.plugins import PluginHost, PluginInfo, default_host, load_plugins

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


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution; nothing else is installed."""
    find = metadata.distributions
    monkeypatch.setattr(metadata, "distributions", lambda **_: find(path=[str(tmp_path)]))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delenv("DCGAN_ANALYSIS_PLUGINS", raising=False)

    def install(distribution, version, **entry_points):
        folder = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (folder / "METADATA").write_text(head, encoding="utf-8")
        lines = [f"{name} = broken_plugins.{value}" for name, value in entry_points.items()]
        text = "\n".join(["[dcgan_analysis]", *lines, ""])
        (folder / "entry_points.txt").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()

    yield install
    for name in [name for name in sys.modules if name.split(".")[0] == "broken_plugins"]:
        del sys.modules[name]


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
    assert info.document() == {
        "name": "aaa",
        "distribution": "aaa-good",
        "version": "1.0",
        "module": "broken_plugins.healthy",
        "builtin": False,
        "state": "loaded",
        "hooks": ["dcgan_after_run", "dcgan_before_run", "dcgan_register_analyses"],
        "registered": {"analyses": ["healthy"]},
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
        assert self.states(load_plugins("")) == {
            "builtin": "loaded",
            "acme": "disabled",
            "other": "disabled",
        }

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


class Plugin:
    """Registers whatever it is made with."""

    def __init__(self, *analyses):
        self.analyses = analyses

    @hookimpl
    def dcgan_register_analyses(self, register):
        self.register = register
        for analysis in self.analyses:
            register(analysis)


@pytest.fixture
def healthy(install):
    """Return the class of an analysis that keeps the contract."""
    return importlib.import_module("broken_plugins.healthy").Healthy


class TestContract:
    @pytest.mark.parametrize(
        ("member", "value", "message"),
        [
            ("name", "Not A Name", r"registers the analysis 'Not A Name'; a name is lower-case"),
            ("name", 7, "registers the analysis 7; a name is lower-case"),
            ("summary", 3, "its summary must be a string, got 3"),
            ("question", None, "its question must be a string, got None"),
            ("reference", b"", "its reference must be a string"),
            ("config_type", dict, "its config_type must be a subclass of AnalysisConfig, got"),
            ("config_type", "x", "its config_type must be a subclass of AnalysisConfig, got 'x'"),
            ("needs", {"labels": True}, r"its needs must be a dcgan_analysis\.api\.Needs, got {"),
            ("run", "soon", r"its run must be a method run\(context, config\), got 'soon'"),
        ],
    )
    def test_a_member_of_the_wrong_type_is_named(self, healthy, member, value, message):
        unfit = type("Unfit", (healthy,), {member: value})()
        host = PluginHost()
        with pytest.raises(RegistrationError, match=message):
            host.register(Plugin(unfit), "acme")
        assert len(host.analyses) == 0
        assert host.plugins == []

    def test_a_class_instead_of_an_instance_is_named(self, healthy):
        expected = r"plugin 'acme' registers the class Healthy; .*: register\(Healthy\(\)\)\."
        with pytest.raises(RegistrationError, match=expected):
            PluginHost().register(Plugin(healthy), "acme")

    def test_an_entry_of_another_kind_is_refused(self, healthy):
        class Confused:
            @hookimpl
            def dcgan_register_importers(self, register):
                register(healthy())

        expected = r"register takes a dcgan_analysis\.models\.importers\.WeightImporter\."
        with pytest.raises(RegistrationError, match=expected):
            PluginHost().register(Confused(), "acme")

    def test_register_is_refused_once_the_hook_has_returned(self, healthy):
        plugin = Plugin()
        PluginHost().register(plugin, "acme")
        with pytest.raises(RegistrationError, match="after its hook has returned"):
            plugin.register(healthy())

    def test_a_failed_plugin_can_be_registered_again(self, healthy):
        host = PluginHost()
        with pytest.raises(RegistrationError, match="the class Healthy"):
            host.register(Plugin(healthy(), healthy), "acme")
        assert host.register(Plugin(healthy()), "acme").registered == {"analyses": ("healthy",)}

    def test_plugins_may_be_unhashable_and_equal_to_each_other(self, healthy):
        class Same(Plugin):
            __hash__ = None

            def __eq__(self, other):
                return True

        host = PluginHost()
        host.register(Same(healthy()), "first")
        host.register(Same(), "second")
        assert host.analyses.names() == ["healthy"]
        assert host.before_run(healthy(), SimpleNamespace(), SimpleNamespace()) == []

    def test_an_unknown_hook_may_be_marked_as_optional(self):
        class Ahead:
            @hookimpl
            def dcgan_before_run(self):
                raise NotImplementedError

            @hookimpl(optionalhook=True)
            def dcgan_hook_of_a_later_release(self):
                raise NotImplementedError

        assert "dcgan_before_run" in PluginHost().register(Ahead(), "ahead").hooks

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            (0, "needs plugin API 0, this release has 1. Update acme-gan."),
            (2, "needs plugin API 2, this release has 1. Update dcgan-analysis."),
            ((2, 3), "needs plugin API 2 to 3, this release has 1. Update dcgan-analysis."),
            ("1", "has DCGAN_ANALYSIS_API = '1'; it must be a version such as 1, or the first and the last one"),
            ((2, 1), "has DCGAN_ANALYSIS_API = (2, 1); it must be a version such as 1"),
            (True, "has DCGAN_ANALYSIS_API = True; it must be"),
        ],
    )
    def test_an_api_version_that_does_not_fit_is_refused_with_both_versions(self, wanted, message):
        plugin = Plugin()
        plugin.DCGAN_ANALYSIS_API = wanted
        host = PluginHost()
        host.load(PluginInfo("acme", distribution="acme-gan"), lambda: plugin)
        assert host.failures[0].error.startswith(f"Plugin 'acme' {message}")

    @pytest.mark.parametrize("wanted", [1, (1, 1), (0, 4)])
    def test_an_api_version_that_fits_is_loaded(self, wanted):
        plugin = Plugin()
        plugin.DCGAN_ANALYSIS_API = wanted
        assert PluginHost().register(plugin, "acme").state == "loaded"

    def test_a_later_release_loads_plugins_of_the_version_before(self, monkeypatch):
        from dcgan_analysis import hookspecs

        monkeypatch.setattr(hookspecs, "API_VERSION", 2)
        plugin = Plugin()
        plugin.DCGAN_ANALYSIS_API = 1
        assert PluginHost().register(plugin, "acme").state == "loaded"
        monkeypatch.setattr(hookspecs, "OLDEST_API_VERSION", 2)
        with pytest.raises(RegistrationError, match=r"needs plugin API 1, this release has 2\. Update the plugin\."):
            PluginHost().register(plugin, "acme")


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
