"""No file gives rise to a traceback: values of documents, and bytes of any file, are replaced, and it is read."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file

from dcgan_analysis import import_weights
from dcgan_analysis.annotations.boxes import Boxes, read_boxes
from dcgan_analysis.annotations.exemplars import Exemplars, read_exemplars
from dcgan_analysis.api.result import RESULT_FILE, Result
from dcgan_analysis.checkpoints.catalogue import list_checkpoints
from dcgan_analysis.checkpoints.checkpoint import read_checkpoint
from dcgan_analysis.checkpoints.metadata import read_metadata
from dcgan_analysis.core.registry import Registry
from dcgan_analysis.core.settings import read_toml
from dcgan_analysis.data.curation import face_crops
from dcgan_analysis.data.curation.deduplication import FORMAT, read_duplicates
from dcgan_analysis.data.files import prepared_writer
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.data.files.prepared import PREPARED, load_prepared
from dcgan_analysis.data.files.sources import load_dataset
from dcgan_analysis.errors import CheckpointError, DcganAnalysisError, StoreError
from dcgan_analysis.features.outcomes import find_outcome, keep_outcome
from dcgan_analysis.features.pipeline import Extraction, FeatureSpec
from dcgan_analysis.features.store import FeatureStore
from dcgan_analysis.latents import attributes
from dcgan_analysis.models.registry import builtin_architectures
from dcgan_analysis.models.tables import dcgan32_svhn
from dcgan_analysis.report import paired, print_result
from dcgan_analysis.report.html import render_report
from dcgan_analysis.report.model_card import render_card
from dcgan_analysis.runs.verification import verify
from dcgan_analysis.testing import make_dataset
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.state import load_state, save_state

ARCHITECTURES = Registry("architecture")
for entry in builtin_architectures():
    ARCHITECTURES.add(entry.name, entry, owner="dcgan-analysis")
CONFIG = TrainingConfig.build({"dataset": "noise", "architecture": "dcgan32-svhn", "batch_size": 8})
VALUES = [
    *(None, True, -1, 0, 0.5, 1e308, -1e308, 2**63, 10**39),
    *("", "x", "../../etc/passwd", "/dev/zero", "a\0b", "\x1b[31m", "é" * 300),
    *([], {}, [1], [None], [[1]], {"a": 1}),
]
TEXTS = [
    *(b"", b"{", b"\xff\xfe", b"null", b"[]", b"NaN", b"1e999", b'"\\ud800"', b"9" * 5000),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a": -Infinity}'),
]


def places(document, before=()):
    yield before
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from places(document[key], (*before, key))


def broken(document, number, seed=0):
    """Yield some documents with another value, or none, in one place, and texts that are no documents."""
    source = random.Random(seed)
    every = [(place, value) for place in places(document) if place for value in [*VALUES, places]]
    for place, value in source.sample(every, min(number, len(every))):
        changed = copy.deepcopy(document)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if value is places:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
        yield json.dumps(changed).encode()
    yield from TEXTS


TOKENS = [
    *(b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7, b"\0\xf0\x7f", b"\x80\x7f", b"\xff\xfe"),
    *(b"null", b"-1", b"1e999", b"NaN", b"[", b"{", b'"', b"\n", b"'", b"=", b"\\", b"9" * 50, b"../", b"\x1b[2J"),
]


def changed(content, number, seed=0):
    """Yield a file's content with bytes replaced, inserted, removed, copied or cut off, at one to four places."""
    source = random.Random(seed)
    for _ in range(number):
        whole = bytearray(content)
        for _ in range(source.choice([1, 1, 2, 4])):
            # Headers and directories stand at the ends.
            reach = source.choice([len(whole), 64, 512, 4096])
            at = source.randrange(max(1, min(reach, len(whole))))
            at = source.choice([at, at, max(0, len(whole) - 1 - at)])
            size = source.choice([1, 1, 2, 4, 8, 100])
            kind = source.randrange(6)
            if kind == 0:
                whole[at : at + size] = source.randbytes(size)
            elif kind == 1:
                token = source.choice(TOKENS)
                whole[at : at + len(token)] = token
            elif kind == 2:
                whole[at:at] = source.choice([source.randbytes(size), source.choice(TOKENS)])
            elif kind == 3:
                del whole[at : at + size]
            elif kind == 4:
                start = source.randrange(len(whole) + 1)
                whole[at : at + size] = whole[start : start + size]
            else:
                del whole[source.randrange(len(whole) + 1) :]
        yield bytes(whole)


