from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dcgan_analysis.errors import ArchitectureError, ConfigError, UnknownNameError
from dcgan_analysis.features.extractor import FeatureExtractor, FeatureSpec
from dcgan_analysis.models import tables
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.initialisation import initialise

CPU = torch.device("cpu")


@pytest.fixture
def extractor(tiny, network):
    """Make an extractor of the tiny network; keyword arguments are settings."""

    def make(**settings):
        spec = FeatureSpec(**({"batchnorm": "running", "precision": "float32"} | settings))
        return FeatureExtractor(network, tiny, spec, CPU)

    return make


@torch.no_grad()
def plain_features(network, images, taps, grid=4):
    """The features by the shortest way: forward in eval mode, adaptive pooling, joined."""
    network = copy.deepcopy(network).eval()
    with capture(network, taps) as outputs:
        network(images)
    pooled = [nn.functional.adaptive_max_pool2d(outputs[tap], min(grid, outputs[tap].shape[-1])) for tap in taps]
    return torch.cat([maps.flatten(1) for maps in pooled], dim=1)


def test_features_are_pooled_activations_tap_by_tap(extractor, network, images):
    features = extractor()(images)

    torch.testing.assert_close(features, plain_features(network, images, ["conv1", "conv2", "conv3"]))


@pytest.mark.parametrize("width", [4, 8])
def test_a_trace_of_dcgan32_gives_224_features_per_map_of_width(width):
    architecture = tables.dcgan32(width=width)
    network = architecture.discriminator()
    initialise(network, torch.Generator().manual_seed(0))
    extractor = FeatureExtractor(network, architecture, FeatureSpec(batchnorm="running"), CPU)

    # 28,672 = 224 x 128.
    assert extractor.size == 224 * width
    assert extractor(torch.zeros(1, 3, 32, 32)).shape == (1, 224 * width)


def test_columns_say_which_features_are_a_taps(extractor, network, images):
    both, last = extractor(taps=("conv3", "conv1")), extractor(taps=("conv1",))

    assert both.columns() == {"conv3": slice(0, 8 * 4), "conv1": slice(8 * 4, 8 * 4 + 4 * 16)}
    assert both.size == 8 * 4 + 4 * 16
    assert torch.equal(both(images)[:, both.columns()["conv1"]], last(images))


def test_the_grid_is_a_setting(extractor, network, images):
    features = extractor(grid=2)(images)

    torch.testing.assert_close(features, plain_features(network, images, ["conv1", "conv2", "conv3"], grid=2))
    assert extractor(grid=2).size == (4 + 6 + 8) * 4


def test_the_logit_can_be_tapped(extractor, network, images):
    with torch.no_grad():
        expected = network.eval()(images)[:, None]

    torch.testing.assert_close(extractor(taps=("logit",))(images), expected)


def test_a_tap_before_batchnorm_gives_the_output_before_batchnorm(extractor, network, images):
    features = extractor(taps=("conv2.operation", "conv2.norm"))(images)

    torch.testing.assert_close(features, plain_features(network, images, ["conv2.operation", "conv2.norm"]))


@pytest.mark.parametrize("mode", ["running", "reestimated"])
def test_features_do_not_depend_on_batch_mates_or_batch_size(extractor, images, mode):
    extract = extractor(batchnorm=mode)
    if mode == "reestimated":
        extract.reestimate(images.split(8))

    together = extract(images)

    alone = torch.cat([extract(image[None]) for image in images])
    mixed = extract(images.flip(0)[:7])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mixed, together.flip(0)[:7], rtol=1e-5, atol=1e-6)


def test_features_depend_on_batch_mates_in_mode_batch(extractor, images):
    extract = extractor(batchnorm="batch")

    difference = extract(images[:4]) - extract(images)[:4]

    columns = extract.columns()
    assert difference[:, columns["conv1"]].abs().max() < 1e-6
    assert difference[:, columns["conv2"]].abs().max() > 0.1


