"""Analyses of networks that tables of layers say, in the manner of three other libraries' usual DCGANs."""

from __future__ import annotations

import pytest

import dcgan_analysis as da
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.layers import layers

# TensorFlow: SAME padding, channels last, normalisation of units, biases everywhere.
TENSORFLOW = layers(
    generator=[
        {"name": "dense", "kind": "linear", "out": 128, "bias": True, "norm": "batch", "norm_eps": 0.001}
        | {"activation": "relu", "reshape": [8, 4, 4], "order": "hwc"},
        {"name": "deconv1", "kind": "deconv", "out": 6, "kernel": 5, "stride": 2, "padding": "same", "bias": True}
        | {"norm": "batch", "norm_eps": 0.001, "activation": "leaky_relu", "slope": 0.3},
        {"name": "deconv2", "kind": "deconv", "out": 3, "kernel": 5, "stride": 4, "padding": "same"}
        | {"activation": "tanh"},
    ],
    discriminator=[
        {"name": "conv1", "kind": "conv", "out": 6, "kernel": 5, "stride": 2, "padding": "same", "bias": True}
        | {"activation": "leaky_relu", "slope": 0.3},
        {"name": "conv2", "kind": "conv", "out": 8, "kernel": 5, "stride": 2, "padding": "same", "bias": True}
        | {"activation": "leaky_relu", "slope": 0.3},
        {"name": "logit", "kind": "linear", "out": 1, "bias": True, "order": "hwc", "activation": "sigmoid"},
    ],
    image_shape=(3, 32, 32),
    z_size=10,
)
# PyTorch: from 1x1 to 1x1 by convolutions, upsampling, normalisation after the activation, pooling.
PYTORCH = layers(
    generator=[
        {"name": "deconv1", "kind": "deconv", "out": 8, "kernel": 4, "padding": 0, "norm": "batch"}
        | {"activation": "relu"},
        {"name": "up", "kind": "upsample", "stride": 4, "mode": "bilinear"},
        {
            "name": "conv1",
            "kind": "conv",
            "out": 12,
            "kernel": 3,
            "norm": "batch",
            "norm_eps": 0.8,
            "activation": "elu",
        },
        {"name": "shuffle", "kind": "pixel_shuffle", "stride": 2},
        {"name": "conv2", "kind": "conv", "out": 3, "kernel": 3, "bias": True, "activation": "tanh"},
    ],
    discriminator=[
        {"name": "conv1", "kind": "conv", "out": 6, "kernel": 4, "stride": 2, "padding": 1, "activation": "leaky_relu"}
        | {"norm": "batch", "norm_eps": 0.8, "norm_after_activation": True},
        {"name": "pooled", "kind": "max_pool", "kernel": 2, "stride": 2},
        {"name": "conv2", "kind": "conv", "out": 8, "kernel": 3, "norm": "instance", "activation": "prelu"},
        {"name": "conv3", "kind": "conv", "out": 1, "kernel": 8, "padding": 0},
    ],
    image_shape=(3, 32, 32),
    z_size=10,
)
NETWORKS = {"tensorflow": TENSORFLOW, "pytorch": PYTORCH}


@pytest.fixture(params=NETWORKS)
def foreign(request):
    checkpoint = Checkpoint.random(NETWORKS[request.param], seed=1, name=request.param)
    # Weights as large as trained ones: the images of fresh ones hardly differ.
    for name, tensor in checkpoint.weights["generator"].items():
        if name.endswith("operation.weight"):
            tensor.mul_(10)
    return checkpoint


def test_features_are_probed_layer_by_layer(run, foreign):
    settings = {"C": (1e3,), "twin": False, "labels_per_class": 0}
    result = run("svm-cifar", da.load_dataset("digits"), checkpoint=foreign, limit=60, **settings)
    table = next(table for table in result.tables if table.name == "layers")
    first, second = foreign.architecture.taps
    assert [row[:2] for row in table.rows] == [[first, 96], [second, 128], ["all layers", 224]]
    assert result.metrics["accuracy"].value > 0.2


def test_latent_space_is_walked(run, foreign):
    result = run("latent-walk", None, checkpoint=foreign, points=3, steps=3, walks=1, bank=4)
    assert result.metrics["roughness"].n == 2


def test_filters_are_traced_back_to_pixels(run, foreign):
    settings = {"features": (0, 3), "top": 2, "measured": 3, "noise_draws": 1}
    result = run("guided-backprop", da.load_dataset("digits"), checkpoint=foreign, limit=30, **settings)
    assert f"on {foreign.architecture.taps[-1]} of" in result.title
    assert 0 < result.metrics["concentration"].value <= 1
