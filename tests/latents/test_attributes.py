from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.errors import AnalysisError, UnknownNameError
from dcgan_analysis.latents.attributes import JUDGES_FILE, attribute_table, judge_table, train_judge


def test_a_judge_learns_classes_and_says_how_well(dcgan_context):
    judge = train_judge(dcgan_context, steps=60, networks=2)
    assert judge.names == ["disc", "rows", "columns", "brightness", "slant"]
    test = dcgan_context.dataset.split("test")
    said = judge(test.images)
    assert (said[:, :3].argmax(axis=1) == test.labels).mean() > 0.8
    assert np.abs(said[:, :3]).max() <= 1
    assert judge.quality["rows"].value > 0.8
    assert [row[0] for row in judge_table(judge).rows] == ["disc", "rows", "columns"]
    with pytest.raises(UnknownNameError, match="Did you mean 'rows'"):
        judge.column("row")


def test_a_centred_judge_finds_usual_what_it_is_centred_on(dcgan_context):
    judge = train_judge(dcgan_context, steps=1, networks=2)
    dark = dcgan_context.dataset.split("test").images // 2
    assert judge(dark)[:, judge.column("brightness")].mean() < -0.5
    centred = judge.centred_on(judge.each(dark))
    numbers = centred(dark)[:, ~judge.binary]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(numbers.std(axis=0), 1)


def test_judges_of_different_seeds_judge_each_by_itself_and_together_by_their_mean(dcgan_context):
    judge = train_judge(dcgan_context, steps=2, networks=3)
    images = dcgan_context.dataset.split("test").images
    each = judge.each(images)
    assert each.shape == (3, len(images), 5)
    assert not np.allclose(each[0, :, :3], each[1, :, :3])
    np.testing.assert_allclose(judge(images), each.mean(axis=0))
    assert judge.each(images[:0]).shape == (3, 0, 5)


def test_judges_beside_the_checkpoint_judge_instead_of_new_ones(dcgan_context, tmp_path):
    context, images = dcgan_context, dcgan_context.dataset.split("test").images
    trained = train_judge(context, steps=2, networks=2)
    (tmp_path / JUDGES_FILE).write_bytes((context.output_dir / JUDGES_FILE).read_bytes())
    beside = replace(context, _checkpoint=replace(context.checkpoint, path=tmp_path / "model.safetensors"), _notes=[])
    found = train_judge(beside, networks=2)
    np.testing.assert_array_equal(found.each(images), trained.each(images))
    assert any("judges.npz" in note for note in beside._notes)
    # Networks of so many minibatches as are asked for are trained.
    assert not np.array_equal(train_judge(beside, steps=3, networks=2).each(images), trained.each(images))


def test_attributes_are_yes_or_no_and_extras_are_numbers_with_gaps():
    images = np.zeros((3, 1, 4, 4), np.uint8)
    split = DatasetSplit(
        images,
        None,
        list("abc"),
        attributes=np.array([[0, 0.5], [1, 0.2], [1, 0.1]], np.float32),
        attribute_names=["Smiling", "Age"],
        extras={"yaw": np.array([np.nan, -3.0, 5.0])},
    )
    table = attribute_table(split)
    assert table.names == ["Smiling", "Age", "yaw"]
    assert table.binary.tolist() == [True, False, False]
    assert np.isnan(table.values[0, 2])


def test_a_split_without_labels_teaches_nothing():
    with pytest.raises(AnalysisError, match="has no labels, attributes or numbers"):
        attribute_table(DatasetSplit(np.zeros((1, 1, 4, 4), np.uint8), None, ["a"]))
