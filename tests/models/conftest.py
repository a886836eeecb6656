from __future__ import annotations

import pytest
import torch

from dcgan_analysis.models import tables
from dcgan_analysis.models.initialisation import initialise

SMALL = {
    "dcgan32": tables.dcgan32(width=4, z_size=6),
    "dcgan32-svhn": tables.dcgan32_svhn(width=4, z_size=6),
    "dcgan64": tables.dcgan64(width=4, z_size=6),
    "dcgan64-4x4": tables.dcgan64_4x4(width=4, generator_width=3, z_size=6),
    "dcgan28-conditional": tables.dcgan28_conditional(width=4, hidden=16, z_size=6),
    "dcgan28-conditional with affine": tables.dcgan28_conditional(width=4, hidden=16, batchnorm_affine=True),
    "mlp-conditional": tables.mlp_conditional(width=16, z_size=6, classes=3, image_size=9),
}


@pytest.fixture(params=SMALL)
def architecture(request):
    """Every built-in architecture, small."""
    return SMALL[request.param]


@pytest.fixture
def initialised():
    """Return a network's initialised copy for a seed."""

    def make(network, seed=0):
        initialise(network, torch.Generator().manual_seed(seed))
        return network

    return make
