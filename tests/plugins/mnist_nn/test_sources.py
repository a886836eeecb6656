from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.mnist_nn.elastic import ElasticSamples, deform, smooth
from dcgan_analysis_plugins.mnist_nn.folded import faster_copy
from dcgan_analysis_plugins.mnist_nn.generated import GeneratedSamples
from dcgan_analysis_plugins.mnist_nn.images import ImageSamples
from dcgan_analysis_plugins.mnist_nn.source import BLOCK, Remembered, take
from torch import nn

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import AnalysisError, DatasetError
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32, dcgan64_4x4, mlp_conditional

CPU = torch.device("cpu")


@pytest.fixture
def sources(conditional, split):
    def make(seed=0):
        return {
            "generator": GeneratedSamples(conditional, seed, CPU),
            "elastic": ElasticSamples(split, seed, alpha=8.0, sigma=2.0),
            "images": ImageSamples(split, seed),
        }

    return make


@pytest.mark.parametrize("kind", ["generator", "elastic", "images"])
def test_a_sample_is_the_same_whoever_asks_and_when(sources, kind):
    first, again, other = sources()[kind], sources()[kind], sources(seed=1)[kind]
    if first.size is None:
        first.images(7)  # what was made before does not matter
    wanted = [3, 0, 9] if first.size else [BLOCK + 3, 2, 5 * BLOCK]
    np.testing.assert_array_equal(take(first, wanted), take(again, wanted))
    assert (take(other, wanted) != take(again, wanted)).any()
    assert again.identity == first.identity != other.identity


@pytest.mark.parametrize("kind", ["generator", "elastic"])
def test_the_classes_take_turns_so_that_they_are_balanced(sources, kind):
    source = sources()[kind]
    assert source.labels(np.arange(7)).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert np.bincount(source.labels(np.arange(999))).tolist() == [333, 333, 333]


def test_samples_are_those_of_the_network_for_their_class_rounded_to_bytes(conditional):
    source = GeneratedSamples(conditional, 0, CPU)
    z = []
    source._sampler.generator.register_forward_pre_hook(lambda _, inputs: z.append(inputs))
    images = source.images(2)
    (latents, labels) = z[0]
    assert labels.tolist() == [(2 * BLOCK + k) % 3 for k in range(BLOCK)]
    assert -1 <= latents.min() < -0.9 < 0.9 < latents.max() <= 1
    with torch.no_grad():
        expected = conditional.generator()(latents, labels) * 255
    assert np.abs(images - expected.numpy()).max() <= 0.501


