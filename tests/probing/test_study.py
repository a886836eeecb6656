from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.probing.classification import labelled_images
from dcgan_analysis.probing.few_labels import make_draws
from dcgan_analysis.probing.grids import grid_table
from dcgan_analysis.probing.study import FeatureSettings, ProbeSettings, extract_features, run_study


@dataclass
class Choice:
    c: float
    cs: np.ndarray
    validation: np.ndarray


@pytest.fixture
def images(dcgan_context):
    return labelled_images(dcgan_context)


def features(images):
    """Features that say the class of each training and test image."""
    says = np.eye(3, dtype=np.float32)
    return {"toy": (says[images.labels], says[images.test_labels])}


def test_features_that_say_the_class_are_always_right(dcgan_context, images):
    draws = make_draws(images, 4, dcgan_context, choosing=1, tested=2)
    settings = ProbeSettings(C=(1e-2, 1.0))
    studies = run_study(dcgan_context, settings, features(images), images, draws)
    assert images.correct(studies.predictions["toy"]) == 30
    assert studies.few_label_probes["toy"].accuracies == [1, 1]
    metrics = studies.metrics("toy", prefix="p_", layers="conv1", published=(0.5, None), source="a paper")
    assert {name: metric.value for name, metric in metrics.items()} == {"p_accuracy": 1, "p_few_label_accuracy": 1}
    assert (metrics["p_accuracy"].published, metrics["p_accuracy"].source) == (0.5, "a paper")
    assert metrics["p_few_label_accuracy"].source is None
    assert [table.name for table in studies.tables()] == ["classes", "grid"]
    studies.save(dcgan_context)
    for name, shape in (("predictions", (30,)), ("draws", (2, 30))):
        with np.load(dcgan_context.output_dir / f"{name}.npz") as file:
            assert (file["toy"] == np.broadcast_to(images.test_labels, shape)).all()


def test_without_draws_there_is_no_few_label_probe(dcgan_context, images):
    draws = make_draws(images, 0, dcgan_context, choosing=1, tested=1)
    settings = ProbeSettings(C=(1.0,))
    studies = run_study(dcgan_context, settings, features(images), images, draws)
    assert list(studies.metrics("toy")) == ["accuracy"]
    studies.save(dcgan_context)
    assert [path.name for path in dcgan_context.output_dir.glob("*.npz")] == ["predictions.npz"]


def test_features_follow_the_settings(dcgan_context, images):
    settings = FeatureSettings(grid=2, dtype="float32", batchnorm="running")
    train, test = extract_features(dcgan_context, settings, "tiny", dcgan_context.checkpoint, images)
    # Width 8: 8 + 8 + 16 + 16 + 32 + 32 maps, each 2x2.
    assert (train.rows().shape, test.rows().shape) == ((60, 112 * 4), (30, 112 * 4))
    assert str(train.rows().dtype) == "torch.float32"


def test_the_grid_is_shown_as_accuracy_or_as_error():
    choices = {
        "a": Choice(0.1, np.array([0.1, 1]), np.array([0.75, 0.5])),
        "b": Choice(1, np.array([0.1, 1]), np.array([0, 1])),
    }
    assert grid_table(choices).rows == [[0.1, 0.75, 0], [1, 0.5, 1]]
    assert grid_table(choices, "error").rows == [[0.1, 0.25, 1], [1, 0.5, 0]]
    assert grid_table(choices, "error").title == "Held-out error against C"


@pytest.mark.parametrize(("shift", "batchnorm"), [(0.0, "running"), (0.5, "running"), (0.5, "reestimated")])
def test_features_that_are_the_same_for_every_image_are_refused(dcgan_context, images, shift, batchnorm):
    weights = {name: tensor.clone() for name, tensor in dcgan_context.checkpoint.weights["discriminator"].items()}
    for name, tensor in weights.items():
        if name.endswith("operation.weight"):
            tensor.zero_()
        if name.endswith("norm.bias"):
            tensor.fill_(shift)
    blind = replace(dcgan_context.checkpoint, weights={"discriminator": weights})
    settings = FeatureSettings(batchnorm=batchnorm)
    with pytest.raises(AnalysisError, match=r"^blind: features do not depend on the image: over \d+ images") as caught:
        extract_features(dcgan_context, settings, "blind", blind, images)
    assert ("the setting batchnorm=reestimated" in str(caught.value)) == (batchnorm == "running")
