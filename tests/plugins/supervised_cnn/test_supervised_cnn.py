from __future__ import annotations

from dataclasses import replace

import joblib
import numpy as np
import pytest
from dcgan_analysis_plugins.supervised_cnn import analysis as supervised_cnn
from dcgan_analysis_plugins.supervised_cnn.analysis import SupervisedCnn, SupervisedCnnConfig, make_tasks

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import ConfigError, DatasetError, UnknownNameError
from dcgan_analysis.models.tables import dcgan32_svhn
from dcgan_analysis.probing.classification import labelled_images
from dcgan_analysis.probing.few_labels import make_draws
from dcgan_analysis.testing import check_analysis

BARE = {"trials": 2, "epochs": 2, "stopping": 20, "labels_per_class": 6, "control": False}


@pytest.fixture
def network():
    return Checkpoint.random(dcgan32_svhn(width=2), seed=7, name="tiny")


def computed(result):
    return next(stage.note for stage in result.stages if stage.name.endswith(" trials"))


def test_supervised_cnn_keeps_the_contract(dcgan_context, network):
    result = check_analysis(SupervisedCnn(), replace(dcgan_context, _checkpoint=network), BARE | {"control": True})
    names = ["validation_error", "test_error", "frozen_validation_error", "frozen_test_error"]
    assert list(result.metrics) == names
    assert not any(metric.higher_is_better for metric in result.metrics.values())
    assert [result.metrics[name].n for name in names] == [30] * 4
    assert {figure.name for figure in result.figures} >= {"search", "rates", "epochs"}


def test_the_best_trial_by_held_out_error_is_tested(run, make_images, saved):
    result = run(SupervisedCnn(), make_images(), **(BARE | {"trials": 4}))
    table = next(table for table in result.tables if table.name == "trials")
    errors = [row[1] for row in table.rows]
    assert errors == sorted(errors)
    assert result.metrics["validation_error"].value == pytest.approx(errors[0])
    predictions = saved(result, "predictions")
    wrong = (predictions["supervised CNN"] != predictions["labels"]).mean()
    assert result.metrics["test_error"].value == pytest.approx(wrong)


def test_predictions_do_not_depend_on_the_labels_of_the_test_images(run, make_images, shuffle_test_labels, saved):
    dataset = make_images()
    first, second = (
        saved(run(SupervisedCnn(), one, **BARE), "predictions")["supervised CNN"]
        for one in (dataset, shuffle_test_labels(dataset))
    )
    np.testing.assert_array_equal(first, second)


def test_a_second_search_computes_the_new_trials_alone(run, make_images):
    dataset = make_images()
    first = run(SupervisedCnn(), dataset, **BARE)
    more = run(SupervisedCnn(), dataset, **(BARE | {"trials": 3}))
    assert computed(first) == "2 computed, 0 were in the cache already"
    assert computed(more) == "1 computed, 2 were in the cache already"
    rows = [
        {row[0]: row for table in one.tables if table.name == "trials" for row in table.rows} for one in (first, more)
    ]
    assert [rows[1][number] for number in (1, 2)] == [rows[0][number] for number in (1, 2)]
    # Another draw of labelled images is another search.
    assert computed(run(SupervisedCnn(), dataset, seed=1, **BARE)) == "2 computed, 0 were in the cache already"


def test_threads_of_joblib_find_what_one_process_finds(run, make_images, tmp_path):
    dataset = make_images()
    alone = run(SupervisedCnn(), dataset, **BARE)
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    with joblib.parallel_config(backend="threading", n_jobs=2):
        together = run(SupervisedCnn(), dataset, **BARE)
    assert computed(together) == "2 computed, 0 were in the cache already"
    assert together.metrics == alone.metrics


def test_images_and_draw_are_those_of_svm_svhn_and_none_is_on_two_sides(dcgan_context):
    images = labelled_images(dcgan_context, validation=10_000)
    tasks = make_tasks(dcgan_context, SupervisedCnnConfig(labels_per_class=4, stopping=10), images)
    draw = make_draws(images, 4, dcgan_context, choosing=10, tested=100).tested[0]
    assert not images.held_out[draw].any()
    for task in tasks:
        np.testing.assert_array_equal(task.train.images, images.train.images[draw])
        np.testing.assert_array_equal(task.validation.images, images.train.images[images.held_out])
        assert len(task.stopping) == 10
    assert len({task.seed for task in tasks}) == len(tasks) == 64


def test_the_settings_of_a_trial_depend_on_seed_and_number_alone(dcgan_context):
    images = labelled_images(dcgan_context, validation=10_000)

    def settings(trials, seed=0):
        context = replace(dcgan_context, seed=seed)
        config = SupervisedCnnConfig(labels_per_class=4, trials=trials)
        return [task.settings for task in make_tasks(context, config, images)]

    assert settings(3) == settings(5)[:3]
    assert settings(3) != settings(3, seed=1)


def test_an_architecture_can_be_given_by_name_and_a_checkpoint_is_not_needed(run, make_images, monkeypatch):
    monkeypatch.setattr(supervised_cnn, "_ARCHITECTURE", "mlp-conditional")
    with pytest.raises(
        DatasetError, match=r"'shapes' has images of 3x32x32, checkpoint 'mlp-conditional' takes 1x28x28"
    ):
        run(SupervisedCnn(), make_images(), checkpoint=None, **BARE)
    with pytest.raises(UnknownNameError, match=r"Unknown architecture 'dcgan23'\. Did you mean 'dcgan32'"):
        run(SupervisedCnn(), make_images(), architecture="dcgan23", **BARE)


def test_published_figures_stand_beside_whole_runs_with_100_labels_on_svhn_only(run, make_images):
    sizes = {"train": 640, "test": 30}
    settings = {"trials": 1, "epochs": 1, "stopping": 20, "control": False}
    whole = run(SupervisedCnn(), make_images("svhn", **sizes), **settings, labels_per_class=100)
    assert whole.metrics["validation_error"].published == 0.2887
    assert whole.metrics["test_error"].published is None
    assert "The paper searched 64 trials, this run 1." in whole.notes
    fewer = run(SupervisedCnn(), make_images("svhn", **sizes), **settings, labels_per_class=50)
    other = run(SupervisedCnn(), make_images("shapes", **sizes), **settings, labels_per_class=100)
    for result in (fewer, other):
        assert result.metrics["validation_error"].published is None


def test_more_labels_than_a_class_has_are_refused_with_its_name(run, make_images):
    with pytest.raises(DatasetError, match=r"Class 'disc' has 10 images, 11 per class were asked for"):
        run(SupervisedCnn(), make_images(), **(BARE | {"labels_per_class": 11}))


@pytest.mark.parametrize("settings", [{"trials": 0}, {"n_jobs": 0}])
def test_no_trial_is_no_search(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        SupervisedCnnConfig.build(settings)
