"""``verify``: of every kind of file what is whole, what is damaged, and what has no checksums to be compared with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dcgan_analysis.annotations.boxes import Boxes
from dcgan_analysis.annotations.exemplars import Exemplars
from dcgan_analysis.api.result import RESULT_FILE
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.data.files.prepared import PREPARED
from dcgan_analysis.features.outcomes import keep_outcome
from dcgan_analysis.models.tables import dcgan32_svhn
from dcgan_analysis.runs.run import run
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.state import save_state


def checkpoint(folder, tiny_checkpoint, host):
    tiny_checkpoint.save(folder / "a.safetensors")
    return folder / "a.safetensors"


def state(folder, tiny_checkpoint, host):
    config = TrainingConfig.build({"dataset": "noise", "architecture": "dcgan32-svhn", "batch_size": 8})
    pair = AdversarialPair(dcgan32_svhn(width=2, z_size=4, image_channels=1), config, torch.device("cpu"))
    save_state(folder / "state.safetensors", pair, config, {"step": 12, "history": []})
    return folder / "state.safetensors"


def outcome(folder, tiny_checkpoint, host):
    return keep_outcome("trials", {"a": 1}, {"b": np.arange(300.0)}, folder)


def prepared(folder, tiny_checkpoint, host):
    (folder / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / "photos" / f"{number}.png")
    return prepare_images(folder / "photos", folder / "prepared", size=8).folder


def finished_run(folder, tiny_checkpoint, host):
    run("toy", out=folder / "run", host=host)
    return folder / "run"


def arrays(folder, tiny_checkpoint, host):
    np.savez(folder / "judges.npz", a=np.arange(300))
    return folder / "judges.npz"


def boxes(folder, tiny_checkpoint, host):
    marked = Boxes(object="window", boxes=[{"sample": 0, "box": (1, 1, 3, 3)}])
    (folder / "boxes.json").write_text(json.dumps(marked.document()))
    return folder / "boxes.json"


def exemplars(folder, tiny_checkpoint, host):
    named = Exemplars(concepts={"a": [1], "b": [2], "c": [3]}, expression=("a", "b", "c"))
    (folder / "exemplars.json").write_text(json.dumps(named.document()))
    return folder / "exemplars.json"


def without_checksums(path):
    """Make of a file or folder what releases before the checksums wrote."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            texts = {name: text for name, text in file.metadata().items() if name != "checksums"}
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata=texts)
    elif path.is_dir():
        document = path / (PREPARED if (path / PREPARED).exists() else RESULT_FILE)
        content = json.loads(document.read_text())
        for name in ("checksum", "manifest"):
            content.pop(name, None)
        for split in content.get("splits", {}).values():
            for name in ("crc32", "chunks", "chunk_rows"):
                del split[name]
        document.write_text(json.dumps(content))


CHECKED = {
    checkpoint: ("checkpoint, dcgan32, sha256 ", "69 tensors"),
    state: ("state of a training, ", " tensors"),
    outcome: ("outcome of a computation, 1 tensor", "1 tensor"),
    prepared: ("prepared images, 3 of 3x8x8", "3 images"),
    finished_run: ("run of toy, 1 file, headline brightness", "2 files"),
}
PLAIN = {boxes: ("boxes of 'window'", "1 box"), exemplars: ("exemplars", "3 concepts")}


def damage(path):
    """Change a byte in the middle of the largest file."""
    files = [file for file in path.rglob("*") if file.name != "report.html"] if path.is_dir() else [path]
    largest = max(files, key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


@pytest.fixture
def made(request, tmp_path, tiny_checkpoint, host):
    return request.param(tmp_path, tiny_checkpoint, host)


@pytest.mark.parametrize(("made", "said"), [(kind, CHECKED[kind][0]) for kind in CHECKED], indirect=["made"])
def test_what_was_compared_with_checksums_is_whole(made, said, cli):
    assert cli("verify", made).assert_success().out.startswith(f"{made}: OK, no damage found ({said}")


@pytest.mark.parametrize("made", [*CHECKED, arrays], indirect=True)
def test_a_changed_byte_is_found(made, cli):
    damage(made)
    done = cli("verify", made)
    assert (done.exit_code, done.out) == (1, "")
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(("made", "read"), [(kind, CHECKED[kind][1]) for kind in CHECKED], indirect=["made"])
def test_what_has_no_checksums_is_said_to_be_read_and_no_more(made, read, cli):
    without_checksums(made)
    done = cli("verify", made)
    assert done.exit_code == 3
    assert done.out.startswith(f"{made}: has no checksums: cannot be verified, only read (")
    assert f"{read} read whole; " in done.out
    assert "OK" not in done.out


@pytest.mark.parametrize(("made", "said", "read"), [(kind, *PLAIN[kind]) for kind in PLAIN], indirect=["made"])
def test_annotations_never_have_checksums(made, said, read, cli):
    done = cli("verify", made)
    assert done.exit_code == 3
    assert done.out == f"{made}: has no checksums: cannot be verified, only read ({read} read whole; {said})\n"


@pytest.mark.parametrize("made", [arrays], indirect=True)
def test_arrays_have_those_of_their_zip(made, cli):
    assert cli("verify", made).assert_success().out == f"{made}: OK, no damage found (arrays, a)\n"


@pytest.mark.parametrize("made", [prepared], indirect=True)
def test_every_file_of_prepared_images_is_checked(made, cli, tmp_path):
    for name in ("train.u8", "train.ids", "train.npz", PREPARED):
        folder = Path(shutil.copytree(made, tmp_path / name))
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        assert cli("verify", folder).exit_code == 1
