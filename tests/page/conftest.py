from __future__ import annotations

import pytest

from dcgan_analysis.page.workspace import Workspace


@pytest.fixture
def make_workspace(tiny_checkpoint, tmp_path):
    """Make a workspace of four samples; a second one is the next visit."""

    def make(checkpoint=tiny_checkpoint, **options):
        return Workspace(checkpoint, tmp_path / "annotations", **{"n": 4, **options})

    return make


@pytest.fixture
def workspace(make_workspace):
    return make_workspace()
