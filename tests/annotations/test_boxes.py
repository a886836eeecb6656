from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcgan_analysis.annotations import Box, Boxes, read_boxes
from dcgan_analysis.annotations.boxes import boxes_file
from dcgan_analysis.errors import AnnotationError

COCO = {
    "images": [{"id": 70, "file_name": "run2/sample-0003.png"}, {"id": 5, "file_name": "plain.png"}],
    "annotations": [
        {"image_id": 70, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"image_id": 5, "category_id": 2, "bbox": [0, 0, 1, 1]},
    ],
    "categories": [{"id": 1, "name": "window"}, {"id": 2, "name": "lamp"}],
}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "boxes.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def test_boxes_read_back_as_they_were_saved(tmp_path):
    boxes = Boxes(object="win[1]", seed=3, n=5, boxes=[Box(sample=4, box=(1, 2, 3.5, 4))], done=[0, 4])
    boxes.save(tmp_path / "b.json")
    assert read_boxes(tmp_path / "b.json") == boxes
    assert '"done": [ 0, 4 ]' in (tmp_path / "b.json").read_text(encoding="utf-8")


def test_coco_names_samples_by_the_last_number_of_the_file_or_by_id(write):
    windows = read_boxes(write(COCO), object="window")
    assert windows.by_sample() == {3: [(1, 2, 3, 4)]}
    assert (windows.n, windows.seed) == (6, 0)
    assert read_boxes(write(COCO), object="lamp").by_sample() == {5: [(0, 0, 1, 1)]}


def test_coco_may_say_of_which_samples_it_speaks(write):
    info = {"dcgan_analysis": {"seed": 9, "n": 150, "checkpoint_sha256": "ab"}}
    boxes = read_boxes(write({**COCO, "info": info}), object="window")
    assert (boxes.seed, boxes.n, boxes.checkpoint_sha256) == (9, 150, "ab")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is not JSON"),
        ([], "no file of the format"),
        ({"format": "dcgan-analysis exemplars"}, "no file of the format 'dcgan-analysis boxes'"),
        ({"format": "dcgan-analysis boxes", "version": 9}, "format version 9"),
        (
            {"format": "dcgan-analysis boxes", "object": "x", "boxes": [{"sample": 0, "box": [1, 1, 0, 2]}]},
            "greater than 0",
        ),
        (
            {"format": "dcgan-analysis boxes", "object": "x", "boxes": [{"sample": -1, "box": [1, 1, 1, 2]}]},
            "boxes.0.sample",
        ),
        ({"format": "dcgan-analysis boxes"}, "object: Field required"),
        (COCO, "Choose one by the setting object=NAME"),
        ({**COCO, "annotations": [{}]}, "damaged"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(write, content, text):
    with pytest.raises(AnnotationError) as caught:
        read_boxes(write(content))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_object_than_asked_for_is_refused(write, tmp_path):
    Boxes(object="window").save(tmp_path / "b.json")
    with pytest.raises(AnnotationError, match="asked for is 'lamp'"):
        read_boxes(tmp_path / "b.json", object="lamp")
    with pytest.raises(AnnotationError, match="it has: window, lamp"):
        read_boxes(write(COCO), object="sofa")


def test_an_absent_file_says_how_to_make_one(tmp_path):
    with pytest.raises(AnnotationError, match="dcgan-analyze annotate"):
        read_boxes(tmp_path / "none.json")


def test_boxes_of_other_samples_are_refused(tiny_checkpoint):
    boxes = Boxes(object="x", n=2, checkpoint_sha256="a" * 64, boxes=[Box(sample=1, box=(30, 0, 2, 2))])
    boxes.check(32, 32, "f")
    with pytest.raises(AnnotationError, match="leaves the image of 31 x 32"):
        boxes.check(32, 31, "f")
    with pytest.raises(AnnotationError, match="its samples are others"):
        boxes.check_checkpoint(tiny_checkpoint, "f")
    with pytest.raises(AnnotationError, match="samples 0 to 0"):
        Boxes(object="x", n=1, boxes=boxes.boxes).check(32, 32, "f")


def test_shipped_boxes_are_of_the_checkpoint_they_lie_beside():
    from dcgan_analysis.runs.library import load_checkpoint

    files = sorted((Path(__file__).parents[2] / "checkpoints").glob("*/boxes-*.json"))
    assert files
    for path in files:
        checkpoint, boxes = load_checkpoint(path.parent), read_boxes(path)
        boxes.check_checkpoint(checkpoint, path)
        boxes.check(*checkpoint.architecture.image_shape[1:], path)
        assert path.name == boxes_file(boxes.object)
        assert len(boxes.by_sample()) > 1
