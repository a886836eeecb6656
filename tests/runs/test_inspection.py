from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.api.result import REPORT_FILE, Environment, Figure, Metric, Result, Stage
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.errors import AnalysisError, CheckpointError, StoreError, UnknownNameError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.features.pipeline import Extraction
from dcgan_analysis.host.host import load_plugins
from dcgan_analysis.models import tables
from dcgan_analysis.runs.inspection import kind_of
from dcgan_analysis.runs.verification import verify

CHECKPOINT = Checkpoint.random(tables.dcgan32_svhn(width=4, image_channels=1), seed=0)


@pytest.fixture
def host():
    return load_plugins("")


@pytest.fixture(autouse=True)
def known(tmp_path, monkeypatch):
    """A folder with one checkpoint that is found by its name."""
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path / "known"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "known" / "my-dcgan" / "model.safetensors"
    CHECKPOINT.save(path)
    return path


@pytest.fixture
def store(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 32, 32), dtype=np.uint8)
    split = DatasetSplit(images, None, [str(i) for i in range(6)])
    spec = FeatureSpec(batchnorm="running", precision="float32", dtype="float32")
    return Extraction(CHECKPOINT, spec, None, torch.device("cpu"), folder=tmp_path / "cache").store("test", split)


@pytest.fixture
def run(tmp_path):
    """A complete run folder."""
    folder = tmp_path / "run"
    environment = Environment(
        dcgan_analysis="0", code_sha256="", python="", platform="", packages={}, device="cpu", device_name="", threads=1
    )
    result = Result(
        analysis="svm-cifar",
        title="",
        headline="accuracy",
        metrics={"accuracy": Metric(value=0.5)},
        figures=[Figure(name="matrix", file="figures/matrix.png", title="")],
        files={"weights": "weights.npz"},
        config={},
        seed=0,
        environment=environment,
        stages=[Stage(name="all", seconds=1)],
        started="",
        elapsed_seconds=1,
        command="dcgan-analyze run svm-cifar",
    )
    (folder / "figures").mkdir(parents=True)
    for name in ("figures/matrix.png", "weights.npz", REPORT_FILE):
        (folder / name).touch()
    result.save(folder)
    return folder


def test_checkpoints_are_known_by_name_folder_and_file(known):
    for what in ("my-dcgan", str(known.parent), str(known)):
        assert kind_of(what) == ("checkpoint", known)


def test_runs_and_stores_are_known_by_path(run, store):
    assert kind_of(str(run)) == ("run", run)
    assert kind_of(str(run / "result.json")) == ("run", run)
    assert kind_of(str(store.path)) == ("store", store.path)


def test_a_folder_of_something_else_does_not_hide_a_checkpoint_of_its_name(known, tmp_path):
    (tmp_path / "my-dcgan").mkdir()

    assert kind_of("my-dcgan") == ("checkpoint", known)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("my-dcgn", UnknownNameError, r"^Unknown path or checkpoint 'my-dcgn'\. Did you mean 'my-dcgan'\?"),
        (
            "absent.h5",
            AnalysisError,
            r"^'absent\.h5' does not exist\. Give a checkpoint, a feature store \(\.h5\) or a run",
        ),
        ("a/b", AnalysisError, r"^'a/b' does not exist\."),
        ("known", AnalysisError, r"^Folder 'known' is neither a run \(result\.json\) nor a checkpoint \(model\.safet"),
    ],
)
def test_what_is_nothing_known_is_named(what, error, message):
    with pytest.raises(error, match=message):
        kind_of(what)


def test_a_training_without_a_checkpoint_yet_is_told_how_to_go_on(tmp_path):
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "state.safetensors").touch()

    with pytest.raises(
        AnalysisError,
        match=r"no checkpoint yet\. Continue it: dcgan-analyze train, or dcgan_analysis\.train, told to resume it\.$",
    ):
        kind_of("young")


def test_whole_things_are_said_to_be_whole(host, run, store):
    assert verify("my-dcgan", host) == (f"checkpoint, dcgan32-svhn, sha256 {CHECKPOINT.sha256()}", "")
    assert verify(str(store.path), host) == (f"feature store, 6 x 448, key {store.key.sha256}", "")
    assert verify(str(run), host) == ("run of svm-cifar, 3 files, headline accuracy", "")


def test_a_checkpoint_with_nan_is_not_whole(host, known):
    weights = {role: dict(state) for role, state in CHECKPOINT.weights.items()}
    weights["generator"]["deconv1.operation.weight"] = weights["generator"]["deconv1.operation.weight"].clone()
    weights["generator"]["deconv1.operation.weight"][0, 0, 0, 0] = torch.inf
    replace(CHECKPOINT, weights=weights).save(known)

    with pytest.raises(
        CheckpointError, match=r"tensor 'generator\.deconv1\.operation\.weight' holds values that are not"
    ):
        verify("my-dcgan", host)


def test_a_store_with_a_changed_byte_is_not_whole(host, store):
    content = bytearray(store.path.read_bytes())
    at = bytes(content).index(store.numpy()[3, 100:104].tobytes())
    content[at] ^= 1
    store.path.write_bytes(content)

    with pytest.raises(StoreError, match=r"is damaged: chunk 0 of /features"):
        verify(str(store.path), host)


@pytest.mark.parametrize("name", ["figures/matrix.png", "weights.npz", REPORT_FILE])
def test_a_run_without_one_of_its_files_is_not_whole(host, run, name):
    (run / name).unlink()

    with pytest.raises(AnalysisError, match=rf"file '{name}' is missing\. Run again: dcgan-analyze run svm-cifar$"):
        verify(str(run), host)


def test_a_damaged_result_is_named(host, run):
    document = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(document | {"headline": "speed"}))

    with pytest.raises(AnalysisError, match=r"result\.json' is damaged: it is not as it was written"):
        verify(str(run), host)
