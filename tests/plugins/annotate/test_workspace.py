from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from dcgan_analysis.annotations import Boxes, read_boxes, read_exemplars
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import as_bytes
from dcgan_analysis.errors import AnnotationError
from dcgan_analysis.models.tables import dcgan28_conditional


def test_a_sample_is_shown_as_the_generator_draws_it(workspace, tiny_checkpoint, pixels):
    shown = [pixels(url) for url in workspace.urls([2, 0])]
    drawn = as_bytes(tiny_checkpoint, tiny_checkpoint.sample(3, seed=0)).transpose(0, 2, 3, 1)
    assert np.abs(np.stack(shown).astype(int) - drawn[[2, 0]]).max() <= 1


def test_every_change_is_on_the_disk_at_once_and_the_next_visit_goes_on(make_workspace):
    first = make_workspace()
    first.set_boxes("left  window", 2, [(1, 2, 3, 4), (9, 9, 1, 1)])
    path = first.folder / "boxes-left-window.json"
    assert read_boxes(path).by_sample() == {2: [(1, 2, 3, 4), (9, 9, 1, 1)]}
    first.set_boxes("left window", 0, [])
    again = make_workspace()
    assert again.objects() == ["left window"]
    assert again.boxes("left window").done == [0, 2]
    again.set_boxes("left window", 2, [(5, 5, 2, 2)], done=False)
    assert (read_boxes(path).by_sample(), read_boxes(path).done) == ({2: [(5, 5, 2, 2)]}, [0])
    assert [p.name for p in first.folder.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("sample", "box"), [(9, (0, 0, 1, 1)), (-1, (0, 0, 1, 1)), (0, (30, 0, 5, 1)), (0, (0, 0, 0, 1)), (0, (1, 2))]
)
def test_a_wrong_box_is_refused_and_changes_nothing(workspace, sample, box):
    workspace.set_boxes("thing", 1, [(1, 1, 2, 2)])
    before = workspace.path_of("thing").read_bytes()
    with pytest.raises(AnnotationError):
        workspace.set_boxes("thing", sample, [box])
    assert workspace.path_of("thing").read_bytes() == before
    assert workspace.boxes("thing").by_sample() == {1: [(1, 1, 2, 2)]}


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "a/../../b", "C:\\evil", "x\0y"])
def test_no_name_leads_out_of_the_folder(workspace, name, tmp_path):
    with suppress(AnnotationError):
        workspace.set_boxes(name, 0, [(1, 1, 2, 2)])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.parent == workspace.folder for path in written)


def test_a_link_out_of_the_folder_is_neither_read_nor_written(workspace, tmp_path):
    outside = tmp_path / "secret.json"
    Boxes(object="thing").save(outside)
    before = outside.read_bytes()
    workspace.folder.mkdir()
    (workspace.folder / "boxes-thing.json").symlink_to(outside)
    for action in (workspace.objects, lambda: workspace.boxes("thing"), lambda: workspace.set_boxes("thing", 0, [])):
        with pytest.raises(AnnotationError, match="leads out of the folder"):
            action()
    assert outside.read_bytes() == before


@pytest.mark.parametrize("name", ["", "  ", "..", "-", "x" * 61])
def test_names_without_letters_or_too_long_are_refused(workspace, name):
    with pytest.raises(AnnotationError, match="letters or digits"):
        workspace.boxes(name)


def test_annotations_of_other_samples_are_refused(make_workspace):
    make_workspace().set_boxes("thing", 0, [])
    make_workspace().set_exemplars({"a": [1]}, None)
    other = make_workspace(seed=7)
    with pytest.raises(AnnotationError, match="Start with --seed 0"):
        other.check()
    make_workspace().check()
    with pytest.raises(AnnotationError, match="Start with --seed 0"):
        other.boxes("thing")
    with pytest.raises(AnnotationError, match="Start with --seed 0"):
        other.exemplars()
    network = Checkpoint.random(make_workspace().checkpoint.architecture, seed=99)
    with pytest.raises(AnnotationError, match="its samples are others"):
        make_workspace(network).boxes("thing")


def test_an_expression_is_kept_as_soon_as_its_concepts_have_exemplars(make_workspace):
    workspace = make_workspace()
    workspace.set_exemplars({"a": [1], "b": [2], "c": []}, ["a", "b", "c"])
    assert workspace.exemplars().expression is None
    workspace.set_exemplars({"a": [1], "b": [2], "c": [3]}, ["a", "b", "c"])
    saved = read_exemplars(workspace.folder / "exemplars.json")
    assert saved.expression == ("a", "b", "c")
    assert saved.checkpoint_sha256 == workspace.checkpoint.sha256("generator")
    assert make_workspace().exemplars() == saved


def test_samples_of_a_conditional_generator_have_the_class_asked_for(make_workspace):
    conditional = Checkpoint.random(dcgan28_conditional(width=2, hidden=4, classes=3), seed=0)
    in_turn, second = make_workspace(conditional), make_workspace(conditional, label=1)
    assert in_turn.urls([1]) == second.urls([1])
    assert in_turn.urls([0]) != second.urls([0])
    assert second.boxes("thing").label == 1


def test_boxes_that_somebody_else_writes_meanwhile_are_kept(make_workspace):
    here, elsewhere = make_workspace(), make_workspace()
    here.set_boxes("window", 0, [(1, 1, 2, 2)])
    elsewhere.set_boxes("window", 1, [(3, 3, 2, 2)])
    here.set_boxes("window", 2, [(5, 5, 2, 2)])
    assert sorted(read_boxes(here.path_of("window")).by_sample()) == [0, 1, 2]
    assert sorted(elsewhere.boxes("window").by_sample()) == [0, 1, 2]


def test_exemplars_that_somebody_else_writes_meanwhile_are_seen(make_workspace):
    here, elsewhere = make_workspace(), make_workspace()
    here.set_exemplars({"a": [1]}, None)
    elsewhere.set_exemplars({**elsewhere.exemplars().concepts, "b": [2]}, None)
    assert here.exemplars().concepts == {"a": [1], "b": [2]}


def test_a_file_that_is_damaged_from_outside_is_neither_used_nor_written_over(workspace):
    workspace.set_boxes("window", 0, [(1, 1, 2, 2)])
    path = workspace.path_of("window")
    path.write_text("{")
    with pytest.raises(AnnotationError, match=r"boxes-window\.json"):
        workspace.set_boxes("window", 1, [(3, 3, 2, 2)])
    assert path.read_text() == "{"
