"""Analyses of samples run on a checkpoint that holds a generator alone, and say who judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

import dcgan_analysis as da

QUICK = {
    "latent-walk": {"walks": 1, "points": 3, "steps": 4, "bank": 16},
    "turn-vector": {"samples": 200, "new": 4, "vectors": 1, "classifier_steps": 2},
    "directions": {"samples": 60, "new": 4, "k": 1, "random": 2, "classifier_steps": 2},
    "memorisation": {"samples": 20, "copies": 20, "hash_steps": 2, "vgg19": False},
    "invert": {"images": 20, "steps": 2, "candidates": 16},
    "latent-arithmetic": {
        "samples": 48,
        "triples": 4,
        "classifier_steps": 2,
        "margin": 0.0,
        "moved": "slant",
        "contrast": ["brightness"],
    },
    "dissect": {"boxes": "rule:bright", "n": 30, "walks": 2, "steps": 2},
    "filter-dropout": {"boxes": "rule:bright", "n": 30, "samples": 20},
}
JUDGED = ("latent-walk", "turn-vector", "directions", "memorisation", "invert")


@pytest.fixture(scope="module")
def generator():
    whole = da.load_checkpoint("digits-dcgan32")
    # Without its path: exemplars and boxes that lie beside the file mark samples of the whole checkpoint.
    return replace(whole, weights={"generator": whole.weights["generator"]}, name="generator alone", path=None)


@pytest.mark.parametrize("name", QUICK)
def test_a_generator_alone_is_enough(name, generator, tmp_path, unrendered):
    from dcgan_analysis.host.host import default_host

    demo = default_host().analysis(name).demo
    settings = {**dict(demo.settings), **QUICK[name]}
    limit = 100 if name == "memorisation" else demo.limit
    result = da.run(name, settings=settings, checkpoint=generator, limit=limit, out=tmp_path / "run")
    judged = any("judged by: a network of random weights" in note for note in result.notes)
    assert judged == (name in JUDGED)
    if name == "latent-arithmetic":
        assert "realism" not in result.metrics
        assert any("checkpoint 'generator alone' holds no discriminator" in note for note in result.notes)
