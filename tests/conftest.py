"""A toy analysis and a host that knows it, for the tests of runner, context and command line."""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata
from pathlib import Path

# One thread for each of the processes that run tests, and for those that tests start: the networks here are tiny, and
# two processes of two threads each on two cores would wait for one another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from pydantic import Field

from dcgan_analysis import batch, library, plugins, runner
from dcgan_analysis._plugin_loading import CorePlugin, core_info
from dcgan_analysis.api import AnalysisConfig, Metric, Needs, Table
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.hookspecs import hookimpl
from dcgan_analysis.testing import make_dataset


class ToyConfig(AnalysisConfig):
    times: int = Field(default=1, ge=1, description="how often it draws")
    label: str = Field(default="plain", description="any words")
    exact: bool = Field(default=False, description="whether nothing is drawn")
    levels: tuple[float, ...] = Field(default=(0.1, 1.0), description="fractions")
    extra: dict[str, int] = Field(default_factory=dict, description="numbers by name")


class Toy:
    """Brightness of the test images, and numbers that depend on seed and settings."""

    name = "toy"
    summary = "Brightness of images"
    question = "How bright are the images?"
    reference = "none"
    config_type = ToyConfig
    needs = Needs(dataset="toy-images", splits=("train", "test"), labels=True)

    def __init__(self, **members):
        vars(self).update(members)

    def run(self, context, config):
        images = context.split("test").images
        with context.stage("draw"):
            draws = context.rng("draw").random(config.times)
        drawn = 0.0 if config.exact else float(draws.mean())
        metrics = {
            "brightness": Metric(value=float(images.mean()) / 255, n=len(images)),
            "draw": Metric(value=drawn * sum(config.levels), unit="number"),
            "words": Metric(value=len(config.label) + sum(config.extra.values()), unit="number"),
        }
        table = Table(name="sizes", title="Sizes", columns=["split", "n"], rows=[["test", len(images)]])
        return context.result(self, config, title="Brightness", headline="brightness", metrics=metrics, tables=[table])


class ToyPlugin:
    def __init__(self, *analyses):
        self.analyses = analyses

    @hookimpl
    def dcgan_register_analyses(self, register):
        for analysis in self.analyses:
            register(analysis)

    @hookimpl
    def dcgan_register_datasets(self, register):
        register(DatasetEntry("toy-images", "Discs and stripes", lambda root, download: make_dataset()))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What tests decode and extract does not end up in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def make_toy():
    """Make the toy analysis; keyword arguments replace its members."""
    return Toy


@pytest.fixture
def host():
    """A host that knows the framework's own things, the analysis ``toy`` and the dataset ``toy-images``."""
    host = plugins.PluginHost()
    host.load(core_info(), CorePlugin)
    host.register(ToyPlugin(Toy()), "toy-plugin")
    return host


@pytest.fixture
def cli(host, run_cli, monkeypatch):
    """The command line, in an environment where ``host`` is all that is installed."""
    for module in (plugins, library, runner, batch):
        monkeypatch.setattr(module, "default_host", lambda: host)
    monkeypatch.delenv("DCGAN_ANALYSIS_DATA", raising=False)
    return run_cli


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution, a real ``.dist-info`` folder; nothing else is installed."""
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
