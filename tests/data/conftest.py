"""Tiny datasets in every layout, and the way to the real ones."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def encode(pixels: np.ndarray, suffix: str = "png") -> bytes:
    stream = io.BytesIO()
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(stream, suffix, **options)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Give each test a cache of its own: what is decoded is decoded in it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(folder))
    return folder


@pytest.fixture
def make_zip(tmp_path):
    """Write a zip of lossless images; ``pixels`` maps names to arrays, metadata becomes JSON."""

    def make(pixels, metadata=None, name="birds.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for file, array in pixels.items():
                archive.writestr(file, encode(array, file.rpartition(".")[2]))
            if metadata is not None:
                archive.writestr("dataset.json", json.dumps(metadata))
        return path

    return make


@pytest.fixture
def make_folder(tmp_path):
    """Write a folder of lossless images; ``pixels`` maps names to arrays."""

    def make(pixels, name="birds"):
        for file, array in pixels.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(array, file.rpartition(".")[2]))
        return tmp_path / name

    return make


@pytest.fixture
def pictures():
    """Return a function: names -> different random colour images of one size."""

    def make(*names, size=(4, 5)):
        rng = np.random.default_rng(7)
        return {name: rng.integers(0, 256, (*size, 3), dtype=np.uint8) for name in names}

    return make


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of the real datasets, or skip."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    root = Path(os.environ.get("DCGAN_ANALYSIS_DATA") or beside)
    if not root.is_dir():
        pytest.skip(f"real data not found: {root} (set DCGAN_ANALYSIS_DATA)")
    return root
