from __future__ import annotations

import pytest
from dcgan_analysis_plugins.random_features import RandomFeatures

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.probing.study import twin_seeds
from dcgan_analysis.testing import check_analysis

BARE = {"C": (1e-3, 1e-2), "protocol": "paper", "labels_per_class": 0}


def test_random_features_keeps_the_contract(dcgan_context):
    settings = {"C": (1e-3,), "protocol": "paper", "networks": 2, "draws": 2, "labels_per_class": 4}
    result = check_analysis(RandomFeatures(), dcgan_context, settings)
    assert set(result.metrics) == {"accuracy", "few_label_accuracy"}
    assert {metric.interval for metric in result.metrics.values()} == {"1.96 std over random networks"}


def test_the_accuracy_is_the_mean_over_the_networks(run, make_images, saved):
    result = run(RandomFeatures(), make_images(), networks=3, seed=5, **BARE)
    arrays = saved(result, "predictions")
    names = ["random weights", "random weights 2", "random weights 3"]
    right = [float((arrays[name] == arrays["labels"]).mean()) for name in names]
    networks = next(table for table in result.tables if table.name == "networks")
    assert [row[0] for row in networks.rows] == names
    assert [row[3] for row in networks.rows] == pytest.approx(right)
    assert result.metrics["accuracy"].value == pytest.approx(sum(right) / 3)
    assert result.metrics["accuracy"].n == 3


def test_runs_of_neighbouring_seeds_share_no_network():
    seeds = [number for seed in range(20) for number in twin_seeds(seed, 5)]
    assert len(set(seeds)) == 100
    assert twin_seeds(7, 3)[0] == 7
    assert twin_seeds(7, 3) == twin_seeds(7, 5)[:3]


def test_the_first_network_is_the_twin_of_svm_cifar(run, make_images, saved):
    svm_cifar = pytest.importorskip("dcgan_analysis_plugins.svm_cifar.analysis")
    random = run(RandomFeatures(), make_images(), networks=1, seed=3, **BARE)
    cifar = run(svm_cifar.SvmCifar(), make_images(), ablation=False, seed=3, **BARE)
    assert random.metrics["accuracy"].value == cifar.metrics["twin_accuracy"].value
    ours, theirs = (saved(result, "predictions")["random weights"] for result in (random, cifar))
    assert ours.tolist() == theirs.tolist()


def test_the_weights_of_the_checkpoint_do_not_matter(run, make_images):
    other = Checkpoint.random(dcgan32(width=4), seed=99, name="other")
    found = [
        run(RandomFeatures(), make_images(), networks=1, **kwargs, **BARE) for kwargs in ({}, {"checkpoint": other})
    ]
    assert found[0].metrics == found[1].metrics


def test_one_network_has_an_interval_without_width_and_that_is_said(run, make_images):
    result = run(RandomFeatures(), make_images(), networks=1, **BARE)
    metric = result.metrics["accuracy"]
    assert metric.low == metric.value == metric.high
    assert any("One random network has no spread" in note for note in result.notes)
