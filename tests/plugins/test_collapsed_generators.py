"""A generator that makes one image: no analysis of samples passes it."""

from __future__ import annotations

import pytest

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.host.host import default_host
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32


def one_image(architecture):
    """A checkpoint whose generator ignores the latent vector, and the class where there is one."""
    checkpoint = Checkpoint.random(architecture, seed=0, name="one")
    first = architecture.generator_layers[0].name
    for name, tensor in checkpoint.weights["generator"].items():
        if name.startswith(first) and name.endswith("operation.weight"):
            tensor.mul_(1e-9)
    return checkpoint


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("latent-walk", {}),
        ("latent-arithmetic", {"classifier_steps": 2}),
        ("turn-vector", {"classifier_steps": 2}),
        ("directions", {"classifier_steps": 2}),
        ("memorisation", {}),
        ("invert", {}),
        ("dissect", {"boxes": "rule:bright"}),
        ("filter-dropout", {"boxes": "rule:bright"}),
    ],
)
def test_a_generator_that_makes_one_image_passes_no_analysis(run, make_images, name, settings):
    with pytest.raises(AnalysisError, match=r"^The generator of 'one' makes one image whatever the latent vector"):
        run(default_host().analysis(name), make_images(), checkpoint=one_image(dcgan32(width=4)), **settings)


def test_nor_does_one_image_of_each_class_pass_mnist_nn(run, make_images):
    architecture = dcgan28_conditional(width=2, hidden=8, image_size=32, z_size=5, classes=3, image_channels=3)
    checkpoint = one_image(architecture)
    with pytest.raises(AnalysisError, match=r"^The generator of 'one' makes one image whatever the latent vector"):
        run(default_host().analysis("mnist-nn"), make_images(), checkpoint=checkpoint, samples=10)
