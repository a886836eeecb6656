"""The contracts of architectures and datasets, and the check of everything that a plugin registers."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.api import Needs
from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.conformance.entries import check_importer
from dcgan_analysis.conformance.plugin import check_plugin
from dcgan_analysis.core.progress import silent
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.errors import AnalysisError, DatasetError, UnknownNameError
from dcgan_analysis.host.host import PluginInfo, load_plugins
from dcgan_analysis.models.registry import ArchitectureEntry
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32
from dcgan_analysis.testing import check_architecture, check_dataset, make_dataset


def slim(width=8, z_size=10):
    made = dcgan32(width=width, z_size=z_size)
    return replace(made, name="slim", parameters={"width": width, "z_size": z_size})


def entry(**changes):
    return ArchitectureEntry("slim", "a small one", lambda width=8, z_size=10: replace(slim(width, z_size), **changes))


def test_a_sound_architecture_passes():
    assert check_architecture(ArchitectureEntry("slim", "a small one", slim), width=4).parameters["width"] == 4


def test_a_conditional_architecture_passes():
    by_class = ArchitectureEntry("dcgan28-conditional", "by class", dcgan28_conditional)
    assert check_architecture(by_class, width=2).classes == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "'slim' says that it is called 'other'"),
        ({"parameters": {"width": 4}}, "does not record the parameters z_size"),
        ({"parameters": {"width": 8, "z_size": 10}}, "built from its own parameters is another one"),
        ({"image_shape": (3, 16, 16)}, r"draws images \(3, 3, 32, 32\), they must be \(3, 3, 16, 16\)"),
        ({"image_range": (0.0, 1.0)}, r"outside its image_range \(0\.0, 1\.0\)"),
    ],
)
def test_an_architecture_that_breaks_a_rule_is_told_which(changes, message):
    made = entry(**changes)
    if message.startswith("built from"):
        count = itertools.count(8)
        made = ArchitectureEntry("slim", "", lambda width=4, z_size=10: slim(next(count), z_size))
    with pytest.raises(AssertionError, match=message):
        check_architecture(made, width=4)


class Restoring(nn.Module):
    """Puts the weights back that it was trained to."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(3 * 32 * 32))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.zeros_(self.kernel)
        self.kernel.data[0] = 1

    def forward(self, images):
        return images.flatten(1) @ self.kernel


def test_an_architecture_whose_random_weights_are_always_the_same_is_told_which():
    made = entry(make_discriminator=lambda _: Restoring(), discriminator_layers=(), taps=())
    with pytest.raises(AssertionError, match=r"'slim': random weights.*Parameter 'kernel' is the same whatever"):
        check_architecture(made, width=4)


def dataset(name="shapes", **changes):
    split = make_dataset(test=6).split("test")
    fields = {"images": split.images, "labels": split.labels, "ids": split.ids, "classes": split.classes} | changes
    return Dataset.from_splits(name, {"train": split, "test": DatasetSplit(**fields)})


def test_a_sound_dataset_passes(tmp_path):
    found = check_dataset(DatasetEntry("shapes", "", lambda root, download: dataset()), tmp_path)
    assert found.split_names == ["train", "test"]


_noise = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: "images", "its loader must return a dcgan_analysis"),
        (lambda: dataset("other"), "says that it is called 'other'"),
        (lambda: dataset(ids=["same"] * 6), "two images of split 'test' have the same id"),
        (lambda: dataset(classes=["a", "b", "c"]), "the classes"),
        (lambda: dataset(images=np.zeros((6, 1, 8, 8), np.uint8)), "images of split 'test' are"),
        (lambda: dataset(images=_noise.integers(0, 255, (6, 3, 32, 32), np.uint8)), "reads differently the second"),
    ],
)
def test_a_dataset_that_breaks_a_rule_is_told_which(load, message, tmp_path):
    with pytest.raises(AssertionError, match=message):
        check_dataset(DatasetEntry("shapes", "", lambda root, download: load()), tmp_path)


