from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dcgan_analysis_plugins.supervised_cnn.network import Classifier

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32, dcgan32_svhn, mlp_conditional


def make(architecture, classes=3, seed=0):
    return Classifier.random(architecture, classes, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "architecture",
    [dcgan32(width=2), dcgan32_svhn(width=2), dcgan28_conditional(width=2, hidden=4), mlp_conditional(width=4)],
    ids=lambda architecture: architecture.name,
)
def test_every_architecture_gives_one_logit_for_each_class(architecture):
    logits = make(architecture)(torch.zeros(2, *architecture.image_shape))
    assert logits.shape == (2, 3)


def test_all_but_the_last_layer_is_the_discriminator():
    architecture = dcgan32_svhn(width=2)
    network, discriminator = make(architecture).eval(), architecture.discriminator().eval()
    names = [layer.name for layer in architecture.discriminator_layers]
    for name, block in zip(names[:-1], network.trunk, strict=True):
        discriminator.get_submodule(name).load_state_dict(block.state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    logit = network.features(images) @ discriminator.get_submodule(names[-1]).operation.weight[0]
    torch.testing.assert_close(logit, discriminator(images))


def test_weights_depend_on_the_seed_alone_and_torchs_own_chance_is_left_alone():
    before = torch.random.get_rng_state()
    first, again, other = (make(dcgan32(width=2), seed=seed).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first["head.operation.weight"], other["head.operation.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(tensor.isfinite().all() for tensor in first.values())


def test_an_architecture_without_a_table_is_refused():
    with pytest.raises(ArchitectureError, match=r"Architecture 'dcgan32' has no discriminator table"):
        make(replace(dcgan32(width=2), discriminator_layers=()))
