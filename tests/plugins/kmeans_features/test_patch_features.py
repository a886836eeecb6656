from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.kmeans_features.patch_features import PatchExtraction, cached_dictionary
from dcgan_analysis_plugins.kmeans_features.patches import PatchSpec

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.testing import make_dataset

SPEC = PatchSpec(size=6, centroids=8, patches=500, epochs=1)


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(train=12, test=6)


def test_a_second_run_learns_and_encodes_nothing(dataset, tmp_path):
    train = dataset.split("train")
    first, cached = cached_dictionary(train, SPEC, 0, tmp_path)
    assert not cached
    extraction = PatchExtraction(first, tmp_path)
    features = extraction.store("train", train).numpy()
    assert extraction.encoded_images == 12
    second, cached = cached_dictionary(train, SPEC, 0, tmp_path)
    again = PatchExtraction(second, tmp_path)
    assert cached
    np.testing.assert_array_equal(again.store("train", train).numpy(), features)
    assert again.encoded_images == 0
    assert again.summary() == "feature stores were cached: nothing was encoded"


def test_other_images_settings_and_seeds_have_dictionaries_of_their_own(dataset, tmp_path):
    cached_dictionary(dataset.split("train"), SPEC, 0, tmp_path)
    for split, spec, seed in (("test", SPEC, 0), ("train", replace(SPEC, epochs=2), 0), ("train", SPEC, 1)):
        assert not cached_dictionary(dataset.split(split), spec, seed, tmp_path)[1]


def test_the_store_holds_what_the_dictionary_encodes(dataset, tmp_path):
    train, test = dataset.split("train"), dataset.split("test")
    dictionary, _ = cached_dictionary(train, SPEC, 0, tmp_path)
    extraction = PatchExtraction(dictionary, tmp_path)
    store = extraction.store("test", test)
    assert store.taps == {"kmeans": slice(0, 32)}
    assert store.tap_shapes == {"kmeans": (8, 2, 2)}
    torch.testing.assert_close(torch.from_numpy(store.numpy()), dictionary.encode(test.images), rtol=1e-3, atol=1e-3)
    twin = PatchExtraction(dictionary.twin(np.random.default_rng(0)), tmp_path)
    assert twin.key("test", test) != extraction.key("test", test)


def test_images_too_small_are_refused_before_anything_is_written(dataset, tmp_path):
    dictionary, _ = cached_dictionary(dataset.split("train"), SPEC, 0, tmp_path)
    large = replace(dictionary, spec=replace(SPEC, size=32))
    with pytest.raises(AnalysisError, match=r"Patches of 32x32 do not fit: images of 32x32"):
        PatchExtraction(large, tmp_path).store("test", dataset.split("test"))
    assert not (tmp_path / "features").exists()