def tracebacks(contents, write, use):
    """Return what was raised that is no line for the user, and for which content."""
    wrong = {}
    for content in contents:
        write(content)
        try:
            use()
        except DcganAnalysisError as error:
            if "\n" in str(error):
                wrong[str(error)] = content[:300]
        except Exception as error:
            wrong[repr(error)[:200]] = content[:300]
    return wrong


class Kind:
    """A document: its parts, how it is written into a file that is otherwise whole, how it is used."""

    def __init__(self, folder, checkpoint, result):
        self.folder, self.checkpoint, self.result = folder, checkpoint, result
        self.path = folder / "document.json"
        self.document = self.make()

    def write(self, content):
        self.path.write_bytes(content)


class ResultDocument(Kind):
    def make(self):
        self.path = self.folder / RESULT_FILE
        Image.new("RGB", (2, 2)).save(self.folder / "curve.png")
        figure = {"name": "curve", "file": "curve.png", "title": "Curve"}
        document = json.loads(self.result(figures=[figure], files={"a": "curve.png"}).model_dump_json())
        del document["manifest"], document["checksum"]
        return document

    def use(self):
        result = Result.load(self.folder)
        print_result(result, self.folder, Console(file=io.StringIO()))
        render_report(result, self.folder)


class Header(Kind):
    """A safetensors file, of whose metadata the document is one text."""

    def whole(self, path):
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        self.header, self.tensors = json.loads(content[8 : 8 + length]), content[8 + length :]
        del self.header["__metadata__"]["checksums"]

    def write(self, content):
        texts = self.header["__metadata__"] | {self.part: content.decode(errors="replace")}
        header = json.dumps(self.header | {"__metadata__": texts}).encode()
        self.path.write_bytes(len(header).to_bytes(8, "little") + header + self.tensors)


class CheckpointHeader(Header):
    part = "dcgan_analysis"

    def make(self):
        self.path = self.folder / "a.safetensors"
        self.checkpoint.save(self.path)
        self.whole(self.path)
        before = {"epochs": 1.0, "images": 3, "hours": 0.1}
        document = json.loads(self.header["__metadata__"][self.part])
        return document | {"provenance": {"started_from": before, "hours": 1.0}, "data": {"name": "x", "n": 3}}

    def use(self):
        metadata = read_metadata(self.path)
        assert metadata.trained
        read_checkpoint(self.path, ARCHITECTURES)


class State(Header):
    def make(self):
        self.path = self.folder / "state.safetensors"
        self.pair = AdversarialPair(dcgan32_svhn(width=2, z_size=4, image_channels=1), CONFIG, torch.device("cpu"))
        save_state(self.path, self.pair, CONFIG, {"step": 12, "history": [{"loss": 0.1}]})
        self.whole(self.path)
        return json.loads(self.header["__metadata__"][self.part])

    def use(self):
        load_state(self.path, self.pair, CONFIG)


class StateProgress(State):
    part = "progress"


class StateSettings(State):
    part = "config"


class BoxesDocument(Kind):
    def make(self):
        return Boxes(object="window", boxes=[{"sample": 0, "box": (1, 1, 3, 3)}]).document()

    def use(self):
        boxes = read_boxes(self.path)
        boxes.check(8, 8, self.path)
        boxes.by_sample()


class CocoDocument(BoxesDocument):
    def make(self):
        marked = {"image_id": 1, "bbox": [1, 1, 3, 3], "category_id": 1}
        images = [{"id": 1, "file_name": "0.png", "width": 8, "height": 8}]
        return {"images": images, "annotations": [marked], "categories": [{"id": 1, "name": "window"}]}


class ExemplarsDocument(Kind):
    def make(self):
        return Exemplars(concepts={"a": [1], "b": [2], "c": [3]}, expression=("a", "b", "c")).document()

    def use(self):
        read_exemplars(self.path)


class Duplicates(Kind):
    def make(self):
        return {"format": FORMAT, "version": 1, "dataset": "d", "split": "train", "sha256": "ab", "leave_out": ["a"]}

    def use(self):
        read_duplicates(self.path)


def pictures(folder):
    for number in range(4):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    return folder


class DatasetJson(Kind):
    def make(self):
        self.path = pictures(self.folder / "photos") / "dataset.json"
        labels = [["a/0.png", 0], ["b/1.png", 1], ["a/2.png", 0], ["b/3.png", 1]]
        return {"name": "x", "labels": labels, "classes": ["a", "b"]}

    def use(self):
        load_dataset(self.folder / "photos").split("train").images.sum()


