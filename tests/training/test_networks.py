from __future__ import annotations

import math

import pytest
import torch

from dcgan_analysis.errors import ConfigError
from dcgan_analysis.models import tables
from dcgan_analysis.models.kernels.winograd import WinogradConv2d
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair

CPU = torch.device("cpu")
ARCHITECTURE = tables.dcgan32_svhn(width=4, z_size=5, image_channels=1)


def make_pair(**settings):
    return AdversarialPair(ARCHITECTURE, TrainingConfig(**{"precision": "float32", "batch_size": 8} | settings), CPU)


def update_both(pair, images, z):
    """Show the discriminator images and what the generator makes of z."""
    with torch.no_grad():
        fake = pair.generate(z, None)
    return pair.update_discriminator(images, fake, None)


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before, network):
    return {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


@pytest.fixture
def batch():
    source = torch.Generator().manual_seed(0)
    return torch.rand(8, 1, 32, 32, generator=source) * 2 - 1, torch.rand(8, 5, generator=source) * 2 - 1


def test_initial_weights_follow_the_seed_and_leave_the_global_random_state_alone():
    before = torch.get_rng_state()

    first, second, other = make_pair(seed=1), make_pair(seed=1), make_pair(seed=2)

    assert torch.equal(torch.get_rng_state(), before)
    assert changed(state(first.generator), second.generator) == set()
    assert changed(state(first.discriminator), other.discriminator) == {"conv1", "conv2", "conv3", "logit"}


def test_adam_has_the_papers_settings():
    for optimizer in (make_pair().generator_optimizer, make_pair().discriminator_optimizer):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)
    assert make_pair(weight_decay=2.5e-5).generator_optimizer.param_groups[0]["weight_decay"] == 2.5e-5


def test_a_generator_update_changes_no_weight_of_the_discriminator(batch):
    pair = make_pair()
    generator, discriminator = state(pair.generator), state(pair.discriminator)

    loss, images = pair.update_generator(batch[1], None)

    assert images.shape == (8, 1, 32, 32)
    assert not images.requires_grad
    # An untrained discriminator says one half, whatever it sees.
    assert float(loss) == pytest.approx(math.log(2), abs=0.1)
    assert changed(generator, pair.generator) == {"project", "deconv1", "deconv2", "deconv3"}
    weights = dict(pair.discriminator.named_parameters())
    assert all(torch.equal(weight, discriminator[name]) for name, weight in weights.items())
    assert all(weight.requires_grad and weight.grad is None for weight in weights.values())


def test_a_discriminator_update_changes_no_weight_of_the_generator(batch):
    pair = make_pair()
    generator, discriminator = state(pair.generator), state(pair.discriminator)

    loss, real, fake = update_both(pair, *batch)

    assert float(loss) == pytest.approx(2 * math.log(2), abs=0.1)
    assert float(real) == pytest.approx(0.5, abs=0.05)
    assert float(fake) == pytest.approx(0.5, abs=0.05)
    assert changed(discriminator, pair.discriminator) == {"conv1", "conv2", "conv3", "logit"}
    assert all(torch.equal(weight, generator[name]) for name, weight in pair.generator.named_parameters())
    assert not loss.requires_grad


def test_the_first_step_of_adam_is_the_learning_rate_for_every_weight(batch):
    pair = make_pair(learning_rate=0.01)
    before = pair.discriminator.logit.operation.weight.detach().clone()

    update_both(pair, *batch)

    step = (pair.discriminator.logit.operation.weight.detach() - before).abs()
    torch.testing.assert_close(step, torch.full_like(step, 0.01), rtol=1e-3, atol=0)


def test_updates_go_in_opposite_directions(batch):
    images, z = batch
    pair = make_pair(learning_rate=0.002)

    first = update_both(pair, images, z)
    for _ in range(10):
        last = update_both(pair, images, z)
    assert last[0] < first[0]
    assert last[1] > 0.6 > 0.4 > last[2]

    losses = [float(pair.update_generator(z, None)[0]) for _ in range(10)]
    assert losses[-1] < losses[0]


def test_real_and_generated_images_are_normalised_apart(batch):
    images, z = batch
    pair = make_pair()
    with torch.no_grad():
        alone = pair.judge(images, None).sigmoid().mean()

    _, real, _ = update_both(pair, images, z)

    torch.testing.assert_close(real, alone)


def test_bfloat16_computes_in_bfloat16_and_keeps_weights_in_float32(batch):
    pair = make_pair(precision="bfloat16")

    assert pair.generate(batch[1], None).dtype == torch.bfloat16
    assert pair.judge(batch[0], None).dtype == torch.float32
    pair.update_generator(batch[1], None)
    assert {value.dtype for value in pair.generator.parameters()} == {torch.float32}
    exact = make_pair()
    torch.testing.assert_close(pair.judge(batch[0], None), exact.judge(batch[0], None), rtol=0.1, atol=0.01)


@pytest.mark.parametrize(
    ("option", "role", "kernel"),
    [
        ("ema", "generator", "deconv1.operation.weight"),
        ("ema_discriminator", "discriminator", "conv2.operation.weight"),
    ],
)
def test_a_moving_average_follows_its_network_by_hand(batch, option, role, kernel):
    pair = make_pair(**{option: 0.5})
    network = getattr(pair, role)
    start = state(network)[kernel]
    pair.update_generator(batch[1], None)
    pair.update_discriminator(batch[0], batch[0].flip(0), None)
    first = state(network)[kernel]

    pair.update_averages(step=0)  # decay (1 + 0) / (10 + 0)
    averaged = state(pair.averages[role])[kernel]
    torch.testing.assert_close(averaged, 0.1 * start + 0.9 * first)

    pair.update_averages(step=1_000)
    average = state(pair.averages[role])[kernel]
    torch.testing.assert_close(average, 0.5 * averaged + 0.5 * first)
    assert torch.equal(state(pair.plain(role))[kernel], average)
    assert torch.equal(state(pair.plain(role, averaged=False))[kernel], first)
    assert list(pair.averages) == [role]


def test_without_ema_there_is_no_average():
    pair = make_pair()
    pair.update_averages(0)
    assert not pair.averages


def test_an_average_of_a_discriminator_with_normalised_kernels_is_refused():
    with pytest.raises(ConfigError, match="ema_discriminator: not together with spectral_norm"):
        TrainingConfig.build({"ema_discriminator": 0.9, "spectral_norm": True})


def test_fast_convolutions_learn_what_direct_ones_learn(monkeypatch):
    architecture = tables.dcgan32(width=64)
    config = TrainingConfig(precision="float32", batch_size=4)
    z, images = torch.rand(4, 256) * 2 - 1, torch.rand(4, 3, 32, 32) * 2 - 1
    gradients = []
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr("dcgan_analysis.training.networks.with_winograd", lambda network: network)
        pair = AdversarialPair(architecture, config, torch.device("cpu"))
        assert fast == any(isinstance(module, WinogradConv2d) for module in pair.discriminator.modules())
        _, fake = pair.update_generator(z, None)
        pair.update_discriminator(images, fake, None)
        networks = (pair.generator, pair.discriminator)
        gradients.append([each.grad for network in networks for each in network.parameters()])
    for found, expected in zip(*gradients, strict=True):
        # Near zero a unit may fall on either side; normalisation of so few images magnifies that.
        assert float((found - expected).norm() / expected.norm()) < 2e-2
