from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.svm_cifar.analysis import SvmCifar

from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, ConfigError, DatasetError
from dcgan_analysis.testing import check_analysis

# What is not the matter of a test is left out of its run.
BARE = {"C": (1e-3, 1e-2), "protocol": "paper", "twin": False, "ablation": False, "labels_per_class": 0}


def test_svm_cifar_keeps_the_contract(dcgan_context):
    result = check_analysis(
        SvmCifar(), dcgan_context, {"C": (1e-3, 1e-2), "protocol": "paper", "draws": 2, "labels_per_class": 4}
    )
    assert set(result.metrics) == {"accuracy", "twin_accuracy", "few_label_accuracy", "twin_few_label_accuracy"}
    assert result.headline == "accuracy"
    layers = next(table for table in result.tables if table.name == "layers")
    assert [row[0] for row in layers.rows] == [*(f"conv{i}" for i in range(1, 7)), "all layers"]
    assert layers.rows[-1][1] == sum(row[1] for row in layers.rows[:-1])


def test_predictions_do_not_depend_on_the_labels_of_the_test_images(run, make_images, shuffle_test_labels, saved):
    dataset = make_images()
    results = [run(SvmCifar(), one, **BARE) for one in (dataset, shuffle_test_labels(dataset))]
    first, second = (saved(result, "predictions")["learned features"] for result in results)
    np.testing.assert_array_equal(first, second)
    assert results[0].metrics["accuracy"].value > results[1].metrics["accuracy"].value


def test_the_twin_is_another_network_probed_in_the_same_way(run, make_images, saved):
    result = run(SvmCifar(), make_images(), **(BARE | {"twin": True}))
    assert result.metrics["twin_accuracy"].n == result.metrics["accuracy"].n == 30
    predictions = saved(result, "predictions")
    assert set(predictions) == {"ids", "labels", "learned features", "random weights"}
    again = run(SvmCifar(), make_images(), **(BARE | {"twin": True}))
    assert again.metrics == result.metrics


def test_the_last_training_images_can_be_the_test_set(run, make_images, saved):
    dataset = make_images()
    result = run(SvmCifar(), dataset, **(BARE | {"test": "last-12"}))
    assert saved(result, "predictions")["ids"].tolist() == dataset.split("train").ids[-12:]
    assert result.metrics["accuracy"].n == 12
    assert {name: split.n for name, split in result.dataset.splits.items()} == {"train": 48, "test": 12}
    assert any("the last 12 images of the training split" in note for note in result.notes)


def test_a_test_set_of_another_name_is_refused():
    with pytest.raises(ConfigError, match=r"test: must be 'test' or 'last-N' with N >= 1, got 'last-0'"):
        SvmCifar.config_type.build({"test": "last-0"})


def test_more_labels_than_a_class_has_are_refused_with_its_name(run, make_images):
    with pytest.raises(DatasetError, match=r"Class 'disc' has 16 images, 17 per class were asked for"):
        run(SvmCifar(), make_images(), **(BARE | {"labels_per_class": 17}))


def test_a_dataset_with_one_class_is_refused(run):
    split = DatasetSplit(np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.int64), list("abcd"), classes=["cat"])
    with pytest.raises(
        AnalysisError, match="needs labels of at least two classes; dataset 'cats' has one class only, cat"
    ):
        run(SvmCifar(), Dataset.from_splits("cats", {"train": split}), **BARE)


def test_images_of_one_class_alone_are_refused(run, lonely_class):
    with pytest.raises(AnalysisError, match=r"needs at least 2 classes; the training rows hold 1 class: 0"):
        run(SvmCifar(), lonely_class, **BARE)


def test_published_figures_stand_beside_whole_runs_on_cifar10_only(run, make_images):
    whole = run(SvmCifar(), make_images("cifar10"), **(BARE | {"labels_per_class": 4, "draws": 1}))
    assert whole.metrics["accuracy"].published == 0.828
    # The paper's few-label column has 400 labels per class.
    assert whole.metrics["few_label_accuracy"].published is None
    assert whole.tables[0].name == "table-1"
    cut = run(SvmCifar(), make_images("cifar10"), limit=24, **BARE)
    other = run(SvmCifar(), make_images("shapes"), **BARE)
    assert (whole.smoke, cut.smoke, other.smoke) == (False, True, False)
    for result in (cut, other):
        assert result.metrics["accuracy"].published is None
        assert "table-1" not in [table.name for table in result.tables]


def test_a_grid_whose_end_is_best_is_extended_for_network_and_twin_alike(run, make_images):
    narrow = BARE | {"C": (1e-7, 1e-6), "twin": True}
    result = run(SvmCifar(), make_images(), **(narrow | {"protocol": "extended"}))
    assert any("for all of them it was extended to" in note for note in result.notes)
    (grid,) = [table for table in result.tables if table.name == "grid"]
    assert grid.rows[-1][0] > 1e-6
    assert all(cell is not None for row in grid.rows for cell in row)
    fixed = run(SvmCifar(), make_images(), **narrow)
    assert any("the best C, 1e-06, is the last of the grid" in warning for warning in fixed.warnings)


def test_digits_are_told_apart_from_the_command_line(run_cli, network, tmp_path, unrendered):
    network.save(tmp_path / "tiny.safetensors")
    settings = [f"--set={key}" for key in ("C=[1e-3]", "ablation=false", "draws=2", "labels_per_class=20")]
    outcome = run_cli("run", "svm-cifar", "--checkpoint=tiny.safetensors", "--dataset=digits", "--json", *settings)
    metrics = outcome.assert_success().result.metrics
    # Ten classes: chance is 0.1; a linear classifier on any features of these digits is far above it.
    assert metrics["accuracy"].value > 0.85
    assert metrics["accuracy"].low < metrics["accuracy"].value < metrics["accuracy"].high
    assert 0.7 < metrics["few_label_accuracy"].value < metrics["accuracy"].value
    assert metrics["twin_accuracy"].n == 500


def test_several_twins_and_scaled_layers_stand_beside_the_protocol(run, make_images, saved):
    settings = {**BARE, "twin": True, "twins": 3, "layer_scaling": True, "labels_per_class": 4, "draws": 2}
    result = run(SvmCifar(), make_images(), **settings)
    metrics = result.metrics
    for name in ("twin_accuracy", "twin_few_label_accuracy"):
        assert (metrics[name].n, metrics[name].interval) == (3, "1.96 std over random networks")
    predicted = saved(result, "predictions")
    right = {name: (predicted[name] == predicted["labels"]).mean() for name in predicted if "features" in name}
    assert metrics["scaled_accuracy"].value == pytest.approx(right["learned features, layers scaled"])
    assert metrics["scaling_gain"].value == pytest.approx(metrics["scaled_accuracy"].value - metrics["accuracy"].value)
    used = next(table for table in result.tables if table.name == "layers-used")
    assert len(used.rows) == 6
    assert not any("one random network" in note for note in result.notes)


def test_a_single_twin_is_said_to_be_one_network(run, make_images):
    result = run(SvmCifar(), make_images(), **{**BARE, "twin": True})
    assert "one network" in result.metrics["twin_accuracy"].description
    assert any("one random network" in note and "twins=5" in note for note in result.notes)
