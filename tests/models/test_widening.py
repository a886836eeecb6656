"""Networks that begin as narrower ones."""

from __future__ import annotations

import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models import tables
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.layers import layers
from dcgan_analysis.models.widening import widen, widening_obstacle


def layered(width):
    """Networks of many kinds of layers."""
    return layers(
        generator=[
            Layer("seed", "deconv", width, 4, padding=0, bias=True, batchnorm=False, activation="relu"),
            Layer("fill", "conv", 4 * width, 3, norm="instance", activation="elu"),
            Layer("grow", "pixel_shuffle", 0, stride=2),
            Layer("image", "conv", 1, 3, bias=True, batchnorm=False, activation="tanh"),
        ],
        discriminator=[
            Layer("conv1", "conv", width, 3, 2, padding="same", bias=True, activation="prelu"),
            Layer("pooled", "average_pool", 0, 2, 2),
            Layer("logit", "linear", 1, bias=True, batchnorm=False),
        ],
        image_shape=(1, 8, 8),
        z_size=7,
    )


PAIRS = {
    "layers": (layered(3), layered(5)),
    "dcgan32": (tables.dcgan32(width=3, z_size=7), tables.dcgan32(width=5, z_size=7)),
    "dcgan32-svhn": (tables.dcgan32_svhn(width=3, z_size=7), tables.dcgan32_svhn(width=4, z_size=7)),
    "maps normalised": (
        tables.dcgan64_4x4(width=2, generator_width=3, z_size=7),
        tables.dcgan64_4x4(width=3, generator_width=3, z_size=7),
    ),
    "labels at every layer": (
        tables.dcgan28_conditional(width=3, hidden=6, image_size=8, z_size=7),
        tables.dcgan28_conditional(width=4, hidden=11, image_size=8, z_size=7),
    ),
    "fully connected": (
        tables.mlp_conditional(width=6, image_size=8, z_size=7),
        tables.mlp_conditional(width=9, image_size=8, z_size=7),
    ),
}


def _networks(narrow, wide):
    """Both networks of each width, by role; the wide ones widened from the narrow ones."""
    few, many = Checkpoint.random(narrow, seed=1), Checkpoint.random(wide, seed=2)
    for checkpoint in (few, many):
        # Statistics and shifts unlike those of a fresh network, so that a wrong place would show.
        source = torch.Generator().manual_seed(3)
        for weights in checkpoint.weights.values():
            for name, tensor in weights.items():
                if "norm" in name and tensor.dim():
                    tensor.copy_(torch.rand(tensor.shape, generator=source) + 0.5)
    pairs = {}
    for role in ("generator", "discriminator"):
        state = widen(few.weights[role], many.weights[role], wide, role)
        network, widened = (getattr(each, role)() for each in (narrow, wide))
        network.load_state_dict(few.weights[role])
        widened.load_state_dict(state)
        pairs[role] = network, widened
    return pairs


@pytest.mark.parametrize("training", [True, False], ids=["batch statistics", "running statistics"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_widened_network_computes_what_the_narrow_one_does(name, training):
    narrow, wide = PAIRS[name]
    source = torch.Generator().manual_seed(0)
    z = torch.rand((6, narrow.z_size), generator=source)
    images = torch.rand((6, *narrow.image_shape), generator=source)
    labels = (torch.arange(6) % narrow.classes,) if narrow.classes else ()

    for role, (network, widened) in _networks(narrow, wide).items():
        inputs = z if role == "generator" else images
        with torch.no_grad():
            expected = network.train(training)(inputs, *labels)
            found = widened.train(training)(inputs, *labels)
        assert expected.std() > 0
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_added_maps_are_random_and_listened_to_after_one_update():
    narrow, wide = PAIRS["dcgan32-svhn"]
    _, network = _networks(narrow, wide)["discriminator"]
    unread = network.conv2.operation.weight.detach()[:6, 3:]
    assert unread.shape[1] == 1
    assert not unread.any()
    assert network.conv2.operation.weight.detach()[6:].std() > 0.01

    images = torch.rand((4, *wide.image_shape), generator=torch.Generator().manual_seed(0))
    torch.autograd.backward(network(images).sum())

    assert (network.conv2.operation.weight.grad[:6, 3:] != 0).all()


@pytest.mark.parametrize(
    "other",
    [
        tables.dcgan32(width=2, z_size=7),
        tables.dcgan32(width=5, z_size=8),
        tables.dcgan32(width=5, z_size=7, image_channels=1),
        tables.dcgan32(width=5, z_size=7, batchnorm_eps=1e-3),
        tables.dcgan32_svhn(width=5, z_size=7),
    ],
    ids=["narrower", "longer latent vectors", "other images", "other batch normalisation", "other layers"],
)
def test_what_is_not_just_wider_cannot_be_widened_to(other):
    assert widening_obstacle(tables.dcgan32(width=3, z_size=7), other)


def test_networks_without_a_layer_table_cannot_be_widened():
    from dataclasses import replace

    narrow, wide = (replace(each, generator_layers=(), discriminator_layers=()) for each in PAIRS["dcgan32"])
    assert widening_obstacle(narrow, wide)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"norm": "group", "norm_groups": 1}, "layer 'hidden' has group normalisation, which more maps would change"),
        (
            {"order": "hwc", "norm": "none"},
            "layer 'hidden' flattens maps with channels last, where",
        ),
        ({"bias": True, "norm": "none"}, ""),
    ],
)
def test_layers_that_more_maps_would_change_are_named(fields, message):
    narrow, wide = (
        layers(
            discriminator=[Layer("hidden", "linear", units, **fields), Layer("logit", "linear", 1, norm="none")],
            generator=[Layer("image", "linear", 4, norm="none", reshape=(1, 2, 2))],
            image_shape=(1, 2, 2),
        )
        for units in (3, 4)
    )
    obstacle = widening_obstacle(narrow, wide)
    assert obstacle.startswith(message)
    assert bool(obstacle) == bool(message)
