from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.turn_vector.directions import RANDOM, TURN, draw_directions


class Context:
    def rng(self, *names):
        return np.random.default_rng([len(name) for name in names])


def test_turns_lead_from_low_to_high_and_their_controls_are_as_long():
    z = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    directions = draw_directions(Context(), z, z[:, 0].numpy(), directions=3, averaged=2, tail=0.1)
    assert len(directions[TURN]) == len(directions[RANDOM]) == 3
    for turn, control in zip(directions[TURN], directions[RANDOM], strict=True):
        assert turn[0] > 1.5
        assert control.norm().item() == pytest.approx(turn.norm().item())
        assert control[0] < turn[0]
