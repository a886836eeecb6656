from __future__ import annotations

from pathlib import Path

import pytest

from dcgan_analysis.annotations.boxes import read_boxes
from dcgan_analysis.annotations.exemplars import read_exemplars
from dcgan_analysis.runs.library import load_checkpoint

ROOT = Path(__file__).parents[2] / "checkpoints"


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*/boxes-*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_shipped_boxes_are_of_the_weights_they_lie_beside(path):
    checkpoint = load_checkpoint(path.parent.name)
    boxes = read_boxes(path)
    boxes.check_checkpoint(checkpoint, path)
    boxes.check(*checkpoint.architecture.image_shape[1:], path)
    assert path.name == f"boxes-{boxes.object.replace(' ', '-')}.json"
    assert len(boxes.by_sample()) >= 30


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/exemplars.json")), ids=lambda path: path.parent.name)
def test_shipped_exemplars_are_of_the_weights_they_lie_beside(path):
    checkpoint = load_checkpoint(path.parent.name)
    exemplars = read_exemplars(path)
    exemplars.check(checkpoint, path)
    assert exemplars.expression is not None
    assert all(len(set(map(str, exemplars.concepts[name]))) == 3 for name in exemplars.expression)
