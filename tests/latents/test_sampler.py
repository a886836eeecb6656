from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.latents.sampler import Sampler, check_classes, class_labels, like_samples
from dcgan_analysis.models.tables import dcgan28_conditional

CPU = torch.device("cpu")


@pytest.fixture
def conditional():
    return Checkpoint.random(dcgan28_conditional(width=2, hidden=8, image_size=8, z_size=5, classes=3), seed=0)


def test_batches_of_any_size_give_the_same_bytes(tiny_checkpoint):
    z = tiny_checkpoint.latents(70, seed=0)
    sampler = Sampler(tiny_checkpoint, CPU)
    images = sampler(z)
    assert np.abs(images[60:].astype(int) - sampler(z[60:]).astype(int)).max() <= 1
    assert sampler(z[:0]).shape == (0, 3, 32, 32)


def test_labels_take_turns_or_are_all_one_class(conditional, tiny_checkpoint):
    assert class_labels(conditional, 5).tolist() == [0, 1, 2, 0, 1]
    assert class_labels(conditional, 2, 1).tolist() == [1, 1]
    assert class_labels(tiny_checkpoint, 5) is None
    assert Sampler(conditional, CPU)(conditional.latents(5, 0), class_labels(conditional, 5)).shape == (5, 1, 8, 8)


def test_a_sampler_draws_the_class_it_was_made_for_unless_others_are_named(conditional, tiny_checkpoint):
    z = conditional.latents(4, 0)
    twos = Sampler(conditional, CPU, label=2)
    assert twos.labels(3).tolist() == [2, 2, 2]
    turns = Sampler(conditional, CPU)
    np.testing.assert_array_equal(twos(z), turns(z, class_labels(conditional, 4, 2)))
    np.testing.assert_array_equal(twos(z, class_labels(conditional, 4)), turns(z))
    assert (twos(z) != turns(z)).any()
    # To an unconditional generator a class means nothing.
    plain = Sampler(tiny_checkpoint, CPU, label=2)
    assert plain.label is None
    assert plain.labels(3) is None
    with pytest.raises(AnalysisError, match=r"label=3: .* has the classes 0 to 2"):
        Sampler(conditional, CPU, label=3)


def test_a_class_that_is_not_there_is_refused(conditional, tiny_checkpoint):
    with pytest.raises(AnalysisError, match=r"label=3: .* has the classes 0 to 2"):
        class_labels(conditional, 1, 3)
    with pytest.raises(AnalysisError, match=r"label=0: .* is not conditional"):
        class_labels(tiny_checkpoint, 1, 0)


def test_real_images_get_the_shape_of_samples_and_a_hash_of_their_own(conditional):
    pixels = np.full((2, 1, 16, 16), 100, np.uint8)
    split = DatasetSplit(pixels, None, ["a", "b"], known_sha256="ab")
    with pytest.raises(DatasetError, match=r"'toys' has images of 1x16x16, .* takes 1x8x8\. Use --set fit=resize"):
        like_samples(split, conditional, dataset="toys")
    resized = like_samples(split, conditional, dataset="toys", fit="resize")
    assert resized.image_shape == (1, 8, 8)
    assert (resized.images == 100).all()
    assert resized.sha256 != split.sha256
    same = DatasetSplit(pixels[..., :8, :8], None, ["a", "b"])
    assert like_samples(same, conditional, dataset="toys") is same


def test_classes_of_samples_are_those_of_the_dataset(conditional, tiny_checkpoint):
    def named(*classes):
        split = DatasetSplit(np.zeros((1, 1, 8, 8), np.uint8), np.zeros(1, np.int64), ["a"], classes=list(classes))
        return Dataset.from_splits("toys", {"test": split})

    check_classes(conditional, named("a", "b", "c"))
    with pytest.raises(AnalysisError, match=r"makes images of 3 classes .*dataset 'toys' has 2"):
        check_classes(conditional, named("a", "b"))
    with pytest.raises(AnalysisError, match=r"makes images of 0 classes \(0: it is unconditional\)"):
        check_classes(tiny_checkpoint, named("a"))
