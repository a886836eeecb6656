from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.errors import CheckpointError
from dcgan_analysis.latents import perceptual
from dcgan_analysis.latents.perceptual import PerceptualEmbedding, discriminator_embedding, vgg19_embedding

CPU = torch.device("cpu")


def noise(n, size=32):
    return np.random.default_rng(0).integers(0, 256, (n, 3, size, size), dtype=np.uint8)


def test_distances_are_those_of_unit_vectors_at_each_position():
    network = torch.nn.Identity()
    outer = torch.nn.Sequential(network)
    embed = PerceptualEmbedding(outer, ["0"], lambda images: torch.from_numpy(images).float(), CPU)
    # Channels (3, 0) and (0, 4) at one of two positions: orthogonal unit vectors there, equal ones at the other.
    images = np.array([[[[3, 1]], [[0, 1]]], [[[0, 2]], [[4, 2]]]], np.uint8)
    rows = embed(images)
    assert float((rows[0] - rows[1]).square().sum()) == pytest.approx(2 / 2)


def test_equal_images_have_distance_zero_and_batches_change_nothing(tiny_checkpoint):
    network, images = tiny_checkpoint.discriminator(), noise(5)
    embed = discriminator_embedding(network, tiny_checkpoint.architecture, CPU)
    torch.testing.assert_close(embed(images)[3:], embed(images[3:]), atol=1e-5, rtol=1e-4)
    pooled = discriminator_embedding(network, tiny_checkpoint.architecture, CPU, grid=4)
    assert pooled(images).shape[1] < embed(images).shape[1]
    assert not any(module._forward_hooks for module in network.modules())


def test_absent_vgg_weights_are_named_and_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"VGG-19's weights are not in torch's hub cache: .*vgg19-dcbb9e9d\.pth"):
        vgg19_embedding(CPU)


def test_vgg_weights_in_the_cache_are_used(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torchvision.models.vgg.cfgs", {"E": [8, 8, "M"] * 2})
    monkeypatch.setattr(perceptual, "_VGG19_TAPS", ("3", "8"))
    from torchvision.models.vgg import make_layers

    layers = make_layers([8, 8, "M"] * 2)
    (tmp_path / "checkpoints").mkdir()
    state = {f"features.{name}": value for name, value in layers.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2)}, tmp_path / "checkpoints" / perceptual.VGG19_FILE)
    rows = vgg19_embedding(CPU)(noise(2))
    assert rows.shape == (2, 8 * 32 * 32 + 8 * 16 * 16)
    assert float((rows[0] - rows[1]).norm()) > 0


def test_damaged_vgg_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "checkpoints" / perceptual.VGG19_FILE)
    with pytest.raises(CheckpointError, match="cannot be used"):
        vgg19_embedding(CPU)
