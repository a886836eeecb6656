"""docs/store-format.md is enough to read every file, and to find a changed byte in it, without this program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_analysis.api.result import Result
from dcgan_analysis.data.files import prepared_writer
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.data.files.prepared import load_prepared
from dcgan_analysis.features.pipeline import Extraction, FeatureSpec
from dcgan_analysis.features.store import FeatureStore
from dcgan_analysis.latents import attributes
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset

PAGE = (Path(__file__).parents[1] / "docs" / "store-format.md").read_text(encoding="utf-8")


def blocks(section):
    """The Python of a section of the page, after what stands at its top."""
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
    top = PAGE[: PAGE.index("\n## ")]
    text = "\n".join(re.findall(r"```python\n(.*?)```", top + sections[section], re.DOTALL))
    assert "dcgan_analysis." not in re.sub(r'"[^"]*"', "", text)
    return "import numpy as np\n" + text


def store(folder, checkpoint, host):
    spec, cpu = FeatureSpec(batchnorm="running", dtype="bfloat16"), torch.device("cpu")
    extraction = Extraction(checkpoint, spec, None, cpu, folder=folder / "cache")
    return extraction.store("test", make_dataset().split("test")).path.rename(folder / "store.h5")


def model(folder, checkpoint, host):
    checkpoint.save(folder / "model.safetensors", half=True)
    return folder / "model.safetensors"


def images(folder, checkpoint, host):
    rng = np.random.default_rng(0)
    for number in range(7):
        path = folder / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return prepare_images(folder / "photos", folder / "ready", size=8).folder / "train.u8"


def finished(folder, checkpoint, host):
    run("toy", out=folder / "run", host=host)
    return folder / "run" / "report.html"


def judges(folder, checkpoint, host):
    network = attributes._network((3, 32, 32), 1)
    arrays = {f"0.{name}": array for name, array in attributes._arrays(network)}
    np.savez(folder / "judges.npz", origin=np.array(json.dumps({"names": ["smile"]})), **arrays)
    return folder / "judges.npz"


def same_features(read, path, checkpoint):
    whole = FeatureStore(path)
    np.testing.assert_array_equal(read["x"], whole.numpy(taps=["conv2"]))
    assert read["y"].tolist() == whole.labels.tolist()


def same_weights(read, path, checkpoint):
    weights = {f"{role}.{name}": tensor for role, state in checkpoint.weights.items() for name, tensor in state.items()}
    assert read["tensors"].keys() == weights.keys()
    assert all(np.allclose(read["tensors"][name], tensor, atol=1e-3) for name, tensor in weights.items())
    assert read["architecture"] == checkpoint.architecture.name


def same_images(read, path, checkpoint):
    split = load_prepared(path.parent).split("train")
    np.testing.assert_array_equal(read["images"], split.images)
    assert (read["ids"], read["columns"]["labels"].tolist()) == (split.ids, split.labels.tolist())
    assert len(read["record"]["chunks"]) == 3


def same_value(read, path, checkpoint):
    result = Result.load(path.parent)
    assert read["value"] == result.metrics[result.headline].value


def same_judges(read, path, checkpoint):
    assert read["origin"] == {"names": ["smile"]}
    attributes._network((3, 32, 32), 1).load_state_dict({k: torch.from_numpy(v) for k, v in read["first"].items()})


KINDS = {
    "Feature stores, version 1": (store, same_features),
    "Files of tensors": (model, same_weights),
    "Images": (images, same_images),
    "Run folders": (finished, same_value),
    "Judges": (judges, same_judges),
}


@pytest.mark.parametrize("section", KINDS)
def test_the_page_alone_reads_a_file_and_finds_a_changed_byte(section, tmp_path, tiny_checkpoint, host, monkeypatch):
    monkeypatch.setattr(prepared_writer, "_CHUNK_BYTES", 3 * 192)
    make, same = KINDS[section]
    path = make(tmp_path, tiny_checkpoint, host)
    monkeypatch.chdir(path.parent)
    code = compile(blocks(section), section, "exec")
    read = {}
    exec(code, read)
    same(read, path, tiny_checkpoint)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match=r"damaged|CRC"):
        exec(code, {})


def test_the_page_names_every_text_of_a_header_and_every_field_of_the_metadata():
    from dcgan_analysis.annotations.boxes import Boxes
    from dcgan_analysis.annotations.exemplars import Exemplars
    from dcgan_analysis.checkpoints.metadata import CheckpointMetadata
    from dcgan_analysis.data.files.prepared import Metadata, SplitRecord
    from dcgan_analysis.features.outcomes import _HEADER

    documents = (CheckpointMetadata, Metadata, SplitRecord, Boxes, Exemplars)
    fields = [name for document in documents for name in document.model_fields]
    named = set(re.findall(r"`([\w.]+)`", PAGE))
    assert [name for name in [*fields, _HEADER, "checksums", "config", "progress"] if name not in named] == []
