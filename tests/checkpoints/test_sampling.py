from __future__ import annotations

import pytest
import torch

from dcgan_analysis.checkpoints.sampling import as_bytes, class_labels, generate
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.tables import dcgan28_conditional


def test_batches_join_to_what_one_pass_gives(tiny_checkpoint):
    z, told = tiny_checkpoint.latents(5, seed=0), []
    batches = list(generate(tiny_checkpoint.generator(), z, batch=2, progress=told.append))
    torch.testing.assert_close(torch.cat(batches), tiny_checkpoint.sample(5, seed=0))
    assert told == [2, 4, 5]
    assert as_bytes(tiny_checkpoint, batches[0]).shape == (2, 3, 32, 32)


def test_classes_come_in_turn_or_as_told(tiny_checkpoint):
    conditional = dcgan28_conditional(width=2, hidden=4, classes=3)
    assert class_labels(conditional, [0, 4, 5]).tolist() == [0, 1, 2]
    assert class_labels(conditional, [0, 4], 2).tolist() == [2, 2]
    assert class_labels(tiny_checkpoint.architecture, [0]) is None
    with pytest.raises(AnalysisError, match="classes 0 to 2"):
        class_labels(conditional, [0], 3)
    with pytest.raises(AnalysisError, match="not conditional"):
        class_labels(tiny_checkpoint.architecture, [0], 1)