def test_mode_batch_normalises_by_the_batch_itself(extractor, network, images):
    with torch.no_grad(), capture(network.train(), ["conv2"]) as outputs:
        network(images)

    features = extractor(batchnorm="batch", taps=("conv2",))(images)

    torch.testing.assert_close(features, outputs["conv2"].flatten(1))


def test_a_whole_batch_re_estimated_on_itself_equals_mode_batch(extractor, images):
    reestimated = extractor(batchnorm="reestimated")
    assert reestimated.reestimate([images]) == 1

    torch.testing.assert_close(reestimated(images), extractor(batchnorm="batch")(images), rtol=1e-4, atol=1e-5)


def test_re_estimation_replaces_features_already_prepared(extractor, images):
    extract = extractor(batchnorm="reestimated")
    before = extract(images)

    extract.reestimate([images * 3])

    assert not torch.allclose(extract(images), before, atol=0.1)


def test_a_failed_re_estimation_changes_nothing(extractor, images):
    extract = extractor(batchnorm="reestimated")
    before = extract(images)

    def batches():
        yield images
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract.reestimate(batches())
    assert torch.equal(extract(images), before)


@pytest.mark.parametrize("mode", ["running", "reestimated", "batch"])
def test_the_network_given_is_never_changed(extractor, network, images, mode):
    network.train()
    before = copy.deepcopy(network)

    extract = extractor(batchnorm=mode, precision="bfloat16")
    extract.reestimate([images])
    extract(images)
    extract.precision_error(images)

    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    for (name, now), then in zip(network.state_dict().items(), before.state_dict().values(), strict=True):
        assert now.dtype == then.dtype, name
        assert torch.equal(now, then), name
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_bfloat16_is_as_close_to_float32_as_stated(extractor, images):
    exact, fast = extractor(), extractor(precision="bfloat16")

    stated = fast.precision_error(images)

    features = fast(images)
    difference = features.float() - exact(images)
    assert features.dtype == torch.bfloat16
    assert stated.relative == pytest.approx(float(difference.norm() / exact(images).norm()))
    assert stated.largest == pytest.approx(float(difference.abs().max()))
    assert stated.images == 24
    # bfloat16 has 8 significant bits; errors of three layers add up.
    assert 1e-4 < stated.relative < 0.01


def test_float32_has_no_error_to_itself(extractor, images):
    assert extractor().precision_error(images).relative == 0


def test_features_take_no_gradient(extractor, images):
    assert not extractor()(images.clone().requires_grad_()).requires_grad


def test_a_conditional_discriminator_is_refused():
    architecture = tables.dcgan28_conditional(width=4, hidden=8)

    with pytest.raises(ArchitectureError, match=r"^Architecture 'dcgan28-conditional' is conditional: .*Use an uncond"):
        FeatureExtractor(architecture.discriminator(), architecture, FeatureSpec(), CPU)


def test_an_unknown_tap_gets_the_nearest_name(extractor):
    with pytest.raises(UnknownNameError, match=r"^Unknown tap 'conv33'\. Did you mean 'conv3'\?"):
        extractor(taps=("conv33",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": 0}, "grid: .*greater than 0, got 0"),
        ({"batchnorm_batch": 1}, "batchnorm_batch: .*greater than or equal to 2, got 1"),
        ({"batchnorm": "frozen"}, "batchnorm: must be 'reestimated', 'running' or 'batch', got 'frozen'"),
        ({"dtype": "float64"}, "dtype: must be 'bfloat16', 'float16' or 'float32', got 'float64'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        FeatureSpec.build(settings)


def test_fast_convolutions_give_the_features_of_direct_ones():
    architecture = tables.dcgan32(width=64)
    network = architecture.discriminator()
    initialise(network, torch.Generator().manual_seed(0))
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    extractor = FeatureExtractor(network, architecture, FeatureSpec(precision="float32"), CPU)
    extractor.reestimate([images[:3], images[3:]])

    found = extractor(images)
    assert 0 < extractor.precision_error(images).relative < 1e-5  # fast, and compared with the direct ones
    network.load_state_dict(extractor.network_state())
    expected = plain_features(network, images, architecture.taps)
    assert float((found - expected).norm() / expected.norm()) < 1e-5
