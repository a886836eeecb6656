"""What a plugin host asks of an analysis and of a plugin, and how it says what is wrong."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.errors import RegistrationError
from dcgan_analysis.host.host import PluginHost, PluginInfo


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
def test_a_member_of_the_wrong_type_is_named(healthy, member, value, message):
    unfit = type("Unfit", (healthy,), {member: value})()
    host = PluginHost()
    with pytest.raises(RegistrationError, match=message):
        host.register(Plugin(unfit), "acme")
    assert len(host.analyses) == 0
    assert host.plugins == []


def test_a_class_instead_of_an_instance_is_named(healthy):
    expected = r"plugin 'acme' registers the class Healthy; .*: register\(Healthy\(\)\)\."
    with pytest.raises(RegistrationError, match=expected):
        PluginHost().register(Plugin(healthy), "acme")


def test_an_entry_of_another_kind_is_refused(healthy):
    class Confused:
        @hookimpl
        def dcgan_register_importers(self, register):
            register(healthy())

    expected = r"register takes a dcgan_analysis\.checkpoints\.importers\.contract\.WeightImporter\."
    with pytest.raises(RegistrationError, match=expected):
        PluginHost().register(Confused(), "acme")


def test_register_is_refused_once_the_hook_has_returned(healthy):
    plugin = Plugin()
    PluginHost().register(plugin, "acme")
    with pytest.raises(RegistrationError, match="after its hook has returned"):
        plugin.register(healthy())


def test_a_failed_plugin_can_be_registered_again(healthy):
    host = PluginHost()
    with pytest.raises(RegistrationError, match="the class Healthy"):
        host.register(Plugin(healthy(), healthy), "acme")
    assert host.register(Plugin(healthy()), "acme").registered == {"analyses": ("healthy",)}


def test_plugins_may_be_unhashable_and_equal_to_each_other(healthy):
    class Same(Plugin):
        __hash__ = None

        def __eq__(self, other):
            return True

    host = PluginHost()
    host.register(Same(healthy()), "first")
    host.register(Same(), "second")
    assert host.analyses.names() == ["healthy"]
    assert host.before_run(healthy(), SimpleNamespace(), SimpleNamespace()) == []


def test_an_unknown_hook_may_be_marked_as_optional():
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
def test_an_api_version_that_does_not_fit_is_refused_with_both_versions(wanted, message):
    plugin = Plugin()
    plugin.DCGAN_ANALYSIS_API = wanted
    host = PluginHost()
    host.load(PluginInfo("acme", distribution="acme-gan"), lambda: plugin)
    assert host.failures[0].error.startswith(f"Plugin 'acme' {message}")


@pytest.mark.parametrize("wanted", [1, (1, 1), (0, 4)])
def test_an_api_version_that_fits_is_loaded(wanted):
    plugin = Plugin()
    plugin.DCGAN_ANALYSIS_API = wanted
    assert PluginHost().register(plugin, "acme").state == "loaded"


def test_a_later_release_loads_plugins_of_the_version_before(monkeypatch):
    from dcgan_analysis.api import hookspecs

    monkeypatch.setattr(hookspecs, "API_VERSION", 2)
    plugin = Plugin()
    plugin.DCGAN_ANALYSIS_API = 1
    assert PluginHost().register(plugin, "acme").state == "loaded"
    monkeypatch.setattr(hookspecs, "OLDEST_API_VERSION", 2)
    with pytest.raises(RegistrationError, match=r"needs plugin API 1, this release has 2\. Update the plugin\."):
        PluginHost().register(plugin, "acme")
