"""One Python file as a plugin, named on the command line; architectures of somebody's own classes in it."""

from __future__ import annotations

import json
import re

import pytest
import torch

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint, read_checkpoint
from dcgan_analysis.errors import ArchitectureError, ConfigError, RegistrationError
from dcgan_analysis.host.host import default_host, load_plugins
from dcgan_analysis.testing import check_architecture

ANALYSIS = """
from dcgan_analysis import hookimpl
from dcgan_analysis.api import AnalysisConfig, Metric, Needs


class Count:
    name, summary, question = "count", "Number of test images", "How many test images are there?"
    reference, config_type, needs = "an example", AnalysisConfig, Needs(dataset="digits", splits=("test",))

    def run(self, context, config):
        metrics = {"images": Metric(value=len(context.split("test")), unit="number")}
        return context.result(title=self.summary, headline="images", metrics=metrics)


@hookimpl
def dcgan_register_analyses(register):
    register(Count())
"""
NETWORKS = """
import torch
from torch import nn


class G(nn.Module):
    def __init__(self, nz):
        super().__init__()
        self.main = nn.Sequential(nn.ConvTranspose2d(nz, 4, 4), nn.ReLU(True), nn.ConvTranspose2d(4, 3, 4, 2, 1))

    def forward(self, z):
        return torch.tanh(self.main(z))


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 4, 2, 1), nn.Linear(64, 1)

    def forward(self, x):
        return torch.sigmoid(self.head(nn.functional.leaky_relu(self.conv(x), SLOPE).view(len(x), -1)))
"""
ARCHITECTURE = """
from dcgan_analysis import register_module_architecture
from some_networks import D, G

register_module_architecture("mine", generator=lambda: G(nz=6), discriminator=D, latent=6, image=(3, 8, 8))
"""


@pytest.fixture
def own(tmp_path):
    """A plugin file of five lines beside the module that it imports."""
    (tmp_path / "some_networks.py").write_text(NETWORKS.replace("SLOPE", "0.2"), encoding="utf-8")
    path = tmp_path / "my_net.py"
    path.write_text(ARCHITECTURE, encoding="utf-8")
    assert len(ARCHITECTURE.strip().splitlines()) <= 5
    return path


@pytest.fixture
def counting(tmp_path):
    path = tmp_path / "count_images.py"
    path.write_text(ANALYSIS, encoding="utf-8")
    return path


def test_a_file_named_on_the_command_line_is_a_plugin_for_this_command(run_cli, counting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_cli("--plugin", str(counting), "run", "count", "--limit", "7", "--json", "--out", str(tmp_path / "run"))
    assert json.loads(done.assert_success().out)["metrics"]["images"]["value"] == 7
    assert "count" not in default_host().analyses
    assert run_cli("run", "count").exit_code != 0


def test_a_plugin_that_takes_long_to_import_is_named_with_its_time(run_cli, counting, tmp_path):
    slow = tmp_path / "slow_start.py"
    slow.write_text("import time\ntime.sleep(0.6)\n" + ANALYSIS.replace('"count"', '"slow-start"', 1), encoding="utf-8")
    done = run_cli("--plugin", str(slow), "--plugin", str(counting), "plugins").assert_success()
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert re.search(r"analysis; takes (0\.[6-9]|\d+\.\d) s to import", lines["slow-start"])
    assert "to import" not in lines["count-images"]


def test_files_may_be_named_by_the_environment(counting, monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_PLUGIN_FILES", str(counting))
    host = load_plugins("")
    assert host.analyses.owner("count") == "plugin 'count-images'"
    assert "count" not in load_plugins("", files=()).analyses


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.py", None, r"Plugin file '.*absent\.py' does not exist"),
        ("notes.txt", "x", r"Plugin file '.*notes\.txt' is no Python file"),
        ("broken.py", "import no_such_module", r"Plugin 'broken' could not be loaded: ModuleNotFoundError"),
        ("empty.py", "x = 1", r"Plugin 'empty' implements no hook"),
        ("syntax.py", "def (", r"Plugin 'syntax' could not be loaded: SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named(run_cli, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises((ConfigError, RegistrationError), match=message):
        load_plugins("", files=[tmp_path / name])
    done = run_cli("--plugin", str(tmp_path / name), "run", "pixels", "--limit", "5")
    assert done.exit_code == 1
    assert len(done.err.strip().splitlines()) == 1


def test_an_architecture_of_own_classes_keeps_the_contract_and_its_weights_are_saved_and_loaded(own, tmp_path):
    host = load_plugins("", files=[own])
    entry = host.architectures["mine"]
    architecture = check_architecture(entry)
    assert (architecture.image_shape, architecture.z_size, architecture.taps) == ((3, 8, 8), 6, ("conv:after",))
    checkpoint = Checkpoint.random(architecture, seed=1)
    checkpoint.save(tmp_path / "own.safetensors")
    again = read_checkpoint(tmp_path / "own.safetensors", host.architectures)
    assert again.sha256() == checkpoint.sha256()
    assert torch.equal(again.sample(2, seed=0), checkpoint.sample(2, seed=0))


def test_weights_of_changed_code_are_refused(own, tmp_path):
    host = load_plugins("", files=[own])
    Checkpoint.random(host.architectures["mine"].create(), seed=1).save(tmp_path / "own.safetensors")
    entry = host.architectures["mine"]
    with pytest.raises(ArchitectureError, match=r"its modules compute something else than those that were saved"):
        entry.create(structure="generator G, structure 0")


def test_an_architecture_of_own_classes_can_be_trained(own, tmp_path, monkeypatch):
    from dcgan_analysis.data.files.sources import builtin_registry
    from dcgan_analysis.data.registry import DatasetEntry
    from dcgan_analysis.runs.library import train
    from dcgan_analysis.testing import make_dataset

    host = load_plugins("", files=[own])
    assert "digits" in builtin_registry()
    small = make_dataset(train=24, test=6, shape=(3, 8, 8))
    host.datasets.add("small", DatasetEntry("small", "", lambda root, download: small), owner="test")
    settings = {"architecture": "mine", "dataset": "small", "epochs": 1, "batch_size": 8}
    trained = train(settings, tmp_path / "training", device="cpu", host=host)
    assert trained.architecture.name == "mine"
    assert read_checkpoint(tmp_path / "training" / "model.safetensors", host.architectures).sha256() == trained.sha256()


def test_outside_of_plugins_a_call_makes_it_known_to_this_process():
    from torch import nn

    entry = da.register_module_architecture(
        "in-a-notebook",
        discriminator=lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 6)),
        image=(3, 8, 8),
    )
    try:
        assert default_host().architectures["in-a-notebook"] is entry
        with pytest.raises(RegistrationError, match="registered twice"):
            da.register_module_architecture("in-a-notebook", discriminator=nn.Identity)
    finally:
        default_host().architectures.remove_owner(f"module {__name__}")
