from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from dcgan_analysis_plugins.svm_cifar.layers import LayerProbe, layers_table, probe_layers, save_layers

from dcgan_analysis.probing.classification import labelled_images
from dcgan_analysis.probing.grids import GridSettings

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
