"""What is done stays done after a power cut: every writer syncs contents, names them, then syncs the name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan_analysis
from dcgan_analysis.annotations.boxes import Boxes
from dcgan_analysis.core import files
from dcgan_analysis.core.files import write_text
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.features.outcomes import keep_outcome
from dcgan_analysis.features.pipeline import Extraction, FeatureSpec
from dcgan_analysis.figures.pixels import save_gif, save_image
from dcgan_analysis.host.scaffold import new_plugin
from dcgan_analysis.models.tables import dcgan32_svhn
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.state import StateFile, save_state

PACKAGES = (Path(dcgan_analysis.__file__).parent, Path(dcgan_analysis.__file__).parents[1] / "plugins")

RENAMES = re.compile(r"os\.replace\(|\w\.rename\(|\w\.replace\((?:self\.)?\w*path")


class Disk:
    """Notes in order what reaches the disk and what gets a name."""

    def __init__(self, monkeypatch):
        self.events = []
        fsync, replace, exchanged = os.fsync, os.replace, files._exchanged
        monkeypatch.setattr(os, "fsync", lambda stream: (self._synced(stream), fsync(stream)))
        monkeypatch.setattr(os, "replace", lambda *names: (self._named(*names), replace(*names)))
        monkeypatch.setattr(files, "_exchanged", lambda *names: (self._named(*names), exchanged(*names))[1])

    def _synced(self, stream):
        number = stream if isinstance(stream, int) else stream.fileno()
        self.events.append(("synced", Path(f"/proc/self/fd/{number}").readlink()))

    def _named(self, source, target):
        self.events.append(("named", Path(target)))
        self.source = Path(source)
        self.renames = getattr(self, "renames", {}) | {Path(target): (len(self.events) - 1, Path(source))}

    def keeps(self, path):
        """Say whether a file, or a folder with all that it holds, would be there after a power cut."""
        at, source = self.renames[path]
        before = {synced for kind, synced in self.events[:at] if kind == "synced"}
        parts = [Path(), *(found.relative_to(path) for found in path.rglob("*"))] if path.is_dir() else [Path()]
        return {source / part for part in parts} <= before and ("synced", path.parent) in self.events[at:]


@pytest.fixture(autouse=True)
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "photos" / "one.png")


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def a_run(folder, host, force=False):
    return run("toy", out=folder / "runs" / "one", host=host, force=force).folder


def prepared(folder):
    return prepare_images(folder / "photos", folder / "prepared", size=8).folder


def boxes(folder):
    Boxes(object="window").save(folder / "boxes.json")
    return folder / "boxes.json"


WRITERS = {
    "text": lambda folder, *_: write_text(folder / "new" / "a.txt", "whole") or folder / "new" / "a.txt",
    "run": lambda folder, host, _: a_run(folder, host),
    "outcome": lambda folder, *_: keep_outcome("trials", {"a": 1}, {"b": np.zeros(3)}, folder),
    "picture": lambda folder, *_: save_image(np.zeros((3, 4, 4), np.uint8), folder / "a.png"),
    "animation": lambda folder, *_: save_gif(np.zeros((2, 3, 4, 4), np.uint8), folder / "a.gif"),
    "prepared images": lambda folder, *_: prepared(folder),
    "plugin": lambda folder, *_: new_plugin("mine", folder / "mine"),
    "boxes": lambda folder, *_: boxes(folder),
    "checkpoint": lambda folder, _, network: network.save(folder / "a.safetensors") or folder / "a.safetensors",
}


@pytest.mark.parametrize("kind", WRITERS)
def test_contents_reach_the_disk_before_the_name_and_the_name_before_the_writer_is_done(
    kind, tmp_path, disk, host, tiny_checkpoint
):
    assert disk.keeps(WRITERS[kind](tmp_path, host, tiny_checkpoint))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_writer_on_a_full_disk_says_so_and_leaves_nothing(kind, tmp_path, host, tiny_checkpoint, small_files):
    with small_files(3), pytest.raises((OSError, DcganAnalysisError), match=r"File too large|cannot be written"):
        WRITERS[kind](tmp_path, host, tiny_checkpoint)

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["one.png"]


def test_a_run_that_replaces_another_is_on_the_disk(tmp_path, disk, host):
    a_run(tmp_path, host)
    disk.events.clear()
    assert disk.keeps(a_run(tmp_path, host, force=True))


def test_a_feature_store_is_on_the_disk(tmp_path, disk, tiny_checkpoint):
    spec = FeatureSpec(batchnorm="running")
    extraction = Extraction(tiny_checkpoint, spec, None, torch.device("cpu"), folder=tmp_path)
    assert disk.keeps(extraction.store("test", make_dataset().split("test")).path)


def test_a_training_state_and_the_one_before_it_are_on_the_disk(tmp_path, disk):
    state = StateFile(tmp_path, keep=2)
    config = TrainingConfig.build({"dataset": "noise", "architecture": "dcgan32-svhn", "batch_size": 8})
    pair = AdversarialPair(dcgan32_svhn(width=2, image_channels=1), config, torch.device("cpu"))
    for step in (1, 2):
        if step == 2:
            state.set_aside(1)
        save_state(state.path, pair, config, {"step": step})
    assert disk.keeps(state.path)
    assert disk.keeps(tmp_path / "states" / "step-000000001.safetensors")


def test_new_folders_are_on_the_disk_with_those_above_them(tmp_path, disk):
    write_text(tmp_path / "a" / "b" / "c.txt", "")
    assert [path for kind, path in disk.events if kind == "synced" and path.is_dir()][:2] == [tmp_path / "a", tmp_path]


def test_nothing_but_the_one_function_gives_a_finished_file_its_name():
    """Others rename what is not finished, or what is put back: each is named here."""
    allowed = {
        "core/files.py": 5,
        "data/files/prepared_writer.py": 1,  # gray images, before the folder has its name
        "features/layout.py": 1,  # a file that cannot be read, set aside
    }
    found = {}
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            if calls := RENAMES.findall(path.read_text(encoding="utf-8")):
                found[path.relative_to(package).as_posix()] = len(calls)
    assert found == allowed
