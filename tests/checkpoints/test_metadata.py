from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from dcgan_analysis.checkpoints.metadata import CheckpointMetadata, read_metadata
from dcgan_analysis.errors import CheckpointError


@pytest.fixture
def write(tmp_path):
    """Write a safetensors file with this document in its header; None: no document."""

    def make(document):
        path = tmp_path / "file.safetensors"
        text = document if isinstance(document, str) else json.dumps(document)
        header = None if document is None else {"dcgan_analysis": text}
        save_file({"x": torch.zeros(1)}, path, metadata=header)
        return path

    return make


def test_what_is_written_is_read(write):
    metadata = CheckpointMetadata(
        architecture="dcgan32",
        parameters={"width": 64},
        z_prior="normal",
        image_range=(0, 1),
        data={"name": "cifar10", "n": 50_000},
        step=7,
        epoch=0.5,
        provenance={"origin": "a test"},
    )

    assert read_metadata(write(metadata.model_dump_json())) == metadata


def test_defaults_are_the_papers():
    metadata = CheckpointMetadata(architecture="dcgan32")

    assert metadata.z_prior == "uniform"
    assert metadata.image_range == (-1, 1)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, r"is a safetensors file but no checkpoint of dcgan-analysis: its header lacks the metadata\."),
        ("{", r"has damaged metadata: "),
        ("[1]", r"has damaged metadata: "),
        ({"version": None}, r"has damaged metadata: "),
        ({"version": "new"}, r"has damaged metadata: "),
        ({"version": 2, "architecture": "x"}, r"has format version 2, this release reads 1\. Update dcgan-analysis\."),
        ({"version": 1}, r"has damaged metadata: architecture: Field required\."),
        ({"version": 1, "architecture": "x", "z_prior": "cauchy"}, r"has damaged metadata: z_prior: "),
        ({"version": 1, "architecture": "x", "image_range": [0]}, r"has damaged metadata: image_range\.1: "),
        ({"version": 1, "architecture": "x", "format": "other"}, r"has damaged metadata: format: "),
        ({"version": 1, "architecture": "x", "extra": 1}, r"has damaged metadata: extra: "),
    ],
)
def test_a_header_that_is_not_ours_is_refused_in_one_line(write, document, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        read_metadata(write(document))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x80\x02 a pickle", bytes(64)])
def test_a_foreign_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"^Checkpoint file '.*' cannot be read as safetensors: [^\n]*\.$"):
        read_metadata(path)


def test_an_absent_file_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(CheckpointError, match=r"does not exist\. Known ones: dcgan-analyze list checkpoints$"):
        read_metadata(tmp_path / "absent.safetensors")


def test_reading_needs_no_torch(write):
    path = write({"version": 1, "architecture": "dcgan32"})
    code = (
        "import sys, pathlib; from dcgan_analysis.checkpoints.metadata import read_metadata; "
        "read_metadata(pathlib.Path(sys.argv[1])); print('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
