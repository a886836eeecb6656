"""Networks conditioned on classes: labels one-hot, or embedded, beside or times what they are joined to."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.errors import CheckpointError

from .conftest import randn, scramble

CLASSES, Z = 10, 6


def unpadded(channels, latents):
    """A generator and a discriminator of 28 pixels without padding."""
    generator = nn.Sequential(
        nn.ConvTranspose2d(latents, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 4, 1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(),
        nn.ConvTranspose2d(4, 1, 4, 2), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(channels, 4, 4, 2), nn.BatchNorm2d(4), nn.LeakyReLU(0.2),
        nn.Conv2d(4, 8, 4, 2), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, 2),
    )  # fmt: skip
    return generator, discriminator


class Conditional(nn.Module):
    """A network with, or without, an embedding of labels beside it."""

    def __init__(self, model, embed, join):
        super().__init__()
        if embed is not None:
            self.embed = embed
        self.model = model
        self.join = join

    def forward(self, x, labels):
        """Join and go on."""
        return self.model(self.join(x, labels, getattr(self, "embed", None)))


def maps(labels, size=28):
    return labels[:, :, None, None].expand(-1, -1, size, size)


def one_hot(labels):
    return F.one_hot(labels, CLASSES).float()


# By name: (inputs of the discriminator, of the generator, their embeddings, how each is joined).
KINDS = {
    "one-hot": (
        1 + CLASSES, Z + CLASSES, None, None,
        lambda z, y, _: torch.cat([z, one_hot(y)], 1)[:, :, None, None],
        lambda x, y, _: torch.cat([x, maps(one_hot(y))], 1),
    ),
    "embedding beside z, a plane beside the image": (
        2, Z + 3, 3, 28 * 28,
        lambda z, y, e: torch.cat([z, e(y)], 1)[:, :, None, None],
        lambda x, y, e: torch.cat([x, e(y).view(-1, 1, 28, 28)], 1),
    ),
    "embedding times z, constant maps": (
        6, Z, Z, 5,
        lambda z, y, e: (z * e(y))[:, :, None, None],
        lambda x, y, e: torch.cat([x, maps(e(y))], 1),
    ),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def pair(request):
    channels, latents, first, second, join, judge = KINDS[request.param]
    generator, discriminator = unpadded(channels, latents)
    return tuple(
        scramble(Conditional(network, None if size is None else nn.Embedding(CLASSES, size), how))
        for network, size, how in ((generator, first, join), (discriminator, second, judge))
    )


@torch.no_grad()
def test_labels_go_in_where_shapes_say(pair, tmp_path, read):
    generator, discriminator = pair
    torch.save({"generator": generator.state_dict(), "discriminator": discriminator.state_dict()}, tmp_path / "x.pth")
    checkpoint = read(tmp_path / "x.pth")
    labels, z, images = torch.arange(12) % CLASSES, randn(12, Z), randn(12, 1, 28, 28)
    assert (checkpoint.architecture.classes, checkpoint.architecture.z_size) == (CLASSES, Z)
    torch.testing.assert_close(checkpoint.generator()(z, labels), generator(z, labels), rtol=1e-5, atol=1e-5)
    judged = checkpoint.discriminator()(images, labels)
    torch.testing.assert_close(judged, discriminator(images, labels).flatten(), rtol=1e-5, atol=1e-5)
    assert checkpoint.sample(3, 0, labels=torch.tensor([1, 1, 2])).shape == (3, 1, 28, 28)


@torch.no_grad()
def test_a_label_before_the_latent_vector_is_said(tmp_path, read):
    join = lambda z, y, e: torch.cat([e(y), z], 1)[:, :, None, None]  # noqa: E731
    generator = scramble(Conditional(unpadded(1, Z + 3)[0], nn.Embedding(CLASSES, 3), join))
    torch.save(generator.state_dict(), tmp_path / "netG.pth")
    checkpoint = read(tmp_path / "netG.pth", generator={"label_first": True})
    labels, z = torch.arange(12) % CLASSES, randn(12, Z)
    torch.testing.assert_close(checkpoint.generator()(z, labels), generator(z, labels), rtol=1e-5, atol=1e-5)


def test_classes_of_a_generator_alone_are_said(tmp_path, read):
    torch.save(scramble(unpadded(1, Z + CLASSES)[0]).state_dict(), tmp_path / "netG.pth")
    architecture = read(tmp_path / "netG.pth", classes=CLASSES).architecture
    assert (architecture.z_size, architecture.classes) == (Z, CLASSES)


def test_an_embedding_that_fits_nothing_is_refused_with_the_remedy(tmp_path, read):
    generator = Conditional(unpadded(1, Z)[0], nn.Embedding(CLASSES, 77), None)
    torch.save(generator.state_dict(), tmp_path / "netG.pth")
    with pytest.raises(CheckpointError, match=r"wrap\(generator=\.\.\., classes=\.\.\.\), or register_module_arch"):
        read(tmp_path / "netG.pth")
