"""A random twin holds nothing of the trained network, whatever its layers are."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models import tables
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.initialisation import initialise, unchanged_parameter
from dcgan_analysis.models.modules import copied


def former(name, module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(nn.utils, name)(module)


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Own(nn.Module):
    """Parameters that no layer of torch holds."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(3, 4))
        self.gamma = nn.Parameter(torch.full((4,), 0.7))
        self.bias = nn.Parameter(torch.full((4,), 0.3))
        self.gate = nn.Parameter(torch.tensor(0.37))
        self.list = nn.ParameterList([torch.randn(2, 2)])
        self.register_buffer("stored_mean", torch.full((4,), 3.0))
        self.register_buffer("stored_var", torch.full((4,), 3.0))
        self.register_buffer("blur", torch.full((4,), 3.0))


class Resetting(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel, self.left_out = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3, 4))

    def reset_parameters(self):
        nn.init.uniform_(self.kernel, 5, 6)
        np.random.rand()


class ForeignSpectralNorm(nn.Module):
    """As in the public code that came before torch's own."""

    def __init__(self):
        super().__init__()
        self.module = nn.Conv2d(3, 4, 3)
        weight = self.module.weight
        del self.module._parameters["weight"]
        for name, value in (("u", torch.randn(4)), ("v", torch.randn(27)), ("bar", weight.data)):
            self.module.register_parameter(f"weight_{name}", nn.Parameter(value, requires_grad=name == "bar"))


MODULES = {
    "conv 1d": lambda: nn.Conv1d(3, 4, 3),
    "conv 2d": lambda: nn.Conv2d(3, 4, 3),
    "conv 3d": lambda: nn.Conv3d(3, 4, 3),
    "transposed 1d": lambda: nn.ConvTranspose1d(3, 4, 3),
    "transposed 2d": lambda: nn.ConvTranspose2d(3, 4, 3),
    "transposed 3d": lambda: nn.ConvTranspose3d(3, 4, 3),
    "linear": lambda: nn.Linear(3, 4),
    "bilinear": lambda: nn.Bilinear(3, 4, 5),
    "embedding": lambda: nn.Embedding(5, 4, padding_idx=0),
    "batch norm 1d": lambda: nn.BatchNorm1d(4),
    "batch norm 2d": lambda: nn.BatchNorm2d(4),
    "batch norm 3d": lambda: nn.BatchNorm3d(4),
    "instance norm": lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    "group norm": lambda: nn.GroupNorm(2, 4),
    "layer norm": lambda: nn.LayerNorm(4),
    "PReLU": lambda: nn.PReLU(4),
    "attention": lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
    "recurrent": lambda: nn.GRU(3, 4),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)),
    "spectral norm, transposed": lambda: parametrizations.spectral_norm(nn.ConvTranspose2d(3, 4, 3)),
    "spectral norm of an embedding": lambda: parametrizations.spectral_norm(nn.Embedding(5, 4)),
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 4)),
    "former spectral norm": lambda: former("spectral_norm", nn.Conv2d(3, 4, 3)),
    "former weight norm": lambda: former("weight_norm", nn.Linear(3, 4)),
    "somebody's spectral norm": ForeignSpectralNorm,
    "own parameters": Own,
    "own reset_parameters": Resetting,
}


def trained(module):
    """Every parameter and statistic as no initialisation would leave it."""
    source = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.empty(parameter.shape).normal_(3, 0.5, generator=source))
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point() and "running" in name:
                buffer.fill_(5)
    return module


def drawn(module, seed):
    initialise(module, torch.Generator().manual_seed(seed))
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def constant(tensor):
    return bool((tensor == tensor.flatten()[0]).all())


@pytest.mark.parametrize("kind", MODULES)
def test_nothing_of_the_trained_network_is_left_and_the_seed_decides(kind):
    with torch.random.fork_rng():
        module = trained(MODULES[kind]())
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    first, other, again = drawn(copied(module), 1), drawn(copied(module), 2), drawn(module, 1)

    for name, parameter in first.items():
        assert torch.equal(parameter, again[name])
        assert not torch.equal(parameter, before[name]), name
        assert constant(parameter) or not torch.equal(parameter, other[name]), name
        assert bool(torch.isfinite(parameter).all())


@pytest.mark.parametrize("kind", MODULES)
def test_global_random_states_are_left_alone(kind):
    with torch.random.fork_rng():
        module = MODULES[kind]()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    drawn(module, 1)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


@pytest.mark.parametrize("kind", ["conv 1d", "conv 3d", "transposed 3d", "linear"])
def test_convolutions_and_linear_layers_are_drawn_as_the_paper_does(kind):
    module = {"linear": nn.Linear(200, 100)}.get(kind) or MODULES[kind]()
    values = torch.cat([drawn(module, seed)["weight"].flatten() for seed in range(40)])
    assert float(values.std()) == pytest.approx(0.02, rel=0.05)
    assert float(values.mean()) == pytest.approx(0, abs=2e-3)
    assert not module.bias.any()


def test_normalisations_start_at_one_and_zero_with_fresh_statistics():
    for kind in ("instance norm", "group norm", "layer norm"):
        module = trained(MODULES[kind]())
        drawn(module, 0)
        assert (module.weight == 1).all()
        assert not module.bias.any()
    for kind in ("batch norm 1d", "batch norm 2d", "batch norm 3d", "instance norm"):
        module = trained(MODULES[kind]())
        module.num_batches_tracked.fill_(9)
        drawn(module, 0)
        assert not module.running_mean.any()
        assert (module.running_var == 1).all()
        assert int(module.num_batches_tracked) == 0


