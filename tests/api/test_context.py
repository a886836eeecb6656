from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.api import Metric, RunContext
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.features.extractor import FeatureSpec


@pytest.fixture
def bare(dcgan_context):
    """A context without checkpoint and dataset."""
    return RunContext(dcgan_context.output_dir, dcgan_context.device, seed=3, environment=dcgan_context.environment)


def finish(context):
    """Let a context assemble a result."""
    return context.result(title="T", headline="m", metrics={"m": Metric(value=0.5)})


@pytest.mark.parametrize("what", ["checkpoint", "dataset"])
def test_what_the_run_does_not_have_is_said(what, bare):
    with pytest.raises(AnalysisError, match=rf"This run has no {what}\. Give one, and declare"):
        getattr(bare, what)


def test_random_numbers_do_not_depend_on_what_was_drawn_before(bare):
    expected = bare.rng("draws", "3").random(4)
    bare.rng("draws", "2").random(100)
    bare.torch_generator("noise")
    np.testing.assert_array_equal(bare.rng("draws", "3").random(4), expected)


def test_random_numbers_depend_on_every_name_and_on_the_seed(bare, dcgan_context):
    names = [(), ("a",), ("b",), ("a", "b"), ("b", "a"), ("a/b",), ("ab",)]
    first = {float(context.rng(*name).random()) for context in (bare, dcgan_context) for name in names}
    assert len(first) == 2 * len(names)


def test_torch_generators_follow_the_same_rule(bare):
    draws = [torch.rand(3, generator=bare.torch_generator(name)) for name in ("z", "other", "z")]
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


def test_the_limit_takes_images_evenly_spread(dcgan_context):
    whole = dcgan_context.split("train")
    cut = RunContext(**{**vars(dcgan_context), "limit": 4, "_splits": {}}).split("train")
    assert cut.ids == [whole.ids[i] for i in (0, 20, 39, 59)]
    assert cut.source == f"{whole.source}, 4 of 60"


@pytest.mark.parametrize("limit", [None, 60, 1000])
def test_a_limit_that_cuts_nothing_leaves_the_split_as_it_is(limit, dcgan_context):
    dcgan_context.limit = limit
    assert dcgan_context.split("train") is dcgan_context.dataset.split("train")


def test_a_limit_of_one_takes_one_image(dcgan_context):
    dcgan_context.limit = 1
    assert len(dcgan_context.split("test")) == 1


def test_a_split_that_is_not_there_is_named(dcgan_context):
    with pytest.raises(DatasetError, match="no split 'validation', only: train, test"):
        dcgan_context.split("validation")


def test_stages_are_timed_in_their_order_also_when_they_fail(dcgan_context):
    with dcgan_context.stage("sleep") as stage:
        time.sleep(0.02)
        stage.note = "well"
    with pytest.raises(ZeroDivisionError), dcgan_context.stage("fail"):
        _ = 1 / 0
    stages = finish(dcgan_context).stages
    assert [(stage.name, stage.note) for stage in stages] == [("sleep", "well"), ("fail", "")]
    assert 0.02 <= stages[0].seconds < 10


def test_notes_and_warnings_are_said_once(dcgan_context):
    for _ in range(2):
        dcgan_context.note("few images")
        dcgan_context.warn("not converged")
    result = finish(dcgan_context)
    assert (result.notes, result.warnings) == (["few images"], ["not converged"])


def test_files_are_listed_where_they_were_written(dcgan_context):
    from matplotlib.figure import Figure

    path = dcgan_context.save_arrays("scores", test=np.arange(3))
    dcgan_context.save_figure(Figure(), "curve", "Curve", "what it shows")
    result = finish(dcgan_context)
    assert np.load(path)["test"].tolist() == [0, 1, 2]
    assert result.files == {"scores": "scores.npz"}
    assert [(figure.file, figure.caption) for figure in result.figures] == [("figures/curve.png", "what it shows")]
    assert all((dcgan_context.output_dir / file).is_file() for file in ("scores.npz", "figures/curve.png"))


def test_the_result_says_what_it_was_made_from(dcgan_context):
    train = dcgan_context.split("train")
    dcgan_context.use_split("held out", train.take([0, 1], source="2 of train"))
    result = finish(dcgan_context)
    assert (result.seed, result.limit, result.smoke) == (0, None, False)
    assert {name: (record.n, record.source) for name, record in result.dataset.splits.items()} == {
        "train": (60, "synthetic, train"),
        "held out": (2, "2 of train"),
    }
    assert result.dataset.splits["train"].sha256 == train.sha256
    assert result.checkpoint.sha256 == dcgan_context.checkpoint.sha256()
    assert (result.checkpoint.architecture, result.checkpoint.parameters["width"]) == ("dcgan32", 8)
    assert result.environment.device == "cpu"
    assert {"torch", "numpy", "scikit-learn"} <= result.environment.packages.keys()
    assert len(result.environment.code_sha256) == 64
    assert result.started.endswith("+00:00")


def test_a_run_on_cut_data_is_labelled(dcgan_context):
    dcgan_context.limit = 7
    result = finish(dcgan_context)
    assert (result.limit, result.smoke) == (7, True)


def test_the_result_of_a_bare_run_has_no_records(bare):
    result = finish(bare)
    assert result.dataset is None
    assert result.checkpoint is None


def test_features_are_kept_in_the_cache_of_the_context(dcgan_context):
    reports = []
    dcgan_context.progress = lambda what, done, total: reports.append((done, total))
    spec = FeatureSpec(precision="float32", dtype="float32")
    train, test = dcgan_context.split("train"), dcgan_context.split("test")
    first = dcgan_context.extraction(spec, train)
    store = first.store("test", test)
    assert store.path.is_relative_to(dcgan_context.cache_dir)
    assert store.shape[0] == 30
    assert reports[-1] == (30, 30)

    second = dcgan_context.extraction(spec, train)
    second.store("test", test)
    assert second.forward_images == 0


def test_features_of_another_checkpoint_are_others(dcgan_context):
    spec = FeatureSpec(batchnorm="running", precision="float32")
    test = dcgan_context.split("test")
    keys = [
        dcgan_context.extraction(spec, None, checkpoint=checkpoint).key("test", test)
        for checkpoint in (None, dcgan_context.checkpoint.twin(seed=1))
    ]
    assert [difference.part for difference in keys[0].difference(keys[1])] == ["weights_sha256"]


def test_analysis_and_settings_in_front_as_plugins_passed_them_before_change_nothing(dcgan_context, make_toy):
    toy = make_toy()
    given = dcgan_context.result(toy, toy.config_type(), title="T", headline="m", metrics={"m": Metric(value=0.5)})
    times = {"elapsed_seconds", "started"}
    assert given.model_dump(exclude=times) == finish(dcgan_context).model_dump(exclude=times)


def test_a_gallery_takes_images_with_labels(dcgan_context):
    test = replace(dcgan_context.split("test"), labels=None)
    with pytest.raises(AnalysisError, match=r"Gallery 'some' takes labelled images; .* has no labels"):
        dcgan_context.save_gallery(test, np.zeros(len(test), int), "some", "Some")