class Acme:
    def __init__(self, *analyses):
        self.analyses = analyses

    @hookimpl
    def dcgan_register_architectures(self, register):
        register(ArchitectureEntry("slim", "a small one", slim))

    @hookimpl
    def dcgan_register_datasets(self, register):
        def absent(root, download):
            msg = f"No files in {root}."
            raise DatasetError(msg)

        register(DatasetEntry("shapes", "discs and stripes", lambda root, download: dataset()))
        register(DatasetEntry("absent", "not on this machine", absent))

    @hookimpl
    def dcgan_register_analyses(self, register):
        for analysis in self.analyses:
            register(analysis)


def test_everything_that_a_plugin_registers_is_checked(cli, host, make_toy):
    sound = make_toy(name="sound", needs=Needs(dataset="digits", splits=("test",), images=40))
    host.register(Acme(sound), "acme")
    outcome = cli("plugins", "check", "acme", "--json").assert_success()
    assert [(each["kind"], each["name"], each["state"]) for each in outcome.json()] == [
        ("architecture", "slim", "passed"),
        ("dataset", "shapes", "passed"),
        ("dataset", "absent", "skipped"),
        ("analysis", "sound", "passed"),
    ]


def test_a_plugin_that_breaks_a_contract_is_told_which_and_the_exit_code_is_1(cli, host, make_toy):
    host.register(Acme(make_toy(name="bad", question="No question.")), "acme")
    outcome = cli("plugins", "check", "acme")
    assert outcome.exit_code == 1
    assert "failed   analysis bad: Analysis 'bad': its question must end with a question mark" in outcome.out
    assert "Error: Plugin 'acme': 1 of 4 checks failed." in outcome.err


BROKEN = {
    "leaving_a_hook": ("analysis", r"'hooking': it changes hooks on all modules; put it back"),
    "changing_images": ("analysis", r"'blackening': it changes the images of split 'test'; work on a copy"),
    "raising_section": ("hook", r"Plugin 'acme' \(acme-gan 2\.0\) failed in dcgan_report_sections: .* The run went on"),
    "unloadable_command": (
        "command",
        r"'unloadable' of acme-gan 2\.0 \(acme\) could not .* 'a_package_that_nobody_has'",
    ),
    "careless_importer": ("importer", r"'careless' takes an empty file for weights: .* raise a CheckpointError"),
}


@pytest.mark.parametrize("module", BROKEN)
def test_a_plugin_of_which_one_part_is_broken_is_told_which(module, install):
    install("acme-gan", "2.0", acme=module)
    (check,) = check_plugin("acme", load_plugins(), progress=silent)
    kind, message = BROKEN[module]
    assert (check.kind, check.state) == (kind, "failed")
    assert re.search(message, check.message)


def test_each_observer_of_a_plugin_is_checked_by_itself(install):
    install("acme-gan", "2.0", acme="raising_observer")
    checks = check_plugin("acme", load_plugins(), progress=silent)
    assert [(check.kind, check.name, check.state) for check in checks] == [
        ("hook", "dcgan_after_run", "failed"),
        ("hook", "dcgan_before_run", "failed"),
    ]
    assert (
        "Plugin 'acme' (acme-gan 2.0) failed in dcgan_before_run: ValueError: the observer broke" in checks[1].message
    )


def test_the_importers_of_the_framework_itself_pass():
    host = load_plugins("")
    for name in host.importers:
        check_importer(host.importers[name], host.architectures)


def test_a_plugin_that_is_not_loaded_cannot_be_checked(host):
    host.disable(PluginInfo("sleeping"))
    with pytest.raises(AnalysisError, match="Plugin 'sleeping' is disabled; nothing to check"):
        check_plugin("sleeping", host, progress=silent)
    host.load(PluginInfo("broken"), lambda: 1 / 0)
    with pytest.raises(AnalysisError, match=r"Plugin 'broken' failed to load; nothing to check\. .*ZeroDivisionError"):
        check_plugin("broken", host, progress=silent)
    with pytest.raises(UnknownNameError, match="Unknown plugin 'acne'"):
        check_plugin("acne", host, progress=silent)
