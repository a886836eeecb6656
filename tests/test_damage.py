"""A changed byte never changes a number: one is flipped at random places of each kind of file, which is then used."""

from __future__ import annotations

import collections
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_analysis.api.result import Result
from dcgan_analysis.checkpoints.catalogue import load_checkpoint
from dcgan_analysis.core.hashing import hash_array, hash_json
from dcgan_analysis.data.files import prepared
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.data.files.prepared import load_prepared
from dcgan_analysis.data.files.sources import load_dataset
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.features.outcomes import find_outcome, keep_outcome
from dcgan_analysis.features.pipeline import Extraction, FeatureSpec
from dcgan_analysis.features.store import FeatureStore
from dcgan_analysis.models.registry import builtin_architectures
from dcgan_analysis.models.tables import dcgan32_svhn
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.state import load_state, save_state

ARCHITECTURES = {entry.name: entry for entry in builtin_architectures()}
CONFIG = TrainingConfig.build({"dataset": "noise", "architecture": "dcgan32-svhn", "batch_size": 8})


def numbers_of(split):
    columns = {key: hash_array(values) for key, values in split.extras.items()}
    labels = None if split.labels is None else split.labels.tolist()
    return [hash_array(np.asarray(split.images)), labels, list(split.ids), split.classes, split.sha256, columns]


class Kind:
    """Files of one kind: how they are made, and everything that is read from them when they are used."""

    def __init__(self, folder, checkpoint, host):
        self.folder, self.checkpoint, self.host = folder, checkpoint, host


class CheckpointFile(Kind):
    def make(self):
        self.checkpoint.save(self.folder / "a.safetensors")

    def use(self):
        read = load_checkpoint(self.folder / "a.safetensors", ARCHITECTURES)
        return [read.sha256(), read.metadata.model_dump_json()]


class Store(Kind):
    def make(self):
        spec, cpu = FeatureSpec(batchnorm="running", dtype="float32"), torch.device("cpu")
        extraction = Extraction(self.checkpoint, spec, None, cpu, folder=self.folder)
        store = extraction.store("test", make_dataset().split("test")).path
        shutil.move(store, self.folder / "a.h5")
        shutil.rmtree(self.folder / "features")

    def use(self):
        store = FeatureStore(self.folder / "a.h5")
        tables = [store.ids, store.classes, store.labels.tolist(), str(store.taps), str(store.tap_shapes)]
        return [hash_array(store.numpy()), *tables, store.key.sha256, store.shape]


def pictures(folder):
    rng = np.random.default_rng(0)
    for number in range(12):
        path = folder / f"{'ab'[number % 2]}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return folder


class Prepared(Kind):
    def make(self):
        photos = pictures(self.folder.with_name("photos"))
        prepare_images(photos, self.folder / "prepared", size=8)

    def use(self):
        data = load_prepared(self.folder / "prepared")
        return [numbers_of(data.split(name)) for name in data.split_names]


class LargePrepared(Prepared):
    """Too large to be checked when it is opened: checked chunk by chunk, as it is read."""

    def use(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepared, "CHECKED_AT_ONCE", 0)
            return super().use()


