from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.conformance.networks import Snapshot
from dcgan_analysis.errors import ArchitectureError, UnknownNameError
from dcgan_analysis.models.hooks import Tap, capture, drop_maps, run_to, set_maps


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.ReLU()

    def forward(self, x):
        self.first(x)
        msg = "the model failed"
        raise RuntimeError(msg)


def hooks(network):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


def test_outputs_are_those_of_the_named_modules():
    network = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Flatten(0), nn.Softplus()))
    x = torch.tensor([[-1.0], [2.0]])

    with capture(network, ["1.0", "0"]) as outputs:
        result = network(x)

    assert outputs["0"].tolist() == [[0], [2]]
    assert outputs["1.0"].tolist() == [0, 2]
    assert "1" not in outputs
    assert result.shape == (2,)


def test_each_forward_pass_fills_the_outputs_anew():
    network = nn.Sequential(nn.ReLU())
    with capture(network, ["0"]) as outputs:
        network(torch.tensor([1.0]))
        network(torch.tensor([-1.0]))

    assert outputs["0"].tolist() == [0]


def test_hooks_are_removed_at_the_end():
    network = nn.Sequential(nn.ReLU())
    with capture(network, ["0"]):
        assert hooks(network) > 0

    assert hooks(network) == 0


def test_hooks_are_removed_when_the_model_raises():
    network = Failing()
    with pytest.raises(RuntimeError, match="the model failed"), capture(network, ["first"]):
        network(torch.ones(1))

    assert hooks(network) == 0


def test_hooks_of_others_stay():
    network = nn.Sequential(nn.ReLU())
    network[0].register_forward_hook(lambda *_: None)
    with capture(network, ["0"]):
        pass

    assert hooks(network) == 1


@pytest.mark.parametrize("tap", ["conv9", ""])
def test_an_unknown_tap_is_refused_and_leaves_no_hook(network, tap):
    with (
        pytest.raises(UnknownNameError, match=r"^Unknown tap '.*Available: conv1, conv2, conv3, logit\.$"),
        capture(network, ["conv1", tap]),
    ):
        pass

    assert hooks(network) == 0


def test_the_same_tap_twice_is_refused(network):
    with (
        pytest.raises(ArchitectureError, match=r"Taps must differ, got conv1, conv1\."),
        capture(network, ["conv1"] * 2),
    ):
        pass


def test_running_to_a_tap_computes_nothing_behind_it():
    calls = []
    network = nn.Sequential(nn.ReLU(), nn.Softplus())
    network[1].register_forward_hook(lambda *_: calls.append(1))
    for passes in (1, 1, 1):  # the first pass shows that the tap is met once
        assert run_to(network, "0", torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
        assert len(calls) == passes
    assert hooks(network) == 1


def test_running_to_a_tap_leaves_no_hook_when_the_model_raises():
    network = nn.Sequential(Failing(), nn.ReLU())
    with pytest.raises(RuntimeError, match="the model failed"):
        run_to(network, "1", torch.ones(1))
    assert hooks(network) == 0


def test_a_tap_that_the_forward_pass_does_not_come_by_is_refused():
    network = nn.Sequential(nn.ReLU())
    network[0].unused = nn.Identity()
    with pytest.raises(ArchitectureError, match=r"never reaches tap '0\.unused'"):
        run_to(network, "0.unused", torch.ones(1))


class Styled(nn.Module):
    """One function, written in several ways: convolution, LeakyReLU, convolution, normalisation, LeakyReLU."""

    def __init__(self, style):
        super().__init__()
        self.style = style
        self.conv1, self.conv2, self.norm = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.logit = nn.Linear(3 * 4 * 4, 1)
        inplace = style == "in place"
        if style == "shared":
            self.act = nn.LeakyReLU(0.2)
        elif style in ("separate", "in place"):
            self.act1, self.act2 = nn.LeakyReLU(0.2, inplace), nn.LeakyReLU(0.2, inplace)

    def activate(self, number, x):
        match self.style:
            case "shared":
                return self.act(x)
            case "separate" | "in place":
                return (self.act1, self.act2)[number](x)
            case "function":
                return F.leaky_relu(x, 0.2)
            case "function in place":
                return F.leaky_relu_(x, 0.2)
            case "maximum":
                return torch.max(x, 0.2 * x)
            case "where":
                return torch.where(x > 0, x, 0.2 * x)
            case "sum":  # as TensorFlow's first DCGAN was translated
                return 0.6 * x + 0.4 * x.abs()
        raise AssertionError

    def forward(self, x):
        x = self.activate(0, self.conv1(x))
        x = self.activate(1, self.norm(self.conv2(x)))
        return self.logit(x.flatten(1)).squeeze(1)


ACTIVATIONS = {
    "separate": ("act1", "act2"),
    "in place": ("act1", "act2"),
    "shared": ("act:0", "act:1"),
    **dict.fromkeys(("function", "function in place", "maximum", "where", "sum"), ("conv1:after", "norm:after")),
}


def styled(style):
    network = Styled(style)
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*network.parameters(), network.norm.running_mean):
            tensor.normal_(generator=source)
    return network.eval()


