from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from dcgan_analysis_annotate.workspace import Workspace
from PIL import Image


@pytest.fixture
def make_workspace(tiny_checkpoint, tmp_path):
    """Make a workspace of four samples; a second one is the next visit."""

    def make(checkpoint=tiny_checkpoint, **options):
        return Workspace(checkpoint, tmp_path / "annotations", **{"n": 4, **options})

    return make


@pytest.fixture
def workspace(make_workspace):
    return make_workspace()


@pytest.fixture
def pixels():
    """Read the image of a data URL, (H, W, C)."""
    return lambda url: np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
