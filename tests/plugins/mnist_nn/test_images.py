from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.mnist_nn.images import like_samples

from dcgan_analysis.checkpoints.sampling import check_classes
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, DatasetError


def test_real_images_get_the_shape_of_samples_and_a_hash_of_their_own(conditional):
    pixels = np.full((2, 1, 16, 16), 100, np.uint8)
    split = DatasetSplit(pixels, None, ["a", "b"], known_sha256="ab")
    with pytest.raises(DatasetError, match=r"'toys' has images of 1x16x16, .* takes 1x8x8\. Use the setting fit="):
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
    with pytest.raises(AnalysisError, match=r"is conditioned on 3 classes, dataset 'toys' has 2 classes"):
        check_classes(conditional, named("a", "b"))
    with pytest.raises(AnalysisError, match=r"is unconditional, dataset 'toys' has 1 classes"):
        check_classes(tiny_checkpoint, named("a"))
