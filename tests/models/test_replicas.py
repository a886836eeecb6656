"""A network run on several batches at a time gives what it gives alone, and its hooks see every pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan_analysis.core import parallel
from dcgan_analysis.models import replicas
from dcgan_analysis.models.hooks import capture
from dcgan_analysis.models.replicas import run_batches


@pytest.fixture(autouse=True)
def three_workers(monkeypatch):
    """Three workers, whatever this machine has."""
    for module in (parallel, replicas):
        monkeypatch.setattr(module, "worker_count", lambda device=None: 3)


class Remembering(nn.Module):
    """Keeps what it was given, as networks of others do."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.layer.weight, 2.0)

    def forward(self, x):
        self.given = x
        y = self.layer(x)
        return y + self.given


def test_each_call_has_what_a_module_keeps_and_its_hooks_to_itself():
    network = Remembering()

    def call(own, x):
        with torch.no_grad(), capture(own, ["layer"]) as outputs:
            whole = own(x)
        return whole.item(), outputs["layer"].item()

    found = list(run_batches(call, network, torch.arange(50.0).view(50, 1, 1)))
    assert found == [(3.0 * i, 2.0 * i) for i in range(50)]
    assert not network.layer._forward_hooks


def test_copies_have_the_parameters_themselves_and_buffers_of_their_own():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    seen = {}
    list(run_batches(lambda own, _: seen.setdefault(id(own), own), network, range(3)))
    copies = [replicas._copy(network), *(own for own in seen.values() if own is not network)]
    for copy in copies:
        assert copy[0].weight is network[0].weight
        assert copy[1].running_mean is not network[1].running_mean


def test_hooks_of_a_network_see_every_pass_in_order():
    network, passes = nn.Identity(), []
    network.register_forward_hook(lambda module, inputs, output: passes.append(output))
    assert list(run_batches(lambda own, x: own(x), network, range(5))) == passes == [0, 1, 2, 3, 4]
