from __future__ import annotations

import json

import numpy as np
import pytest

from dcgan_analysis.core.hashing import hash_file
from dcgan_analysis.data.curation.deduplication import FORMAT
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.data.files.rows import Rows
from dcgan_analysis.errors import DatasetError, TrainingError
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.selection import select_images, untrained_images


@pytest.fixture
def listed(split, tmp_path):
    """Write a list of near-duplicates of some images, by default of ``split``; return its path."""

    def write(*leave_out, of=split, **entries):
        document = {"format": FORMAT, "version": 1, "dataset": "noise", "split": "train", "sha256": of.sha256}
        path = tmp_path / "d.json"
        path.write_text(json.dumps({**document, "leave_out": leave_out, **entries}), encoding="utf-8")
        return path

    return write


def select(split, path, **settings):
    return select_images(TrainingConfig.build({"dataset": "noise", "leave_out": path and str(path), **settings}), split)


def test_listed_images_are_left_out_and_it_is_recorded(split, listed):
    path = listed("3", "35")
    kept, record = select(split, path)
    assert kept.ids == [str(i) for i in range(36) if i not in (3, 35)]
    np.testing.assert_array_equal(kept.images, np.delete(split.images, [3, 35], axis=0))
    np.testing.assert_array_equal(kept.labels, np.delete(split.labels, [3, 35]))
    assert record == {"n": 2, "file": "d.json", "file_sha256": hash_file(path)}
    assert kept.source.endswith("2 near-duplicates left out")


def test_without_a_list_the_split_itself_is_trained_on(split):
    assert select(split, None) == (split, {})
    assert select(split, None, images=4)[0].ids == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("labels", "images", "left"),
    [
        ([0, 1, 0, 1, 0, 1], 3, [3, 4, 5]),
        ([0, 1, 0, 1, 0, 1], 4, None),  # fewer than are to be measured
        ([0, 0, 0, 1, 1, 1], 3, None),  # in the order of classes
        ([0, 1, 0, 1, 0, 1], None, None),
        (None, 3, None),
    ],
)
def test_images_that_are_not_trained_on_are_there_to_be_measured_where_they_suffice(labels, images, left):
    pixels = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    known = None if labels is None else np.array(labels)
    split = DatasetSplit(images=pixels, labels=known, classes=["a", "b"], ids=list("012345"))
    # A setting asks for ten or more.
    config = TrainingConfig.build({"images": images}).model_copy(update={"probe_images": 3})
    rest = untrained_images(config, split)
    assert (None if rest is None else rest.images.ravel().tolist()) == left


def test_the_list_may_be_of_all_images_or_of_the_first(split, listed):
    path = listed("3", "35")
    kept, record = select(split, path, images=10)
    assert (kept.ids, record["n"]) == ([str(i) for i in range(10) if i != 3], 1)
    listed("3", of=split.take(range(10)))
    assert select(split, path, images=10)[0].ids == kept.ids


def test_a_list_of_other_images_is_refused_by_name_and_hash(split, listed):
    other = split.take(range(5))
    with pytest.raises(TrainingError) as caught:
        select(split, listed("3", of=other))
    text = str(caught.value)
    assert f"was made of other images ('noise', split 'train', sha256 {other.sha256[:16]})" in text
    assert "Make it anew of these: dcgan-analyze dedup." in text
    assert "\n" not in text


def test_ids_that_the_split_does_not_have_are_refused(split, listed):
    with pytest.raises(DatasetError, match=r"leaves out 2 images that .* does not have, such as '77'"):
        select(split, listed("3", "77", "99"))


def test_a_mapped_split_is_not_copied(split, listed, tmp_path, make_trainer, everything):
    split.images.tofile(tmp_path / "images.u8")
    mapped = np.memmap(tmp_path / "images.u8", np.uint8, "r", shape=split.images.shape)
    lazy = DatasetSplit(mapped, split.labels, split.ids, classes=split.classes)
    path = listed("3", "5")
    kept, _ = select(lazy, path)
    assert isinstance(kept.images, Rows)
    copied, _ = select(split, path)
    np.testing.assert_array_equal(np.asarray(kept.images), copied.images)
    np.testing.assert_array_equal(kept.images[np.array([4, 3])], copied.images[[4, 3]])
    assert (kept.ids, kept.labels.tolist()) == (copied.ids, copied.labels.tolist())

    # The list decides what is trained on, so another list is another content.
    listed("3", "6")
    assert select(lazy, path)[0].sha256 != kept.sha256
    first, second = make_trainer("copied", copied), make_trainer("mapped", kept)
    first.run(), second.run()
    ours, theirs = everything(first), everything(second)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