ARCHITECTURES = {
    "conditional": dcgan28_conditional(width=12, hidden=8),
    "conditional with scale and shift": dcgan28_conditional(width=4, hidden=8, batchnorm_affine=True),
    "one class": dcgan28_conditional(width=4, hidden=8, classes=1),
    "fully connected": mlp_conditional(width=16),
    "unconditional": dcgan32(width=4, z_size=10),
    "batch normalisation of maps": dcgan64_4x4(width=2, generator_width=2, z_size=10),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_faster_copy_gives_the_same_images_and_leaves_the_network_alone(name):
    architecture = ARCHITECTURES[name]
    network = Checkpoint.random(architecture, 3).generator()
    source = torch.Generator().manual_seed(1)
    for key, tensor in network.state_dict().items():
        if key.endswith(("running_var", "norm.weight", "norm.bias")):
            tensor.copy_(torch.rand(tensor.shape, generator=source) + 0.5)
        elif tensor.dim() > 1:  # fresh weights make images that are all alike
            tensor.mul_(10)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    copied = faster_copy(network)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in copied.modules())
    # More images than pass the convolutions at a time.
    z = torch.rand(52, architecture.z_size, generator=source)
    labels = torch.arange(52) % architecture.classes if architecture.classes else None
    with torch.no_grad():
        images = network(z, labels)
        torch.testing.assert_close(copied(z, labels), images, atol=1e-5, rtol=1e-5)
        assert images.std(0).max() > 0.01
        assert torch.equal(network(z, labels), images)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_a_network_of_other_modules_is_copied_as_it_is():
    network = nn.Sequential(nn.ConvTranspose2d(3, 12, 5), nn.BatchNorm2d(12)).eval()
    copied = faster_copy(network)
    assert [type(module) for module in copied] == [nn.ConvTranspose2d, nn.BatchNorm2d]
    assert copied is not network


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"output_padding": 0}, {"kernel_size": (4, 3)}])
def test_a_deconvolution_to_few_maps_is_the_one_of_torch(options):
    settings = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1} | options
    layer = nn.ConvTranspose2d(6, 2, **settings)
    x = torch.rand(3, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(faster_copy(nn.Sequential(layer))(x), layer(x), atol=1e-6, rtol=1e-5)


def test_an_unconditional_generator_is_refused():
    checkpoint = Checkpoint.random(dcgan32(width=4), 0, "plain")
    with pytest.raises(AnalysisError, match=r"'plain' has an unconditional generator \(architecture 'dcgan32'\)"):
        GeneratedSamples(checkpoint, 0, CPU)


def test_images_of_a_split_come_once_each_and_classes_take_turns_as_long_as_they_last(split):
    source = ImageSamples(split, seed=0)
    assert source.labels(np.arange(11)).tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0]
    images = take(source, np.arange(11))
    assert sorted(images[:, 0, 0, 0].tolist()) == list(range(10, 120, 10))
    for image, label in zip(images, source.labels(np.arange(11)), strict=True):
        assert split.labels[image[0, 0, 0] // 10 - 1] == label


def test_deformed_samples_without_deformation_are_images_of_their_class(split):
    source = ElasticSamples(split, 0, shift=0, alpha=0.0)
    levels = source.images(0)[:, 0]
    assert (levels == levels[:, :1, :1]).all()
    assert (split.labels[levels[:, 0, 0] // 10 - 1] == source.labels(np.arange(BLOCK))).all()


def test_every_deformed_sample_is_bent_in_its_own_way():
    from dcgan_analysis.data.dataset import DatasetSplit

    disc = (np.hypot(*np.mgrid[-8:8, -8:8]) < 5).astype(np.uint8)[None, None] * 255
    split = DatasetSplit(disc, np.zeros(1, np.int64), ["disc"], classes=["disc"])
    images = ElasticSamples(split, 0, shift=1, alpha=8.0, sigma=2.0).images(0)
    assert len(np.unique(images.reshape(BLOCK, -1), axis=0)) == BLOCK
    # Bent, but discs still: as much ink as before, give or take, and the centre is always covered.
    assert np.abs(images.mean((1, 2, 3)) / disc.mean() - 1).max() < 0.6
    assert images[:, 0, 8, 8].min() == 255


def test_a_field_says_where_a_pixel_is_taken_from():
    image = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4)
    down = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    assert deform(image, down)[0, 0].tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [0, 0, 0, 0]]
    assert torch.equal(deform(image, torch.zeros(1, 2, 3, 4)), image)


@pytest.mark.parametrize(("shape", "sigma"), [((28, 20), 4.0), ((5, 9), 4.0), ((8, 8), 0.7), ((1, 4), 2.0)])
def test_fields_are_smoothed_as_torchvision_does(shape, sigma):
    from torchvision.transforms.v2.functional import gaussian_blur

    noise = torch.rand(3, 2, *shape, generator=torch.Generator().manual_seed(0))
    sides = [2 * min(int(np.ceil(3 * sigma)), length - 1) + 1 for length in reversed(shape)]
    torch.testing.assert_close(smooth(noise, sigma), gaussian_blur(noise, sides, [sigma, sigma]))


def test_first_blocks_are_made_once(sources):
    made = []
    source = sources()["generator"]

    class Counting:
        size, identity = None, source.identity

        def images(self, number):
            made.append(number)
            return source.images(number)

        def labels(self, indices):
            return source.labels(indices)

    remembered = Remembered(Counting(), BLOCK + 1)
    for number in (0, 1, 2, 0, 1, 2):
        np.testing.assert_array_equal(remembered.images(number), source.images(number))
    assert made == [0, 1, 2, 2]
    assert remembered.labels(np.array([4])).tolist() == [1]


def test_a_class_without_images_is_refused_by_its_name(split):
    with pytest.raises(DatasetError, match="Class 'c' has no image in grays"):
        ImageSamples(split.take(split.labels != 2), 0)
