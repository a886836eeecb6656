from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan_analysis.errors import ArchitectureError, UnknownNameError
from dcgan_analysis.models.hooks import capture, run_to


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
