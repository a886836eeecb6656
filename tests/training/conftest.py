from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.models.registry import builtin_architectures
from dcgan_analysis.training import Trainer, TrainingConfig

ARCHITECTURES = {entry.name: entry for entry in builtin_architectures()}
SMALL = {"width": 4, "z_size": 5, "image_channels": 1}


@pytest.fixture
def split():
    """36 images of 1x32x32 in 3 classes."""
    rng = np.random.default_rng(0)
    return DatasetSplit(
        images=rng.integers(0, 256, (36, 1, 32, 32), dtype=np.uint8),
        labels=np.arange(36) % 3,
        ids=[str(i) for i in range(36)],
        classes=["a", "b", "c"],
    )


@pytest.fixture
def make_trainer(split, tmp_path):
    """Make a trainer of a small network, 4 steps an epoch; keyword arguments are settings, or replace arguments."""

    def make(folder="run", images=split, **settings):
        config = TrainingConfig.build(
            {"dataset": "noise", "architecture": "dcgan32-svhn", "parameters": SMALL, "batch_size": 8}
            | {"precision": "float32", "epochs": 1, "seed": 3}
            | settings
        )
        architecture = ARCHITECTURES[config.architecture].create(**config.parameters)
        return Trainer(config, architecture, images, tmp_path / folder, torch.device("cpu"))

    return make


@pytest.fixture
def everything():
    """Return all that the next step of a training depends on: weights, statistics, Adam's moments and steps."""

    def collect(trainer):
        pair, tensors = trainer.pair, {}
        for role in ("generator", "discriminator"):
            network, optimizer = getattr(pair, role), getattr(pair, f"{role}_optimizer")
            tensors |= {f"{role} {name}": value.clone() for name, value in network.state_dict().items()}
            for name, parameter in network.named_parameters():
                state = optimizer.state[parameter]
                tensors |= {f"{role} {name} {key}": value.clone() for key, value in state.items()}
        return tensors

    return collect
