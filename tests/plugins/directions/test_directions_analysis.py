from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.directions.analysis import DirectionsAnalysis
from torch import nn

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.errors import AnalysisError, UnknownNameError
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.testing import check_analysis

SHORT = {"samples": 60, "new": 4, "k": 2, "random": 2, "classifier_steps": 2, "judges": 2}
Z = 16


class Bulb(nn.Module):
    """Its images are of one shade, which one direction of latent space decides; another draws a faint stripe."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(Z, 3 * 32 * 32)
        weight = torch.zeros(3, 32, 32, Z)
        weight[..., 0] = 0.1
        weight[:, :2, :, 1] = 0.05
        with torch.no_grad():
            self.project.weight.copy_(weight.view(-1, Z))
            self.project.bias.fill_(0.0)

    def forward(self, z):
        return self.project(z).view(-1, 3, 32, 32)


@pytest.fixture(scope="module")
def bulb():
    return da.wrap(generator=Bulb(), latent=Z, name="bulb")


def test_directions_keeps_the_contract(dcgan_context, unrendered):
    result = check_analysis(DirectionsAnalysis(), dcgan_context, {**SHORT, "k": 1, "attributes": ["brightness"]})
    assert {"sefa_effect", "pca_image_change", "boundary_selectivity", "random_outside_prior"} <= set(result.metrics)


@pytest.fixture(scope="module")
def result(run_once, bulb):
    from dcgan_analysis.testing import make_dataset

    settings = {
        **SHORT,
        "samples": 1200,
        "new": 8,
        "k": 1,
        "random": 16,
        "judge": "pixels",
        "attributes": ["brightness"],
    }
    return run_once(DirectionsAnalysis(), make_dataset(), checkpoint=bulb, **settings)


def test_every_method_finds_the_planted_direction_and_random_ones_are_at_chance(result, saved):
    planted = np.eye(Z)[0]
    arrays = saved(result, "directions")

    for kind in ("sefa", "pca", "boundary"):
        assert abs(arrays[f"{kind}_vectors"][0] @ planted) > 0.99
    assert np.square(arrays["random_vectors"] @ planted).mean() == pytest.approx(1 / Z, abs=0.03)


def test_the_effect_of_the_planted_direction_is_the_one_that_is_known(result):
    value = {name: metric.value for name, metric in result.metrics.items()}

    # Latent numbers are standard normal: a unit of length moves the shade by one standard deviation, nothing else does.
    assert value["boundary_effect"] == pytest.approx(1, abs=0.05)
    assert value["random_effect_meant"] == pytest.approx((2 / np.pi / Z) ** 0.5, abs=0.06)
    assert value["boundary_separation"] > 0.97
    assert value["shuffled_separation"] == pytest.approx(0.5, abs=0.1)
    for kind in ("sefa", "pca", "boundary"):
        assert value[f"{kind}_image_change"] > 2 * value["random_image_change"]


def test_methods_that_are_not_asked_for_are_left_out(run, bulb, make_images):
    result = run(DirectionsAnalysis(), make_images(), bulb, **SHORT, methods=["boundary"])

    assert result.headline == "boundary_effect"
    assert {name.split("_")[0] for name in result.metrics} == {"boundary", "random", "shuffled"}


def test_directions_of_a_conditional_generator_are_those_within_a_class(run, make_images):
    architecture = dcgan28_conditional(width=2, hidden=8, image_size=32, z_size=5, classes=3, image_channels=3)
    checkpoint = with_sample_statistics(Checkpoint.random(architecture, seed=1), batches=1)
    result = run(DirectionsAnalysis(), make_images(), checkpoint, **{**SHORT, "k": 1, "label": 2})

    assert "The generator is conditional: all images are of class 2." in result.notes
    assert {"sefa_effect", "pca_effect", "boundary_effect"} <= result.metrics.keys()


def test_what_is_not_there_is_refused_before_the_run(run, bulb, make_images):
    with pytest.raises(UnknownNameError, match="Unknown attribute 'smile'"):
        run(DirectionsAnalysis(), make_images(), bulb, **SHORT, attributes=["smile"])
    with pytest.raises(UnknownNameError, match="Unknown tap 'deconv9'"):
        run(DirectionsAnalysis(), make_images(), bulb, **SHORT, layer="deconv9")
    with pytest.raises(AnalysisError, match="k=17: the projection has 1 to 16 directions"):
        run(DirectionsAnalysis(), make_images(), bulb, **{**SHORT, "k": 17})
    with pytest.raises(AnalysisError, match=r"^k=17: latent vectors and activations give 1 to 16 directions"):
        run(DirectionsAnalysis(), make_images(), bulb, **{**SHORT, "k": 17, "methods": ["pca"]})
    with pytest.raises(AnalysisError, match=r"^k=20: latent vectors and activations give 1 to 15 directions"):
        run(DirectionsAnalysis(), make_images(), bulb, **{**SHORT, "k": 20, "samples": 16, "methods": ["pca"]})
    with pytest.raises(AnalysisError, match="Either end of the scores holds 3 of 60 samples"):
        run(DirectionsAnalysis(), make_images(), bulb, **SHORT, tail=0.05)
