from __future__ import annotations

import pytest

from dcgan_analysis.errors import ConfigError
from dcgan_analysis.training import TrainingConfig


def test_defaults_are_the_papers():
    config = TrainingConfig()

    assert (config.batch_size, config.learning_rate, config.beta1, config.beta2) == (128, 2e-4, 0.5, 0.999)
    assert (config.z_prior, config.weight_decay) == ("uniform", 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batchsize": 4}, r"^Unknown setting 'batchsize'\. Did you mean 'batch_size'\?"),
        ({"batch_size": 1}, r"^batch_size: must be greater than or equal to 2, got 1\.$"),
        ({"epochs": 0}, r"^epochs: must be greater than 0, got 0\.$"),
        ({"beta1": 1}, r"^beta1: must be less than 1, got 1\.$"),
        ({"learning_rate": float("nan")}, r"^learning_rate: must be a finite number, got nan\.$"),
        ({"precision": "float16"}, r"^precision: must be 'auto', 'bfloat16' or 'float32', got 'float16'\.$"),
        ({"seed": -1}, r"^seed: must be greater than or equal to 0, got -1\.$"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.build(settings)
