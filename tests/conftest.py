"""A toy analysis and a host that knows it, for the tests of runner, context and command line."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import sys
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

# One thread for each of the processes that run tests, and for those that tests start: the networks here are tiny, and
# two processes of two threads each on two cores would wait for one another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image
from pydantic import Field
from torch import nn

from dcgan_analysis.api import AnalysisConfig, Figure, Metric, Needs, Result, Stage, Table
from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.api.result import CheckpointRecord, DatasetRecord, Environment, SplitRecord
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.host import host as plugins
from dcgan_analysis.host.loading import CorePlugin, core_info
from dcgan_analysis.models.architecture import Architecture, Layer
from dcgan_analysis.models.builder import Discriminator
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.runs import batch, library
from dcgan_analysis.runs import run as runner
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
        return context.result(title="Brightness", headline="brightness", metrics=metrics, tables=[table])


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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Modules with slow tests come first, so that no process begins the longest test when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What tests decode and extract does not end up in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window, with a log of what it asks for and complains of; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is needed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are needed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1300,850",
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(service=webdriver.ChromeService(driver), options=options)
    yield browser
    browser.quit()


@pytest.fixture
def unrendered(monkeypatch):
    """Figures are made but not rendered, which takes longer than everything else in a run this small."""

    def savefig(figure, target, **_):
        Image.new("RGB", (1, 1)).save(target, format="PNG")

    monkeypatch.setattr(MatplotlibFigure, "savefig", savefig)


@pytest.fixture
def small_files():
    """Return a block in which no file grows over a size, as on a disk that is nearly full."""

    @contextmanager
    def small_files(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return small_files


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
        monkeypatch.setattr(module, "default_host", lambda hook=None: host)
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


@pytest.fixture(scope="session")
def tiny():
    """An architecture of 1x8x8 images with three convolutions."""
    return Architecture(
        name="tiny",
        parameters={},
        image_shape=(1, 8, 8),
        image_range=(-1.0, 1.0),
        z_size=4,
        taps=("conv1", "conv2", "conv3"),
        make_generator=lambda _: nn.Identity(),
        make_discriminator=Discriminator,
        discriminator_layers=(
            Layer("conv1", "conv", 4, 3, 1, False, "leaky_relu"),
            Layer("conv2", "conv", 6, 3, 2, True, "leaky_relu"),
            Layer("conv3", "conv", 8, 3, 2, True, "leaky_relu"),
            Layer("logit", "linear", 1, batchnorm=False),
        ),
    )


@pytest.fixture
def network(tiny):
    """A discriminator whose BatchNorm layers have statistics, scales and shifts of their own."""
    source = torch.Generator().manual_seed(3)
    network = tiny.discriminator()
    initialise(network, source)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=source)
                module.running_var.uniform_(0.5, 2, generator=source)
                module.weight.normal_(1, 0.3, generator=source)
                module.bias.normal_(0, 0.3, generator=source)
            elif isinstance(module, nn.Conv2d):
                module.weight.normal_(0, 0.3, generator=source)
    return network


@pytest.fixture
def images():
    """24 images, each brighter than the one before."""
    noise = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(5)) - 0.5
    return noise + torch.linspace(-0.5, 0.5, 24).view(-1, 1, 1, 1)


@pytest.fixture
def make_result():
    """Make a complete result; keyword arguments replace its fields."""

    def make(**changes):
        environment = Environment(
            dcgan_analysis="0.1.0",
            code_sha256="ab",
            python="3.11.9",
            platform="Linux x86_64",
            packages={"torch": "2.6"},
            device="cpu",
            device_name="a processor",
            threads=1,
        )
        fields = {
            "analysis": "svm-cifar",
            "title": "Accuracy",
            "headline": "accuracy",
            "metrics": {"accuracy": Metric(value=0.8, low=0.77, high=0.83, n=1000, published=0.828)},
            "tables": [Table(name="t", title="T", columns=["class", "share"], rows=[["cat", 0.5]], percent=["share"])],
            "figures": [Figure(name="curve", file="figures/curve.png", title="Curve")],
            "config": {"draws": 5},
            "seed": 0,
            "dataset": DatasetRecord(
                name="digits",
                classes=["0", "1"],
                image_shape=(3, 32, 32),
                splits={"train": SplitRecord(n=10, sha256="cd")},
            ),
            "checkpoint": CheckpointRecord(name="tiny", sha256="ef", architecture="dcgan32"),
            "environment": environment,
            "stages": [Stage(name="fit", seconds=1.5)],
            "started": "2025-01-01T00:00:00+00:00",
            "elapsed_seconds": 2.0,
        }
        return Result(**(fields | changes))

    return make
