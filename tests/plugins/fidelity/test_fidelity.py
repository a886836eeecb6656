from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dcgan_analysis_plugins.fidelity import Fidelity

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.models.tables import dcgan64
from dcgan_analysis.testing import check_analysis

SHORT = {"samples": 20, "draws": 2, "judge_epochs": 1}


def test_fidelity_keeps_the_contract(dcgan_context, unrendered):
    check_analysis(Fidelity(), dcgan_context, SHORT)


def test_samples_lie_between_real_images_and_a_random_network(run, saved):
    result = run(Fidelity(), "digits", checkpoint="digits-dcgan32", samples=150, draws=2, judge_epochs=4)
    value = {name: metric.value for name, metric in result.metrics.items()}

    assert value["judge_accuracy"] > 0.8
    for distance in ("frechet_distance", "kernel_distance"):
        assert value[f"real_{distance}"] < value[distance] < value[f"twin_{distance}"]
    for share in ("precision", "coverage", "density"):
        assert value[f"real_{share}"] > value[share] > value[f"twin_{share}"]
    # What is left of the bias is small beside it.
    assert abs(value["real_frechet_extrapolated"]) < 0.5 * value["real_frechet_distance"]
    assert saved(result, "draws")["frechet_distance"].mean() == pytest.approx(value["frechet_distance"])


def test_every_judge_says_who_it_is_and_only_inception_is_called_by_the_known_names(run):
    digits = da.load_dataset("digits")
    for judge, name in (("discriminator", "the discriminator of the checkpoint (conv3)"), ("random", "random weights")):
        result = run(Fidelity(), digits, checkpoint="digits-dcgan32", limit=80, judge=judge, **SHORT)
        assert name in result.title
        assert not any("FID" in metric.description or "KID" in metric.description for metric in result.metrics.values())


def test_images_without_labels_are_judged_by_random_weights(run):
    plain = Dataset.from_arrays("plain", {"train": da.load_dataset("digits").split("train").images[:80]})

    assert "random weights" in run(Fidelity(), plain, checkpoint="digits-dcgan32", **SHORT).title
    with pytest.raises(AnalysisError, match="needs labels of at least two classes; dataset 'plain' has no labels"):
        run(Fidelity(), plain, checkpoint="digits-dcgan32", judge="classifier", **SHORT)


def test_a_judge_that_does_not_fit_is_refused_in_one_line(run):
    with pytest.raises(ConfigError, match="must be one of auto, classifier"):
        run(Fidelity(), "digits", checkpoint="digits-dcgan32", judge="fid", **SHORT)
    with pytest.raises(AnalysisError, match="discriminator of 'digits-conditional' is conditional"):
        run(Fidelity(), "digits", checkpoint="digits-dcgan32", judge="checkpoint:digits-conditional", **SHORT)


def test_images_of_another_shape_than_the_samples_are_refused(run):
    other = Checkpoint.random(dcgan64(width=2), seed=0)
    with pytest.raises(AnalysisError, match="'digits' has images of 3x32x32, checkpoint 'random' takes 3x64x64"):
        run(Fidelity(), "digits", checkpoint=other, **SHORT)


def test_inception_is_read_from_the_hub_cache_and_its_absence_told(run, monkeypatch, tmp_path):
    pytest.importorskip("torch_fidelity")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    with pytest.raises(
        AnalysisError, match=r"judge=inception: .*weights-inception-2015-12-05-6726825d\.pth' is absent"
    ):
        run(Fidelity(), "digits", checkpoint="digits-dcgan32", judge="inception", **SHORT)


def test_the_draws_are_those_of_the_seed(run, saved):
    two = saved(run(Fidelity(), "digits", checkpoint="digits-dcgan32", limit=200, judge="random", **SHORT), "draws")
    again = saved(run(Fidelity(), "digits", checkpoint="digits-dcgan32", limit=200, judge="random", **SHORT), "draws")
    other = saved(
        run(Fidelity(), "digits", checkpoint="digits-dcgan32", limit=200, judge="random", seed=1, **SHORT), "draws"
    )

    assert (two["frechet_distance"] == again["frechet_distance"]).all()
    assert (two["frechet_distance"] != other["frechet_distance"]).any()


def test_a_generator_alone_is_enough(run):
    whole = da.load_checkpoint("digits-dcgan32")
    alone = replace(whole, weights={"generator": whole.weights["generator"]}, name="alone", path=None)

    assert (
        run(Fidelity(), "digits", checkpoint=alone, limit=120, judge="random", **SHORT).headline == "frechet_distance"
    )
