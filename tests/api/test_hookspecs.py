"""Every hook: its specification, its documentation, and that it is called."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from dcgan_analysis.api import hookspecs
from dcgan_analysis.checkpoints.importers.contract import ImportRequest
from dcgan_analysis.host.host import PluginHost

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
EXAMPLE = TESTS.parent / "examples" / "dcgan-analysis-hello" / "dcgan_analysis_hello.py"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("dcgan_"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def heading(hook):
    """Return a hook's heading in docs/hooks.md."""
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    return f"## {hook}({arguments})"


def register_example(hook):
    """Register the example under a hook's heading; return the host and what it says of it."""
    section = (DOCS / "hooks.md").read_text(encoding="utf-8").split(f"{heading(hook)}\n")[1]
    plugin = ModuleType("documented")
    exec(BLOCK.findall(section)[0], vars(plugin))
    host = PluginHost()
    return host, host.register(plugin, "documented")


def test_dcgan_register_analyses_adds_the_documented_analysis():
    host, info = register_example("dcgan_register_analyses")
    assert info.registered == {"analyses": ("count-images",)}
    analysis = host.analysis("count-images")
    context = SimpleNamespace(split=lambda name: [name] * 7, result=lambda **parts: parts)
    result = analysis.run(context, analysis.config_type())
    assert result["metrics"][result["headline"]].value == 7


def test_dcgan_register_datasets_adds_the_documented_dataset(tmp_path):
    host, _ = register_example("dcgan_register_datasets")
    dataset = host.datasets["gray"].loader(tmp_path, False)
    assert dataset.split_names == ["test"]
    assert dataset.split("test").images.shape == (4, 3, 32, 32)


def test_dcgan_register_architectures_adds_the_documented_architecture():
    host, _ = register_example("dcgan_register_architectures")
    architecture = host.architectures["slim32"].build(width=8)
    assert architecture.identity() == {"name": "slim32", "parameters": {"width": 8, "z_size": 100}}


def test_dcgan_register_importers_adds_the_documented_importer(tmp_path):
    import torch

    host, _ = register_example("dcgan_register_importers")
    torch.save({"netG": {}, "netD": {"weight": torch.ones(2)}}, tmp_path / "acme.pth")
    weights = host.importers["acme"].load(ImportRequest((tmp_path / "acme.pth",), {}, host.architectures))
    assert weights.architecture.name == "dcgan64"
    assert weights.metadata == {"z_prior": "normal"}


def test_dcgan_register_commands_adds_the_documented_command(cli, host):
    section = (DOCS / "hooks.md").read_text(encoding="utf-8").split(f"{heading('dcgan_register_commands')}\n")[1]
    plugin = ModuleType("documented")
    exec(BLOCK.findall(section)[0], vars(plugin))
    assert host.register(plugin, "documented").registered == {"commands": ("latent-size",)}
    assert cli("latent-size", "cifar10-dcgan32").assert_success().out == "256\n"
    assert cli("latent-size", "nowhere").exit_code == 1


def test_dcgan_report_sections_puts_the_documented_section_into_the_report(host, tmp_path):
    from dcgan_analysis.api import Result
    from dcgan_analysis.runs.run import run

    section = (DOCS / "hooks.md").read_text(encoding="utf-8").split(f"{heading('dcgan_report_sections')}\n")[1]
    plugin = ModuleType("documented")
    exec(BLOCK.findall(section)[0], vars(plugin))
    host.register(plugin, "documented")
    result = run("toy", host=host, out=tmp_path / "run")
    (added,) = Result.load(tmp_path / "run").sections
    assert (added.title, added.owner) == ("Energy", "plugin 'documented'")
    assert [row[0] for row in added.tables[0].rows] == [stage.name for stage in result.stages]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Estimated from time, at 65 W." in page
    assert "Added by plugin &#39;documented&#39;" in page


def test_dcgan_before_run_is_called_with_analysis_and_settings(caplog):
    host, info = register_example("dcgan_before_run")
    assert info.hooks == ("dcgan_before_run",)
    with caplog.at_level(logging.INFO, logger="acme"):
        warnings = host.before_run(SimpleNamespace(name="hello"), "times=1", SimpleNamespace())
    assert warnings == []
    assert caplog.messages == ["hello starts with times=1"]


def test_dcgan_after_run_is_called_with_the_result(caplog):
    host, info = register_example("dcgan_after_run")
    assert info.hooks == ("dcgan_after_run",)
    metrics = {"accuracy": SimpleNamespace(value=0.5)}
    result = SimpleNamespace(headline="accuracy", metrics=metrics)
    with caplog.at_level(logging.INFO, logger="acme"):
        warnings = host.after_run(SimpleNamespace(name="hello"), SimpleNamespace(), result)
    assert warnings == []
    assert caplog.messages == ["hello: accuracy = 0.5"]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_and_a_heading(hook):
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py")))
    assert re.search(rf"^def test_{hook}\w*\(", tests, re.MULTILINE), f"no test_{hook}..."
    lines = (DOCS / "hooks.md").read_text(encoding="utf-8").splitlines()
    assert heading(hook) in lines


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_when_it_is_called_what_it_takes_and_since_when(hook):
    function = getattr(hookspecs, hook)
    text = inspect.getdoc(function)
    for part in ("Called once for each", "Args:", "Returns:", "Raises:", ".. versionadded::"):
        assert part in text
    for argument in inspect.signature(function).parameters:
        assert re.search(rf"^    {argument}: ", text, re.MULTILINE), argument


def test_the_last_example_of_the_hook_page_runs():
    blocks = BLOCK.findall((DOCS / "hooks.md").read_text(encoding="utf-8"))
    assert len(blocks) == len(HOOKS) + 1
    exec(blocks[-1], {})


def test_the_tutorial_shows_the_example_package_as_it_is():
    source = EXAMPLE.read_text(encoding="utf-8")
    blocks = BLOCK.findall((DOCS / "writing-an-analysis.md").read_text(encoding="utf-8"))
    shown = [block for block in blocks if not block.startswith("# tests/")]
    assert shown
    for block in shown:
        assert block in source
