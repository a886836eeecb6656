"""Batch-normalisation statistics that were never updated, or are missing, in runs and by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import dcgan_analysis as da
from dcgan_analysis.api import Needs
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.statistics import stale_statistics, with_new_statistics
from dcgan_analysis.errors import AnalysisError, CheckpointError
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.runs.batch import run_several
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
AGAIN = {"batchnorm": "reestimate"}


def small(module):
    """Give all kernels and matrices weights of the size of an untrained DCGAN's."""
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.02, generator=source)
    return module


@pytest.fixture(scope="module")
def stale():
    """A checkpoint whose statistics were never updated; nothing else is wrong with it."""
    up = [nn.Linear(8, 64, bias=False), nn.Unflatten(1, (4, 4, 4)), nn.BatchNorm2d(4), nn.ReLU()]
    up += [nn.ConvTranspose2d(4, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    up += [nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False), nn.BatchNorm2d(3), nn.Tanh()]
    down = [nn.Conv2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(256, 1)]
    return da.wrap(small(nn.Sequential(*up)), small(nn.Sequential(*down)), name="stale")


@pytest.fixture(scope="module")
def mended(stale):
    return with_new_statistics(stale)


def without_statistics(checkpoint):
    kept = {
        role: {key: value for key, value in state.items() if not key.endswith(STATISTICS)}
        for role, state in checkpoint.weights.items()
    }
    return replace(checkpoint, weights=kept)


def spread(checkpoint):
    return float(checkpoint.sample(64, 1).std(dim=0).mean())


@pytest.fixture
def drawn(make_toy):
    """An analysis that measures by how much samples differ."""

    def measure(context, config):
        result = make_toy().run(context, config)
        result.metrics["draw"].value = spread(context.checkpoint)
        return result

    return make_toy(
        name="drawn", run=measure, needs=Needs(generator=True, dataset="toy-images", splits=("train", "test"))
    )


def test_samples_of_stale_statistics_are_one_image_and_those_of_new_ones_differ(stale, mended):
    mended, done = mended
    assert spread(stale) < 0.001 < 0.1 < spread(mended)
    assert done["generator"].startswith("re-estimated on 2,560 latent vectors")
    assert done["discriminator"].startswith("re-estimated on 512 samples of the generator")
    assert stale.with_new_statistics().sha256() == mended.sha256()


def test_missing_statistics_are_estimated_like_stale_ones(stale, mended):
    missing = without_statistics(stale)
    with pytest.raises(CheckpointError, match=r"running_mean' of shape .* is missing"):
        missing.generator()
    assert with_new_statistics(missing)[0].sha256() == mended[0].sha256()


def test_the_discriminators_are_those_of_given_images(stale, mended):
    images = make_dataset(train=40).split("train")
    found, done = with_new_statistics(stale, images)
    assert done["discriminator"].startswith("re-estimated on 40 images of")
    assert not stale_statistics(found, "discriminator")
    assert found.sha256("discriminator") != mended[0].sha256("discriminator")


def test_a_discriminator_that_takes_labels_keeps_its_own():
    table = dcgan28_conditional(width=2, hidden=8, image_size=8, z_size=5, classes=3)
    checkpoint = Checkpoint.random(table, seed=0)
    found, done = with_new_statistics(checkpoint)
    assert set(done) == {"generator"}
    assert found.sha256("discriminator") == checkpoint.sha256("discriminator")


def test_layers_that_keep_no_statistics_are_named():
    network = nn.Sequential(
        nn.Linear(5, 12),
        nn.Unflatten(1, (3, 2, 2)),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.Upsample(scale_factor=4),
        nn.Tanh(),
    )
    with pytest.warns(UserWarning, match="without running statistics"):
        checkpoint = da.wrap(generator=network, name="mine")
    with pytest.raises(CheckpointError, match=r"layer .*2' of the generator of 'mine' .* track_running_stats=True"):
        with_new_statistics(checkpoint)


def test_a_run_on_stale_statistics_warns_and_one_that_estimates_them_does_not(stale, drawn, host, tmp_path):
    warned = run(drawn, checkpoint=stale, out=tmp_path / "stale", host=host)
    assert warned.metrics["draw"].value < 0.001
    assert [text for text in warned.warnings if "generator of 'stale' were never updated in 3 of 3 layers" in text]
    assert all("batchnorm=reestimate" in text for text in warned.warnings)
    mended = run(drawn, checkpoint=stale, settings=AGAIN, out=tmp_path / "mended", host=host)
    assert mended.metrics["draw"].value > 0.1
    assert not mended.warnings
    assert "BatchNorm statistics of the generator: re-estimated on 2,560 latent vectors" in mended.notes[0]
    assert mended.command.endswith("--set batchnorm=reestimate")
    assert "batchnorm" not in mended.config
    assert mended.checkpoint.sha256 != warned.checkpoint.sha256


def test_a_run_estimates_missing_statistics_for_several_analyses_once(
    stale, drawn, make_toy, host, tmp_path, monkeypatch
):
    calls = []
    monkeypatch.setattr(
        "dcgan_analysis.checkpoints.statistics.with_new_statistics",
        lambda *given: calls.append(1) or with_new_statistics(*given),
    )
    other = make_toy(name="other", run=drawn.run, needs=drawn.needs)
    missing = without_statistics(stale)
    batch = run_several([drawn, other], settings=AGAIN, checkpoint=missing, out=tmp_path / "both", host=host)
    assert [result.metrics["draw"].value > 0.1 for result in batch.results.values()] == [True, True]
    assert len(calls) == 1


def test_features_with_statistics_of_their_own_are_not_warned_of(stale, host, tmp_path, make_toy):
    needs = Needs(discriminator=True, grid=4, dataset="toy-images", splits=("train", "test"))
    assert not run(make_toy(needs=needs), checkpoint=stale, out=tmp_path / "one", host=host).warnings


def test_the_setting_needs_a_checkpoint(host, tmp_path):
    with pytest.raises(AnalysisError, match="analysis 'toy' runs without a checkpoint"):
        run("toy", settings=AGAIN, out=tmp_path / "one", host=host)


def test_the_generator_that_makes_one_image_is_told_what_to_do(stale, tmp_path):
    settings = {"points": 3, "walks": 2, "steps": 4, "bank": 20}
    with pytest.raises(AnalysisError, match=r"never updated .* batchnorm=reestimate"):
        da.run("latent-walk", checkpoint=stale, settings=settings, out=tmp_path / "stale")
    mended = da.run("latent-walk", checkpoint=stale, settings={**settings, **AGAIN}, out=tmp_path / "mended")
    assert np.isfinite(mended.metrics["roughness"].value)


def test_networks_are_not_changed_in_place(stale):
    before = {key: value.clone() for key, value in stale.weights["generator"].items()}
    with_new_statistics(stale)
    assert all(torch.equal(value, before[key]) for key, value in stale.weights["generator"].items())