class Decoded(Kind):
    """The cache of decoded images: what is damaged there is decoded anew."""

    def make(self):
        self.photos = pictures(self.folder.with_name("images"))
        self.use()

    def use(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DCGAN_ANALYSIS_CACHE", str(self.folder))
            data = load_dataset(str(self.photos), registry=self.host.datasets)
            return [numbers_of(data.split(name)) for name in data.split_names]


class Outcome(Kind):
    """Outcomes of long computations: what is damaged is computed anew."""

    def make(self):
        keep_outcome("trials", {"a": 1}, {"b": np.arange(300.0), "c": np.zeros(2, np.int64)}, self.folder)

    def use(self):
        found = find_outcome("trials", {"a": 1}, self.folder)
        return None if found is None else [found["b"].tolist(), found["c"].tolist()]

    def good(self, before, now):
        return now is None or now == before


class State(Kind):
    def pair(self):
        return AdversarialPair(dcgan32_svhn(width=2, z_size=4, image_channels=1), CONFIG, torch.device("cpu"))

    def make(self):
        save_state(self.folder / "state.safetensors", self.pair(), CONFIG, {"step": 12, "history": [{"loss": 0.1}]})

    def use(self):
        pair = self.pair()
        progress, _ = load_state(self.folder / "state.safetensors", pair, CONFIG)
        states = (pair.generator.state_dict(), pair.discriminator.state_dict())
        return [progress, [{name: hash_array(tensor.numpy()) for name, tensor in state.items()} for state in states]]


class Run(Kind):
    def make(self):
        run("toy", out=self.folder / "run", host=self.host)

    def use(self):
        result = Result.load(self.folder / "run")
        result.folder = None
        files = sorted(path for path in (self.folder / "run").rglob("*") if path.name != "result.json")
        contents = [path.read_bytes().hex() for path in files if path.is_file()]
        return [result.model_dump_json(), hash_json(contents)]


KINDS = {kind.__name__: kind for kind in (CheckpointFile, Store, Prepared, LargePrepared, Decoded, Outcome, State, Run)}


def flip_and_use(made, places, seed=0):
    """Flip one byte at each of some random places, use the files, put them back; returns how often what happened."""
    files = sorted(path for path in made.folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    files = [path for path in files if path.name != "skipped.tsv" and path.stat().st_size]
    contents = {path: path.read_bytes() for path in files}
    before = made.use()
    good = getattr(made, "good", lambda one, other: one == other)
    rng, seen, wrong = random.Random(seed), collections.Counter(), []
    for number in range(places):
        path = files[number % len(files)]
        content = bytearray(contents[path])
        at = rng.randrange(len(content))
        content[at] ^= rng.randrange(1, 256)
        path.write_bytes(content)
        try:
            outcome = "same numbers" if good(before, made.use()) else "other numbers"
        except DcganAnalysisError:
            outcome = "refused"
        except Exception as error:
            outcome = f"traceback: {type(error).__name__}"
        seen[outcome] += 1
        if outcome not in ("same numbers", "refused"):
            wrong.append(f"{path.name} at {at}: {outcome}")
        for file, whole in contents.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists() or file.read_bytes() != whole:
                file.write_bytes(whole)
    assert made.use() == before
    return seen, wrong


@pytest.fixture
def make_kind(tmp_path, tiny_checkpoint, host):
    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        made = KINDS[name](folder, tiny_checkpoint, host)
        made.make()
        return made

    return make


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("places", [24, pytest.param(240, marks=pytest.mark.slow)])
def test_a_changed_byte_is_refused_or_changes_nothing(name, places, make_kind, record_property):
    seen, wrong = flip_and_use(make_kind(name), places)
    record_property(name, str(dict(seen)))
    print(name, dict(seen))
    assert not wrong


def test_the_shipped_checkpoints_are_listed_with_their_checksums():
    from dcgan_analysis.checkpoints.checkpoint import LISTED, listed_checksum
    from dcgan_analysis.core.checksums import crc32_file

    shipped = Path(__file__).parents[1] / "checkpoints"
    files = sorted(shipped.glob("*/model.safetensors"))
    assert (shipped / LISTED).is_file()
    assert [f"{crc32_file(path):08x}" for path in files] == [listed_checksum(path) for path in files]


def test_a_shipped_checkpoint_that_was_changed_is_refused(tmp_path, tiny_checkpoint):
    path = tmp_path / "mine" / "model.safetensors"
    tiny_checkpoint.save(path)
    (tmp_path / "checksums.json").write_text('{"mine": "00000000"}')
    with pytest.raises(DcganAnalysisError, match="its CRC-32 is not 00000000"):
        load_checkpoint(path, ARCHITECTURES)
