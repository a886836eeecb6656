"""Every guideline is broken by the variant that is to break it, and what a broken one does is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dcgan_analysis_plugins.guidelines import Guidelines, trainings
from dcgan_analysis_plugins.guidelines.trainings import Outcome
from dcgan_analysis_plugins.guidelines.variants import CONTROL, PAPER, VARIANTS, architecture

import dcgan_analysis as da
from dcgan_analysis.core.statistics import wilson_interval
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.models.guidelines import guidelines
from dcgan_analysis.testing import check_analysis, make_dataset

TINY = {"width": 2, "z_size": 4, "epochs": 1, "batch_size": 16, "seeds": 2, "probe_images": 50}
BREAKS = {
    "pooling and upsampling": [0],
    "no batch normalisation": [1],
    "batch normalisation everywhere": [1],
    "fully connected hidden layers": [2],
    "ReLU in the discriminator": [4],
    "sigmoid output": [3],
}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)], ids=str)
def test_each_variant_breaks_its_guideline_and_no_other(shape):
    for variant in VARIANTS:
        judged = guidelines(architecture(variant, shape, 4, 8))
        assert [number for number, each in enumerate(judged) if not each.kept] == BREAKS.get(variant.name, []), variant


def test_the_settings_of_section_4_are_changed_one_by_one():
    changed = {variant.name: dict(variant.settings) for variant in VARIANTS if variant.settings}

    assert changed == {"step size 1e-3": {"learning_rate": 1e-3}, "beta1 0.9": {"beta1": 0.9}}


def history(last, rows=6, **changes):
    healthy = {
        "generator_loss": 1.5,
        "real_probability": 0.7,
        "fake_probability": 0.3,
        "diversity": 0.9,
        "nearest_sample": 1.0,
        "sample_distance": 0.2,
        "real_distance": 0.05,
        "collapsed_filters": 0.0,
        "filters": {"project": {"maps": 16, "dead": 0, "fixed": 0, "oscillating": 0}},
        "feature_accuracy": 0.9,
        "feature_images": 100,
    }
    return [{"epoch": n, "step": 10 * n, **healthy, **changes} for n in range(1, rows)] + [
        {"epoch": rows, "step": 10 * rows, **healthy, **changes, **last}
    ]


@pytest.fixture
def planted(monkeypatch):
    """Let trainings of named variants, or of one of their seeds, come to what is given, all others to a healthy end."""

    def plant(of_variant):
        def run_trainings(context, tasks, n_jobs):
            samples = np.zeros((16, 3, 32, 32), np.uint8)
            outcomes = []
            for task in tasks:
                name, seed = task.variant.name, task.settings["seed"]
                last = of_variant.get((name, seed), of_variant.get(name, {}))
                numbers = {"diversity": 0.9, "nearest_sample": 1.0, "sample_distance": 0.2} | (last or {})
                shares = {name: numbers.pop(name) for name in ("feature_accuracy",) if name in numbers}
                each = {name: value * (1 + 0.001 * seed) for name, value in numbers.items()}
                rows = [] if last is None else history(each | shares)
                outcomes.append(Outcome(rows, samples if rows else samples[:0]))
            return outcomes, len(tasks)

        monkeypatch.setattr(trainings, "run_trainings", run_trainings)

    return plant


def test_what_a_broken_guideline_costs_is_found_and_the_control_costs_nothing(run, planted):
    planted(
        {
            "no batch normalisation": {"diversity": 0.2, "nearest_sample": 0.1, "sample_distance": 0.8},
            "step size 1e-3": {"feature_accuracy": 0.5},
            "beta1 0.9": None,
            "sigmoid output": {"nearest_sample": 1.2},
        }
    )

    result = run(Guidelines(), make_dataset(), None)

    assert (result.metrics["worse"].value, result.metrics["worse"].n) == (3, 8)
    assert (result.metrics["better"].value, result.metrics["control_differs"].value) == (1, 0)
    assert result.metrics["no_batch_normalisation_failed"].value == 1
    verdicts = {name: verdict for name, *verdict in result.tables[1].rows}
    assert verdicts[CONTROL] == [None, None]
    assert verdicts["sigmoid output"] == [None, "distance to the nearest other sample, over real images"]
    assert "distance between samples" in verdicts["no batch normalisation"][0]
    assert verdicts["step size 1e-3"] == ["accuracy of an L2-SVM on the discriminator's features", None]
    failures = {row[0]: row[1] for row in result.tables[0].rows}
    assert failures[PAPER] == "none"
    assert failures["no batch normalisation"] == "mode collapse 3x"
    assert failures["beta1 0.9"] == "diverged 3x"


def test_the_only_training_that_did_not_diverge_makes_its_variant_no_better(run, planted):
    planted({("beta1 0.9", 0): {"diversity": 2.0}, ("beta1 0.9", 1): None, ("beta1 0.9", 2): None})

    result = run(Guidelines(), make_dataset(), None)

    alone = result.metrics["beta1_0_9_diversity"]
    assert (alone.n, alone.low, alone.high, alone.interval) == (1, None, None, "none: one training")
    assert (result.metrics["worse"].value, result.metrics["better"].value) == (0, 0)
    assert "2 (one training)" in {row[0]: row for row in result.tables[0].rows}["beta1 0.9"]


def test_shares_that_are_alike_with_all_seeds_have_the_interval_of_one_training(run, planted):
    planted({"step size 1e-3": {"feature_accuracy": 0.86}, "beta1 0.9": {"feature_accuracy": 0.5}})

    result = run(Guidelines(), make_dataset(), None)

    accuracy = result.metrics["the_papers_feature_accuracy"]
    assert (accuracy.low, accuracy.high) == wilson_interval(90, 100)
    assert accuracy.interval == "95 % Wilson, all seeds alike"
    collapsed = result.metrics["the_papers_collapsed_filters"]
    assert (collapsed.low, collapsed.high) == wilson_interval(0, 16)
    # 86 of 100 are no fewer than 90 of 100, 50 are.
    assert result.metrics["worse"].value == 1


def test_numbers_that_are_alike_with_all_seeds_have_no_interval_and_are_compared_with_none(run, planted):
    planted({"beta1 0.9": {"diversity": 0.0}})

    result = run(Guidelines(), make_dataset(), None)

    metric = result.metrics["beta1_0_9_diversity"]
    assert (metric.value, metric.low, metric.interval) == (0, None, "none: the trainings are alike")
    assert result.metrics["worse"].value == 0
    assert "0 (alike)" in {row[0]: row for row in result.tables[0].rows}["beta1 0.9"]


def test_the_floor_comes_from_what_did_not_diverge_and_without_any_there_is_none(run, planted):
    ended = [variant.name for variant in VARIANTS][-1]
    planted({variant.name: None for variant in VARIANTS if variant.name != ended})
    assert run(Guidelines(), make_dataset(), None).metrics["real_distance"].value == pytest.approx(0.05)

    planted({variant.name: None for variant in VARIANTS})
    result = run(Guidelines(), make_dataset(), None)
    assert "real_distance" not in result.metrics
    assert {row[1] for row in result.tables[0].rows} == {"diverged 3x"}


def test_trainings_are_kept_and_one_whose_loss_is_not_finite_has_diverged(run, monkeypatch):
    exploding = replace(VARIANTS[0], name="exploding", settings={"learning_rate": 1e30})
    monkeypatch.setattr("dcgan_analysis_plugins.guidelines.variants.VARIANTS", (*VARIANTS[:2], exploding))
    digits = da.load_dataset("digits")

    first = run(Guidelines(), digits, None, limit=64, **TINY)
    again = run(Guidelines(), digits, None, limit=64, **TINY)

    assert first.metrics == again.metrics
    assert [one.stages[0].note.split(",")[0] for one in (first, again)] == ["6 computed", "0 computed"]
    assert first.tables[0].rows[2][1] == "diverged 2x"
    assert not list(first.folder.glob("training-*"))


def test_guidelines_keep_the_contract(dcgan_context, unrendered, planted):
    planted({})

    check_analysis(Guidelines(), dcgan_context, TINY)


def test_images_that_do_not_fit_and_too_few_of_them_are_refused(run):
    def images(shape, n=40):
        return Dataset.from_splits(
            "own", {"train": DatasetSplit(np.zeros((n, *shape), np.uint8), None, [str(i) for i in range(n)])}
        )

    with pytest.raises(DcganAnalysisError, match="The images have 30x30 pixels; the networks of this experiment take"):
        run(Guidelines(), images((3, 30, 30)), None, **TINY)
    with pytest.raises(DcganAnalysisError, match="has 12 images, fewer than one minibatch of 16"):
        run(Guidelines(), images((3, 32, 32), 12), None, **TINY)
