from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.svm_cifar.layers import (
    LayerProbe,
    layer_scales,
    layers_table,
    probe_layers,
    save_layers,
    used_layers_table,
)

from dcgan_analysis.probing.classification import labelled_images
from dcgan_analysis.probing.few_labels import Draws
from dcgan_analysis.probing.grids import GridSettings
from dcgan_analysis.probing.study import ProbeSettings, run_study

TAPS = {"blind": slice(0, 2), "seeing": slice(2, 5)}


@pytest.fixture
def images(dcgan_context):
    return labelled_images(dcgan_context)


def store(labels):
    """Features of two layers: the first is constant, the second says the class."""
    features = np.concatenate([np.ones((len(labels), 2)), np.eye(3)[labels]], axis=1).astype(np.float32)
    return SimpleNamespace(taps=TAPS, rows=lambda columns=slice(None): features[:, columns])


def test_each_layer_is_judged_by_its_own_features(dcgan_context, images):
    stores = store(images.labels), store(images.test_labels)
    found = probe_layers(dcgan_context, GridSettings(C=(1e-2, 1.0)), "toy", *stores, images)
    assert {tap: one.features for tap, one in found.items()} == {"blind": 2, "seeing": 3}
    assert images.correct(found["seeing"].probe.predictions) == 30
    assert len(set(found["blind"].probe.predictions)) == 1


def test_a_small_layer_that_says_the_class_is_found_when_layers_are_scaled(dcgan_context, images):
    """Planted: the class stands in features a thousandth as large as those of another layer, which are noise."""
    rng = np.random.default_rng(0)

    def planted(labels):
        noise, signal = rng.normal(size=(len(labels), 40)), 1e-3 * np.eye(3)[labels]
        rows = torch.from_numpy(np.concatenate([noise, signal], axis=1)).float()
        return SimpleNamespace(taps={"loud": slice(0, 40), "quiet": slice(40, 43)}, rows=lambda: rows)

    train, test = planted(images.labels), planted(images.test_labels)
    scales = layer_scales({"toy": (train, test)})
    features = {"toy": (train.rows(), test.rows()), "scaled": tuple(scales["toy"](one.rows()) for one in (train, test))}
    settings = ProbeSettings(protocol="paper", labels_per_class=0)
    studies = run_study(dcgan_context, settings, features, images, Draws(0, [], []))
    right = {name: images.correct(predicted) / len(images.test) for name, predicted in studies.predictions.items()}
    assert right["toy"] < 0.6
    assert right["scaled"] > 0.9
    loud, quiet = used_layers_table(train.taps, scales, studies.weights).rows
    assert (loud[0], quiet[0]) == ("loud", "quiet")
    assert (loud[1], quiet[1]) == (pytest.approx(1, abs=0.1), pytest.approx(1e-3 / 3**0.5))
    # As they are, the SVM does not use the layer that knows.
    assert quiet[2] < 0.1 * loud[2]
    assert quiet[3] > loud[3]


def test_the_table_ends_with_all_layers_together(dcgan_context, images):
    def judged(right):
        predictions = images.test_labels.copy()
        predictions[right:] = (predictions[right:] + 1) % 3
        return SimpleNamespace(c=0.1, validation=np.array([0.25, 0.5]), predictions=predictions)

    table = layers_table(images, {"a": LayerProbe(2, judged(15)), "b": LayerProbe(3, judged(24))}, judged(30))
    assert [row[:5] for row in table.rows] == [
        ["a", 2, 0.1, 0.5, 0.5],
        ["b", 3, 0.1, 0.5, 0.8],
        ["all layers", 5, 0.1, 0.5, 1.0],
    ]
    save_layers(dcgan_context, table)
    assert (dcgan_context.output_dir / "figures" / "layers.png").stat().st_size