def test_scales_of_batch_normalisation_are_drawn_around_one():
    scales = torch.cat([drawn(nn.BatchNorm3d(64), seed)["weight"] for seed in range(20)])
    assert float(scales.mean()) == pytest.approx(1, abs=2e-3)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("kind", ["spectral norm", "spectral norm, transposed", "former spectral norm"])
def test_a_spectral_norm_is_settled_on_the_new_weight(kind):
    module = trained(MODULES[kind]())
    drawn(module, 0)
    module.eval()
    with torch.no_grad():
        module(torch.zeros(1, 3, 8, 8))
    weight = module.weight.detach()
    rows = weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight
    largest = float(torch.linalg.matrix_norm(rows.flatten(1), 2))
    # Fifteen power iterations come this near in a matrix of 4 x 27 numbers.
    assert largest == pytest.approx(1, abs=0.15)
    assert float(weight.abs().max()) > 0


@pytest.mark.parametrize("kind", ["weight norm", "former weight norm"])
def test_the_weight_under_a_weight_norm_has_the_papers_distribution(kind):
    weights = []
    for seed in range(60):
        module = trained(MODULES[kind]())
        drawn(module, seed)
        weights.append(module.weight.detach().flatten())
    assert float(torch.cat(weights).std()) == pytest.approx(0.02, rel=0.05)


def test_own_parameters_are_drawn_by_kind():
    module = Own()
    first = drawn(module, 0)
    assert (first["gamma"] == 1).all()
    assert not first["bias"].any()
    assert 0 < float(first["kernel"].std()) < 0.05
    assert 0 < abs(float(first["gate"])) < 0.1


def test_buffers_are_reset_where_they_are_statistics_alone():
    module = Own()
    drawn(module, 0)
    assert not module.stored_mean.any()
    assert (module.stored_var == 1).all()
    assert (module.blur == 3).all()


def test_a_modules_own_method_draws_what_it_draws_and_the_rest_follows_the_rule():
    first = drawn(Resetting(), 0)
    assert 5 <= first["kernel"].min() < first["kernel"].max() <= 6
    assert float(first["left_out"].abs().max()) < 0.2


def test_an_own_method_that_gives_the_same_weights_whatever_the_seed_is_refused_by_the_parameters_name():
    class Restoring(Resetting):
        def reset_parameters(self):
            self.kernel.copy_(torch.arange(12.0).view(3, 4))

    network = nn.Sequential(nn.ReLU(), Restoring())
    with pytest.raises(ArchitectureError, match=r"^Parameter '1\.kernel' is the same whatever the seed.*Restoring"):
        drawn(network, 0)


def test_an_own_method_that_fails_leaves_its_parameters_to_the_rule():
    class Failing(Resetting):
        def reset_parameters(self):
            raise RuntimeError

    assert 0 < float(drawn(Failing(), 0)["kernel"].std()) < 0.05


def test_a_convolution_that_draws_itself_is_left_to_it():
    class Equalised(nn.Conv2d):
        def reset_parameters(self):
            nn.init.normal_(self.weight)

    assert float(drawn(Equalised(16, 16, 3, bias=False), 0)["weight"].std()) == pytest.approx(1, rel=0.1)


def test_a_trained_parameter_that_is_still_there_is_named():
    first, other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    drawn(first, 0)
    drawn(other, 1)
    assert unchanged_parameter(first, other.state_dict()) is None  # zero biases say nothing
    with torch.no_grad():
        other[1].weight.copy_(first[1].weight)
    assert unchanged_parameter(first, other.state_dict()) == "1.weight"


def test_building_copies_a_module_that_is_handed_out_again_and_again():
    shared = nn.Linear(3, 1)
    before = shared.weight.detach().clone()
    drawn(build(lambda: shared), 0)
    assert torch.equal(shared.weight, before)


def test_building_copies_a_module_whose_former_weight_norm_has_run():
    shared = former("weight_norm", nn.Linear(3, 1))
    shared(torch.zeros(1, 3))  # leaves a weight with a history, which deepcopy refuses
    assert torch.equal(build(lambda: shared).weight_v, shared.weight_v)


def test_built_in_networks_are_drawn_layer_by_layer_as_ever(architecture):
    network, expected = architecture.discriminator(), architecture.discriminator()
    initialise(network, torch.Generator().manual_seed(4))
    source = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for module in expected.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
                module.weight.normal_(1.0, 0.02, generator=source)
                module.bias.zero_()
            elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                module.weight.normal_(0.0, 0.02, generator=source)
    state = network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in expected.state_dict().items())


def test_initial_weights_have_the_papers_distribution(initialised):
    network = initialised(tables.dcgan32(width=32).discriminator())

    weights = torch.cat(
        [m.weight.detach().flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    )
    scales = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, NORMS)])
    assert float(weights.mean()) == pytest.approx(0, abs=2e-4)
    assert float(weights.std()) == pytest.approx(0.02, rel=0.01)
    assert float(scales.mean()) == pytest.approx(1, abs=5e-3)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.2)
    assert all(not m.bias.any() for m in network.modules() if isinstance(m, NORMS))


def test_initialising_resets_running_statistics(initialised):
    network = tables.dcgan32(width=4).discriminator()
    network(torch.rand(4, 3, 32, 32))

    initialised(network)

    for module in network.modules():
        if isinstance(module, NORMS):
            assert not module.running_mean.any()
            assert torch.equal(module.running_var, torch.ones_like(module.running_var))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(architecture, initialised):
    first, second, other = (initialised(architecture.generator(), seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[name], second[name]) for name in first)
    kernels = [name for name in first if name.endswith("operation.weight")]
    assert not any(torch.equal(first[name], other[name]) for name in kernels)
