"""What one analysis leaves behind does not reach the next."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.api import Metric, Needs
from dcgan_analysis.errors import AnalysisError, StoreError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.runs.guard import guarded
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset


def double_precision(context):
    torch.set_default_dtype(torch.float64)


def without_gradients(context):
    torch.set_grad_enabled(False)


def deterministic(context):
    torch.use_deterministic_algorithms(True)


def more_threads(context):
    torch.set_num_threads(torch.get_num_threads() + 1)


def elsewhere(context):
    os.chdir("/")


def hook_on_everything(context):
    nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output * 0)


LEFT = {
    double_precision: "the default dtype",
    without_gradients: "gradients on or off",
    deterministic: "deterministic algorithms",
    more_threads: "the number of threads",
    elsewhere: "the working directory",
    hook_on_everything: "hooks on all modules",
}


def state():
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        Path.cwd(),
        dict(nn.modules.module._global_forward_hooks),
        list(warnings.filters),
        random.getstate(),
        torch.random.get_rng_state().tolist(),
    )


@pytest.fixture
def analysis(make_toy):
    """Make a toy analysis that does something first."""

    def make(work, **needs):
        def do(context, config):
            work(context)
            return context.result(title="Toy", headline="m", metrics={"m": Metric(value=1.0)})

        return make_toy(run=do, needs=Needs(**needs))

    return make


@pytest.mark.parametrize("work", LEFT, ids=lambda work: work.__name__)
def test_what_an_analysis_left_is_put_back_and_said(work, analysis, host, tmp_path):
    before = state()
    result = run(analysis(work), host=host, out=tmp_path / "run")
    assert state() == before
    (warning,) = result.warnings
    assert f"Analysis 'toy', or an observer of it, left changed: {LEFT[work]}." in warning


def test_what_a_failed_analysis_left_is_put_back(analysis, host, tmp_path):
    def fail(context):
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(analysis(fail), host=host, out=tmp_path / "run")
    assert torch.get_default_dtype() == torch.float32


def test_random_states_and_warning_filters_are_as_before(analysis, host, tmp_path):
    def draw(context):
        random.random()
        torch.rand(3)
        np.random.rand(3)
        warnings.simplefilter("ignore")

    before = state()
    result = run(analysis(draw), host=host, out=tmp_path / "run")
    assert state() == before
    assert not result.warnings


def test_weights_changed_in_place_fail_the_run(analysis, host, tmp_path, tiny_checkpoint):
    def zero(context):
        next(iter(context.checkpoint.weights["discriminator"].values())).zero_()

    with pytest.raises(AnalysisError, match=r"changed the weights of checkpoint 'tiny.*' in place"):
        run(analysis(zero, discriminator=True), host=host, out=tmp_path / "run", checkpoint=tiny_checkpoint)
    assert not (tmp_path / "run").exists()


def test_images_changed_in_place_fail_the_run(analysis, host, tmp_path):
    def darken(context):
        context.split("test").images[:] = 0

    dataset = make_dataset()
    with pytest.raises(AnalysisError, match="changed the images of split 'test' in place"):
        run(analysis(darken, splits=("test",)), host=host, out=tmp_path / "run", dataset=dataset)


def test_what_an_analysis_prints_is_no_part_of_the_answer(analysis, host, tmp_path, capsys):
    run(analysis(lambda context: print("loud")), host=host, out=tmp_path / "run")
    assert capsys.readouterr() == ("", "loud\n")


def test_a_hook_on_all_modules_makes_no_feature_store(dcgan_context):
    images = dcgan_context.split("train")
    extraction = dcgan_context.extraction(FeatureSpec(), images)
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
    try:
        with pytest.raises(StoreError, match="a store would keep them for good"):
            extraction.store("train", images)
    finally:
        handle.remove()
    assert len(extraction.store("train", images)) == len(images)


def test_weights_changed_before_extraction_have_a_store_of_their_own(dcgan_context):
    images = dcgan_context.split("train")
    first = dcgan_context.extraction(FeatureSpec(), images).store("train", images)
    next(iter(dcgan_context.checkpoint.weights["discriminator"].values())).mul_(1.5)
    second = dcgan_context.extraction(FeatureSpec(), images).store("train", images)
    assert first.key.weights_sha256 != second.key.weights_sha256


def test_the_guard_takes_no_noticeable_time(dcgan_context):
    import time

    started = time.perf_counter()
    with guarded("toy", dcgan_context):
        pass
    assert time.perf_counter() - started < 0.5
