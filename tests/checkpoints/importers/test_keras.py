"""Keras files written here as Keras writes them, against its arithmetic written out in NumPy."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import torch

from dcgan_analysis.errors import CheckpointError

RNG = np.random.default_rng(0)


def _config(name, layers):
    entries = [{"class_name": kind, "config": {"name": own, **config}} for kind, own, config in layers]
    return json.dumps({"class_name": "Sequential", "config": {"name": name, "layers": entries}})


def _write(path, name, layers, arrays):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = _config(name, layers)
        group = file.create_group("model_weights")
        for layer, values in arrays.items():
            own = group.create_group(layer)
            own.attrs["weight_names"] = np.array([f"{layer}/{leaf}:0".encode() for leaf in values])
            for leaf, value in values.items():
                own[f"{layer}/{leaf}:0"] = value.astype(np.float32)


def _conv_same(x, kernel, stride):
    """TensorFlow's SAME: the odd zero goes to the right and to the bottom. x (N, H, W, C), kernel (h, w, in, out)."""
    n, height, width, _ = x.shape
    k = kernel.shape[0]
    out = -(-height // stride)
    total = max((out - 1) * stride + k - height, 0)
    before = total // 2
    padded = np.pad(x, ((0, 0), (before, total - before), (before, total - before), (0, 0)))
    result = np.zeros((n, out, -(-width // stride), kernel.shape[3]))
    for i in range(result.shape[1]):
        for j in range(result.shape[2]):
            patch = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
            result[:, i, j] = np.tensordot(patch, kernel, axes=([1, 2, 3], [0, 1, 2]))
    return result


def _deconv_same(x, kernel, stride):
    """The gradient of that: kernel (h, w, out, in)."""
    n, height, width, _ = x.shape
    k = kernel.shape[0]
    full = np.zeros((n, (height - 1) * stride + k, (width - 1) * stride + k, kernel.shape[2]))
    for i in range(height):
        for j in range(width):
            full[:, i * stride : i * stride + k, j * stride : j * stride + k] += np.tensordot(
                x[:, i, j], kernel, ([1], [3])
            )
    before = (k - stride) // 2
    return full[:, before : before + height * stride, before : before + width * stride]


def _norm(x, gamma, beta, mean, variance):
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def _leaky(x, slope=0.3):
    return np.where(x > 0, x, slope * x)


def _batch(size):
    values = {leaf: RNG.normal(0.5, 0.3, size) for leaf in ("gamma", "beta", "moving_mean")}
    return {**values, "moving_variance": RNG.uniform(0.5, 2, size)}


def test_a_generator_with_same_padding_and_channels_last_maps_is_the_same(tmp_path, read):
    dense, norm = RNG.normal(0, 0.3, (5, 7 * 7 * 4)), _batch(7 * 7 * 4)
    up, last = RNG.normal(0, 0.2, (5, 5, 3, 4)), RNG.normal(0, 0.2, (4, 4, 1, 3))
    bias = RNG.normal(0, 0.1, 1)
    layers = [
        ("Dense", "dense", {"units": 196, "use_bias": False, "batch_input_shape": [None, 5]}),
        ("BatchNormalization", "bn", {"axis": [1], "epsilon": 0.001}),
        ("LeakyReLU", "leaky", {"alpha": 0.30000001192092896}),
        ("Reshape", "reshape", {"target_shape": [7, 7, 4]}),
        ("Conv2DTranspose", "up", {"strides": [2, 2], "padding": "same", "use_bias": False, "activation": "relu"}),
        ("Conv2DTranspose", "last", {"strides": [2, 2], "padding": "same", "activation": "tanh"}),
    ]
    arrays = {
        "dense": {"kernel": dense},
        "bn": norm,
        "up": {"kernel": up},
        "last": {"kernel": last, "bias": bias},
    }
    _write(tmp_path / "generator.h5", "generator", layers, arrays)
    checkpoint = read(tmp_path / "generator.h5")
    z = RNG.normal(size=(3, 5))
    units = _leaky(_norm(z @ dense, *norm.values())).reshape(3, 7, 7, 4)
    expected = np.tanh(_deconv_same(np.maximum(_deconv_same(units, up, 2), 0), last, 2) + bias)
    with torch.no_grad():
        images = checkpoint.generator()(torch.from_numpy(z).float()).permute(0, 2, 3, 1).numpy()
    assert checkpoint.architecture.image_shape == (1, 28, 28)
    assert np.abs(images - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_discriminator_flattens_by_channels_last(tmp_path, read):
    first, second = RNG.normal(0, 0.2, (5, 5, 1, 4)), RNG.normal(0, 0.2, (5, 5, 4, 6))
    norm, dense = _batch(6), RNG.normal(0, 0.2, (7 * 7 * 6, 1))
    layers = [
        (
            "Conv2D",
            "first",
            {"strides": [2, 2], "padding": "same", "use_bias": False, "batch_input_shape": [None, 28, 28, 1]},
        ),
        ("LeakyReLU", "l1", {"negative_slope": 0.2}),
        ("Dropout", "drop", {"rate": 0.3}),
        ("Conv2D", "second", {"strides": [2, 2], "padding": "same", "use_bias": False}),
        ("BatchNormalization", "bn", {"axis": [3]}),
        ("LeakyReLU", "l2", {}),
        ("Flatten", "flatten", {}),
        ("Dense", "dense", {"units": 1, "use_bias": False, "activation": "sigmoid"}),
    ]
    arrays = {"first": {"kernel": first}, "second": {"kernel": second}, "bn": norm, "dense": {"kernel": dense}}
    _write(tmp_path / "d.h5", "critic", layers, arrays)
    images = RNG.uniform(-1, 1, (3, 28, 28, 1))
    maps = _leaky(_norm(_conv_same(_leaky(_conv_same(images, first, 2), 0.2), second, 2), *norm.values()))
    expected = (maps.reshape(3, -1) @ dense).ravel()
    with torch.no_grad():
        logits = read(tmp_path / "d.h5").discriminator()(torch.from_numpy(images).float().permute(0, 3, 1, 2)).numpy()
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (("Lambda", "code", {}), r"layer 'code' is of class Lambda: Lambda layers hold code, which is not run\."),
        (
            ("SeparableConv2D", "sep", {}),
            r"layer 'sep' is of class SeparableConv2D, which a table of layers cannot say",
        ),
    ],
)
def test_layers_that_no_table_can_say_are_refused_by_name(layer, message, tmp_path, read):
    _write(tmp_path / "g.h5", "g", [layer], {})
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path / "g.h5")