class PreparedMetadata(Kind):
    def make(self):
        folder = prepare_images(pictures(self.folder / "photos"), self.folder / "prepared", size=8).folder
        self.path = folder / PREPARED
        return json.loads(self.path.read_text()) | {"checksum": ""}

    def use(self):
        images = load_prepared(self.path.parent)
        for name in images.split_names:
            images.split(name).images.sum()


class Journal(Kind):
    """Of a preparation that was killed; what is damaged begins anew."""

    def make(self):
        photos = pictures(self.folder / "photos")
        self.path = self.folder / "out.part" / prepared_writer._JOURNAL
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepared_writer, "_finish", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                prepare_images(photos, self.folder / "out", size=8)
        self.files = {path: path.read_bytes() for path in self.path.parent.iterdir()}
        return json.loads(self.path.read_text())

    def write(self, content):
        self.path.parent.mkdir(exist_ok=True)
        for path, whole in self.files.items():
            path.write_bytes(whole)
        self.path.write_bytes(content)

    def use(self):
        journal = prepared_writer._begin(self.path.parent, self.document["plan"])
        assert journal.position in (0, 4)


KINDS = [
    *(ResultDocument, CheckpointHeader, StateProgress, StateSettings, BoxesDocument, CocoDocument),
    *(ExemplarsDocument, Duplicates, DatasetJson, PreparedMetadata, Journal),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_a_document_is_read_or_refused_with_one_line(kind, number, tmp_path, tiny_checkpoint, make_result):
    made = kind(tmp_path, tiny_checkpoint, make_result)
    made.write(json.dumps(made.document).encode())
    made.use()
    assert tracebacks(broken(made.document, number), made.write, made.use) == {}
    # As bytes too, a tenth as often: most of it is no document any more.
    whole = json.dumps(made.document).encode()
    assert tracebacks(changed(whole, 3 + number // 10), made.write, made.use) == {}


class File:
    """A file, whole but for the checksums, which would hide what a reader does; how it is used."""

    def __init__(self, folder, checkpoint, host):
        self.folder, self.checkpoint, self.host = folder, checkpoint, host
        self.path = self.make()
        self.content = self.path.read_bytes()

    def write(self, content):
        self.path.write_bytes(content)


def without_checksums(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]["checksums"]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return path


class CheckpointFile(File):
    def make(self):
        path = self.folder / "model.safetensors"
        self.checkpoint.save(path)
        return without_checksums(path)

    def use(self):
        verify(str(self.path), self.host)


class StateFile(File):
    def make(self):
        path = self.folder / "state.safetensors"
        self.pair = AdversarialPair(dcgan32_svhn(width=2, z_size=4, image_channels=1), CONFIG, torch.device("cpu"))
        save_state(path, self.pair, CONFIG, {"step": 12, "history": [{"loss": 0.1}]})
        return without_checksums(path)

    def use(self):
        load_state(self.path, self.pair, CONFIG)


class StoreFile(File):
    def make(self):
        spec, cpu = FeatureSpec(batchnorm="running"), torch.device("cpu")
        extraction = Extraction(self.checkpoint, spec, None, cpu, folder=self.folder)
        return extraction.store("test", make_dataset().split("test")).path

    def use(self):
        store = FeatureStore(self.path)
        store.numpy()
        assert repr(store)


class OutcomeFile(File):
    """Of the cache: what is damaged is made anew."""

    def make(self):
        path = keep_outcome("trials", {"a": 1}, {"b": np.arange(3.0), "c": np.zeros(2, np.int64)}, self.folder)
        return without_checksums(path)

    def use(self):
        find_outcome("trials", {"a": 1}, self.folder)


class PreparedFile(File):
    def make(self):
        folder = prepare_images(pictures(self.folder / "photos"), self.folder / "prepared", size=8).folder
        document = json.loads((folder / PREPARED).read_text())
        for split in document["splits"].values():
            del split["crc32"]
        (folder / PREPARED).write_text(json.dumps(document | {"checksum": ""}))
        return folder / self.name

    def use(self):
        images = load_prepared(self.folder / "prepared")
        for name in images.split_names:
            images.split(name).images[:].sum()


class PreparedNames(PreparedFile):
    name = "train.ids"


class PreparedColumns(PreparedFile):
    name = "train.npz"


class PreparedText(PreparedFile):
    name = PREPARED


class ZipOfImages(File):
    def make(self):
        folder = pictures(self.folder / "photos")
        return Path(shutil.make_archive(str(self.folder / "images"), "zip", folder))

    def use(self):
        load_dataset(str(self.path)).split("train")


class TarOfImages(ZipOfImages):
    def make(self):
        return Path(shutil.make_archive(str(self.folder / "images"), "tar", pictures(self.folder / "photos")))

    def use(self):
        if (self.folder / "out").exists():
            shutil.rmtree(self.folder / "out")
        shutil.rmtree(self.folder / "out.part", ignore_errors=True)
        prepare_images(self.path, self.folder / "out", size=8)


class Settings(File):
    def make(self):
        path = self.folder / "settings.toml"
        path.write_text('dataset = "noise"\nepochs = 2\nlearning_rate = 1e-3\n[parameters]\nwidth = 8\n')
        return path

    def use(self):
        TrainingConfig.build(read_toml(self.path))


class Judges(File):
    """Beside a checkpoint, for analyses of attributes."""

    def make(self):
        origin = {"images": "ab", "attributes": "cd", "names": ["smile"]}
        network = attributes._network((3, 32, 32), 1)
        arrays = {f"0.{name}": array for name, array in attributes._arrays(network)}
        path = self.folder / attributes.JUDGES_FILE
        np.savez(path, **{attributes._ORIGIN: np.array(json.dumps(origin))}, **arrays)
        checkpoint = SimpleNamespace(path=self.folder / "model.safetensors")
        self.context = SimpleNamespace(checkpoint=checkpoint, note=len)
        self.origin = origin
        return path

    def use(self):
        attributes._shipped(self.context, SimpleNamespace(image_shape=(3, 32, 32)), self.origin, 1)


class Predictions(File):
    """Of a run, compared image by image."""

    def make(self):
        path = self.folder / "predictions.npz"
        arrays = {"ids": np.array(["a", "b"]), "labels": np.array([0, 1]), "drawn": np.array([[0, 1]])}
        np.savez(path, predictions=np.array([[0, 1], [1, 1]]), **arrays)
        self.result = SimpleNamespace(files={"predictions": path.name}, folder=self.folder)
        return path

    def use(self):
        paired._read(self.result, "predictions")


class Npz(File):
    """Weights made elsewhere."""

    def weights(self):
        return {name: tensor.float() for name, tensor in self.checkpoint.weights["discriminator"].items()}

    def make(self):
        path = self.folder / "weights.npz"
        np.savez(path, **{name: tensor.numpy() for name, tensor in self.weights().items()})
        return path

    def use(self):
        with contextlib.suppress(CheckpointError):
            import_weights(self.path, host=self.host)


class Safetensors(Npz):
    def make(self):
        path = self.folder / "weights.safetensors"
        save_file(self.weights(), path)
        return path


class Pth(Npz):
    def make(self):
        path = self.folder / "weights.pth"
        torch.save(self.weights(), path)
        return path


class Hdf5(Npz):
    def make(self):
        path = self.folder / "weights.h5"
        with h5py.File(path, "w") as file:
            file["model_weights/conv/kernel:0"] = np.ones((4, 4, 3, 3), np.float32)
            file["model_weights"].attrs["layer_names"] = [b"conv"]
            file["model_weights/conv"].attrs["weight_names"] = [b"kernel:0"]
        return path


class History(File):
    """Of a training, beside its checkpoint."""

    def make(self):
        self.checkpoint.save(self.folder / "model.safetensors")
        path = self.folder / "history.json"
        row = {"step": 10, "epoch": 1.0, "generator_loss": 0.5, "discriminator_loss": 0.5, "warnings": []}
        row |= {"real_probability": 0.5, "fake_probability": 0.5, "samples": "samples/1.png"}
        path.write_text(json.dumps([row]))
        return path

    def use(self):
        render_card(self.folder / "model.safetensors")


class Faces(File):
    """The record of a crop of faces that goes on."""

    def make(self):
        path = self.folder / "faces.json"
        record = {"settings": {"a": 1}, "photos": 1, "small": 0, "faces": {"a.png": {"photo": "b"}}, "skipped": {}}
        path.write_text(json.dumps(record))
        return path

    def use(self):
        record = face_crops._record(self.folder, {"a": 1})
        assert record["photos"] + record["small"] + len(record["faces"]) + len(record["skipped"]) >= 0


FILES = [
    *(CheckpointFile, StateFile, StoreFile, OutcomeFile, PreparedNames, PreparedColumns, PreparedText),
    *(ZipOfImages, TarOfImages, Settings, Judges, Predictions, Npz, Safetensors, Pth, Hdf5),
    *(History, Faces),
]


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("number", [8, pytest.param(12, marks=pytest.mark.slow)])
def test_a_file_with_changed_bytes_is_read_or_refused_with_one_line(kind, number, tmp_path, tiny_checkpoint, host):
    made = kind(tmp_path, tiny_checkpoint, host)
    made.use()
    assert tracebacks(changed(made.content, number), made.write, made.use) == {}
    if made.path.suffix == ".json":
        assert tracebacks(broken(json.loads(made.content), number), made.write, made.use) == {}


@pytest.mark.parametrize("kind", [Npz, Pth])
def test_weights_whose_numbers_were_changed_in_their_zip_are_refused_with_one_line(
    kind, tmp_path, tiny_checkpoint, host
):
    made = kind(tmp_path, tiny_checkpoint, host)
    content = bytearray(made.content)
    content[len(content) // 2] ^= 1
    made.write(content)
    with pytest.raises(CheckpointError, match=r"truncated or damaged \(Bad CRC-32 for file '.*'\)\. Copy it again\.$"):
        import_weights(made.path, host=host)


@pytest.mark.parametrize(
    "content",
    [
        *(b"a=[1", b"a='\xff'", b"\0", b"a=" + b"9" * 5000, b"a={b=" * 5000, b"a=" + b"[" * 100_000),
        *(b"a" + b".a" * 1_000_000 + b"=1", b"a" + b" . 'a'" * 100_000 + b"=1"),
    ],
    ids=lambda content: content[:8].decode(errors="replace"),
)
def test_toml_is_read_or_refused_with_one_line(content, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(DcganAnalysisError, match=r"^Configuration file '.*' is not TOML: .*\.$"):
        read_toml(path)


@pytest.fixture
def store(tmp_path, tiny_checkpoint):
    spec, cpu = FeatureSpec(batchnorm="running"), torch.device("cpu")
    extraction = Extraction(tiny_checkpoint, spec, None, cpu, folder=tmp_path)
    return extraction.store("test", make_dataset().split("test")).path.read_bytes()


STAND_INS = {
    "group": lambda file, name: file.create_group(name),
    "link to itself": lambda file, name: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
    "other file": lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")),
    "raw storage": lambda file, name: file.create_dataset(name, (9,), "u1", external=[("/etc/passwd", 0, 9)]),
    "huge": lambda file, name: file.create_dataset(name, (2**40,), "<f4", chunks=(1024,)),
    "number": lambda file, name: file.create_dataset(name, data=3.5),
    "text": lambda file, name: file.create_dataset(name, data=b"\xff\xfe"),
    "four axes": lambda file, name: file.create_dataset(name, data=np.zeros((2, 2, 2, 2))),
    "records": lambda file, name: file.create_dataset(name, data=np.zeros(5, [("a", "i4")])),
}
ELEMENTS = ["chunks", "classes", "features", "ids", "key", "labels", "taps", "taps/columns", "taps/name", "taps/shape"]


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_a_store_in_which_something_else_stands_is_refused_with_one_line(stand_in, store, tmp_path):
    path = tmp_path / "a.h5"
    for element in ELEMENTS:
        path.write_bytes(store)
        with h5py.File(path, "r+") as file:
            attributes = dict(file[element].attrs)
            del file[element]
            STAND_INS[stand_in](file, element)
            if stand_in not in ("link to itself", "other file"):
                file[element].attrs.update(attributes)
        with pytest.raises(StoreError) as caught:
            FeatureStore(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"__metadata__": {"dcgan_analysis": "[[[["}}', b"\xff"])
def test_one_bad_checkpoint_hides_no_other(content, tmp_path, monkeypatch, tiny_checkpoint):
    tiny_checkpoint.save(tmp_path / "good" / "model.safetensors")
    bad = tmp_path / "bad" / "model.safetensors"
    bad.parent.mkdir()
    bad.write_bytes(len(content).to_bytes(8, "little") + content)
    (tmp_path / "folder" / "model.safetensors").mkdir(parents=True)
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path))
    entries = {entry.name: entry for entry in list_checkpoints()}
    assert entries["good"].error is None
    assert entries["bad"].error
    assert entries["folder"].error