PIXELS = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def tapped(style, taps):
    network = styled(style)
    with torch.no_grad(), capture(network, taps) as outputs:
        network(PIXELS.clone())
    return [outputs[tap] for tap in taps]


@pytest.mark.parametrize("style", ACTIVATIONS)
def test_a_taps_value_does_not_depend_on_how_the_network_was_written(style):
    plain = tapped("separate", ["conv1", "act1", "conv2", "norm", "act2"])
    first, second = ACTIVATIONS[style]
    for expected, value in zip(plain, tapped(style, ["conv1", first, "conv2", "norm", second]), strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("style", ACTIVATIONS)
def test_running_to_a_tap_gives_what_capturing_it_gives(style):
    network = styled(style)
    for tap in ("conv1", *ACTIVATIONS[style]):
        expected = tapped(style, [tap])[0]
        for _ in range(2):  # the second time the rest of the pass is left out
            torch.testing.assert_close(run_to(network, tap, PIXELS), expected)
    assert hooks(network) == 0


@pytest.mark.parametrize("style", ACTIVATIONS)
def test_a_taps_gradient_is_that_of_its_value(style):
    tap = ACTIVATIONS[style][1]
    gradients = []
    for one, name in (("separate", "act2"), (style, tap)):
        x = PIXELS.clone().requires_grad_(True)
        run_to(styled(one), name, x).square().sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("style", ACTIVATIONS)
def test_dropped_maps_of_an_activation_are_missing_in_what_follows(style):
    results = []
    for one, tap in (("separate", "act2"), (style, ACTIVATIONS[style][1])):
        network = styled(one)
        with torch.no_grad(), drop_maps(network, {tap: [1]}):
            results.append(network(PIXELS))
    torch.testing.assert_close(results[1], results[0])
    with torch.no_grad():
        assert not torch.allclose(styled(style)(PIXELS), results[0])


def test_values_are_kept_in_inference_mode_too():
    network = styled("in place")
    with torch.inference_mode(), capture(network, ["conv1"]) as outputs:
        network(PIXELS)
    torch.testing.assert_close(outputs["conv1"], tapped("separate", ["conv1"])[0])


def test_a_value_that_is_written_over_through_a_part_of_it_is_kept():
    class Masking(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.ReLU()

        def forward(self, x):
            y = self.first(x)
            y[:, 0] = 7
            return y.add_(1)

    network = Masking()
    with torch.no_grad(), capture(network, ["first"]) as outputs:
        assert network(torch.tensor([[1.0, 2.0]])).tolist() == [[8, 3]]
    assert outputs["first"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("style", "tap", "message"),
    [
        ("shared", "act", r"Tap 'act': the forward pass comes by it 2 times\. Choose one of act:0, act:1\."),
        ("shared", "act:2", r"Tap 'act:2': the forward pass comes by 'act' 2 times\. Choose one of act:0, act:1\."),
        ("separate", "conv2:after", r"Tap 'conv2:after': no elementwise activation works on what 'conv2' returns"),
        ("separate", "act1:one", r"Tap 'act1:one' must be the path of a module, with ':0', ':1'"),
        ("separate", "act1:0:1", r"must be the path of a module"),
    ],
)
def test_a_tap_that_is_not_one_value_is_refused(style, tap, message):
    with pytest.raises(ArchitectureError, match=message):
        tapped(style, [tap])
    with pytest.raises(ArchitectureError, match=message):
        run_to(styled(style), tap, PIXELS)


def test_a_tap_that_gives_no_tensor_is_refused():
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    network = nn.Sequential(Two())
    with pytest.raises(ArchitectureError, match=r"Tap '0' gives a tuple, not a tensor"), capture(network, ["0"]):
        network(torch.zeros(1))


def test_parts_of_a_name():
    assert Tap.parse("main.0") == Tap("main.0")
    assert Tap.parse("act:1") == Tap("act", 1)
    assert Tap.parse("conv:after") == Tap("conv", None, True)


def test_dropped_maps_are_zero_everywhere_and_the_others_as_before(tiny_checkpoint):
    generator, z = tiny_checkpoint.generator(), tiny_checkpoint.latents(3, seed=0)
    outputs = []
    handle = generator.deconv6.register_forward_pre_hook(lambda _, inputs: outputs.append(inputs[0]))
    before = generator(z)
    with drop_maps(generator, {"deconv5": [2, 5]}):
        after = generator(z)
    handle.remove()
    assert not outputs[1][:, [2, 5]].any()
    kept = [number for number in range(8) if number not in (2, 5)]
    assert torch.equal(outputs[1][:, kept], outputs[0][:, kept])
    assert not torch.equal(before, after)


def test_nothing_stays_on_the_network_also_when_something_raises(tiny_checkpoint):
    generator, z = tiny_checkpoint.generator(), tiny_checkpoint.latents(2, seed=0)
    before, snapshot = generator(z), Snapshot(generator, "generator")
    with pytest.raises(ArchitectureError, match="maps 0 to 7, got 3 to 8"), drop_maps(generator, {"deconv5": [3, 8]}):
        generator(z)
    with pytest.raises(ZeroDivisionError), drop_maps(generator, {"deconv5": [3], "deconv1": [0]}):
        raise ZeroDivisionError
    with pytest.raises(UnknownNameError, match="deconv5"), drop_maps(generator, {"deconv5": [0], "deconv55": [0]}):
        pass
    assert snapshot.change() is None
    assert torch.equal(generator(z), before)


def test_no_maps_dropped_changes_nothing(tiny_checkpoint):
    generator, z = tiny_checkpoint.generator(), tiny_checkpoint.latents(2, seed=0)
    with drop_maps(generator, {"deconv5": []}):
        inside = generator(z)
    assert torch.equal(inside, generator(z))


def test_maps_may_be_dropped_in_the_first_rows_alone(tiny_checkpoint):
    generator, z = tiny_checkpoint.generator(), tiny_checkpoint.latents(2, seed=0)
    before = generator(z)
    with drop_maps(generator, {"deconv5": range(8)}, rows=1):
        after = generator(z)
    assert not after[0].any()
    torch.testing.assert_close(after[1], before[1])


def test_set_maps_are_constant_where_they_are_set_and_as_before_elsewhere():
    network = nn.Sequential(nn.ReLU())
    values = torch.rand(2, 3, 4, 4)
    where = torch.zeros(2, 4, 4, dtype=torch.bool)
    where[0, :2] = True
    asked = []

    def place(size):
        asked.append(size)
        return where

    with set_maps(network, "0", {1: 7.0, 2: 0.0}, place):
        changed = network(values)

    assert asked == [(4, 4)]
    assert (changed[0, 1, :2] == 7).all()
    assert (changed[0, 2, :2] == 0).all()
    assert torch.equal(changed[:, 0], values[:, 0])
    assert torch.equal(changed[0, :, 2:], values[0, :, 2:])
    assert torch.equal(changed[1], values[1])
    assert hooks(network) == 0
    with (
        pytest.raises(ArchitectureError, match="Layer '0' has the maps 0 to 2, got 5 to 5"),
        set_maps(network, "0", {5: 1.0}, place),
    ):
        network(values)
    with set_maps(network, "0", {}, place):
        assert torch.equal(network(values), values)
