from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dcgan_analysis_plugins.kmeans_features.analysis import KmeansFeatures, KmeansFeaturesConfig, centroid_images

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.testing import check_analysis

BARE = {"C": (1e-3, 1e-1), "centroids": 6, "patches": 300, "epochs": 1, "labels_per_class": 0, "control": False}


def test_kmeans_features_keeps_the_contract_and_needs_no_checkpoint(dcgan_context):
    settings = BARE | {"labels_per_class": 4, "draws": 2, "control": True}
    result = check_analysis(KmeansFeatures(), replace(dcgan_context, _checkpoint=None), settings)
    names = ["accuracy", "few_label_accuracy", "random_accuracy", "random_few_label_accuracy"]
    assert list(result.metrics) == names
    assert result.checkpoint is None


def test_classes_that_patches_tell_apart_are_told_apart(run, make_images):
    assert run(KmeansFeatures(), make_images(), checkpoint=None, **BARE).metrics["accuracy"].value >= 0.9


def test_a_second_run_encodes_nothing_and_finds_the_same(run, make_images, saved):
    first, second = (run(KmeansFeatures(), make_images(), checkpoint=None, **BARE) for _ in range(2))
    stages = {stage.name: stage.note for stage in second.stages}
    assert stages["dictionary of 6 centroids from 300 patches"] == "was in the cache already"
    assert stages["K-means centroids: features"] == "feature stores were cached: nothing was encoded"
    arrays = [saved(result, "predictions")["K-means centroids"] for result in (first, second)]
    np.testing.assert_array_equal(*arrays)


def test_dictionary_and_standardisation_are_learned_on_training_images_alone(run, make_images, saved):
    dataset = make_images()
    test = dataset.split("test")
    changed = DatasetSplit(test.images.copy(), test.labels, test.ids, classes=test.classes)
    changed.images[15:] = 255
    other = Dataset.from_splits(dataset.name, {"train": dataset.split("train"), "test": changed})
    first, second = (
        saved(run(KmeansFeatures(), one, checkpoint=None, **BARE), "predictions")["K-means centroids"]
        for one in (dataset, other)
    )
    np.testing.assert_array_equal(first[:15], second[:15])


def test_predictions_do_not_depend_on_the_labels_of_the_test_images(run, make_images, shuffle_test_labels, saved):
    dataset = make_images()
    first, second = (
        saved(run(KmeansFeatures(), one, checkpoint=None, **BARE), "predictions")["K-means centroids"]
        for one in (dataset, shuffle_test_labels(dataset))
    )
    np.testing.assert_array_equal(first, second)


def test_published_figures_stand_beside_whole_runs_with_the_same_number_of_centroids_on_cifar10_only(
    run, make_images, monkeypatch
):
    # The figure depends on what was asked for; a smaller dictionary stands in for it.
    asked = KmeansFeaturesConfig.spec
    monkeypatch.setattr(KmeansFeaturesConfig, "spec", lambda config: replace(asked(config), centroids=6))

    def published(name, centroids, limit=None):
        images = make_images(name, train=30, test=9)
        settings = BARE | {"centroids": centroids}
        metrics = run(KmeansFeatures(), images, checkpoint=None, limit=limit, **settings).metrics
        return metrics["accuracy"].published

    assert published("cifar10", 1600) == 0.779
    assert published("cifar10", 4800) == 0.806
    assert published("cifar10", 100) is published("cifar10", 1600, limit=20) is published("shapes", 1600) is None


def test_patches_larger_than_the_images_are_refused(run, make_images):
    with pytest.raises(AnalysisError, match=r"Patches of 40x40 do not fit: images of 32x32 .* Set size|allow 2 to 31"):
        run(KmeansFeatures(), make_images(), checkpoint=None, **(BARE | {"patch": 40}))


def test_centroids_are_shown_with_zero_in_gray():
    shown = centroid_images(np.array([[0.0, 0.0, 0.5, -0.5], [0.0, 0.0, 0.0, 0.0]]), 1)
    assert shown.shape == (2, 1, 2, 2)
    assert shown[0].ravel().tolist() == [128, 128, 255, 0]
    assert set(shown[1].ravel().tolist()) == {128}
