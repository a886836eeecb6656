"""Whatever streams images through a network does so several batches at a time, with the same bits for any number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.directions import activations
from dcgan_analysis.checkpoints.judgement import discriminator_logits
from dcgan_analysis.core import parallel
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.latents.perceptual import discriminator_embedding
from dcgan_analysis.models import replicas
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.training.classifier import outputs
from dcgan_analysis.units.detector import make_detector

CPU = torch.device("cpu")
ARCHITECTURE = dcgan32(width=2)
CHECKPOINT = Checkpoint.random(ARCHITECTURE, seed=0)
IMAGES = np.random.default_rng(0).integers(256, size=(130, 3, 32, 32), dtype=np.uint8)


def detector(kind):
    def seen():
        images, boxes = torch.from_numpy(IMAGES).float() / 127.5 - 1, [[(8.0, 8.0, 12.0, 12.0)]] * len(IMAGES)
        rng = np.random.default_rng(0)
        made = make_detector(CHECKPOINT, images, None, boxes, kind=kind, judges=2, device=CPU, rng=rng)
        return torch.cat([made.seen(images, None).flatten(1).float(), made.seen(images, None, images / 2).flatten(1)])

    return seen


STREAMS = {
    "logits": lambda: torch.from_numpy(discriminator_logits(CHECKPOINT, CPU, IMAGES)),
    "embedding": lambda: discriminator_embedding(CHECKPOINT.discriminator(), ARCHITECTURE, CPU)(IMAGES),
    "activations": lambda: activations(CHECKPOINT, CHECKPOINT.latents(130, seed=0)),
    "classifier": lambda: outputs(
        CHECKPOINT.discriminator(), IMAGES, Preprocessing.for_range((3, 32, 32), (-1.0, 1.0)), batch=64
    ),
    "detector, discriminator": detector("discriminator"),
    "detector, pixels": detector("pixels"),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_batches_run_side_by_side_and_give_the_same_bits(stream, monkeypatch):
    results, threads = [], []
    in_threads = parallel._in_threads
    monkeypatch.setattr(parallel, "_in_threads", lambda *args: threads.append(args[-1]) or in_threads(*args))
    for count in (1, 3):
        for module in (parallel, replicas):
            monkeypatch.setattr(module, "worker_count", lambda device=None, count=count: count)
        results.append(STREAMS[stream]())

    assert torch.equal(*results)
    assert set(threads) == {3}
