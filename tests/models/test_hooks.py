from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan_analysis.conformance.networks import Snapshot
from dcgan_analysis.errors import ArchitectureError, UnknownNameError
from dcgan_analysis.models.hooks import capture, drop_maps, map_layers, run_to, second_highest
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan64, mlp_conditional


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.ReLU()

    def forward(self, x):
        self.first(x)
        msg = "the model failed"
        raise RuntimeError(msg)


def hooks(network):
    return sum(len(module._forward_hooks) for module in network.modules())


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
        assert hooks(network) == 1

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
    network = nn.Sequential(nn.ReLU(), Failing())
    assert run_to(network, "0", torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
    assert hooks(network) == 0


def test_running_to_a_tap_leaves_no_hook_when_the_model_raises():
    network = nn.Sequential(Failing(), nn.ReLU())
    with pytest.raises(RuntimeError, match="the model failed"):
        run_to(network, "1", torch.ones(1))
    assert hooks(network) == 0


def test_a_tap_that_the_forward_pass_does_not_come_by_is_refused():
    network = nn.Sequential(nn.ReLU())
    network[0].unused = nn.Identity()
    with pytest.raises(ArchitectureError, match=r"does not come by tap '0\.unused'"):
        run_to(network, "0.unused", torch.ones(1))


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


def test_the_second_highest_layer_comes_from_the_table():
    assert second_highest(dcgan64().generator_layers) == "deconv3"
    assert second_highest(dcgan28_conditional().generator_layers) == "deconv1"
    assert second_highest(mlp_conditional().generator_layers) is None
    assert map_layers(dcgan28_conditional().generator_layers) == ["project2", "deconv1"]
