from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.memorisation.analysis import Memorisation
from dcgan_analysis_plugins.memorisation.copying import perturbed_copies, prefers_training

from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.errors import DatasetError
from dcgan_analysis.testing import check_analysis

SHORT = {"samples": 24, "copies": 20, "hash_steps": 10}


def test_memorisation_keeps_the_contract_and_a_random_generator_memorises_nothing(dcgan_context, unrendered):
    result = check_analysis(Memorisation(), dcgan_context, SHORT)
    assert result.title.endswith("no sign of it")
    assert result.metrics["hash_collisions"].value == 0


def test_a_generator_of_training_images_is_found_out(run, make_images, monkeypatch):
    dataset = make_images()
    train = dataset.split("train").images

    class Memoriser:
        def __init__(self, checkpoint, device, progress=None, label=None):
            self.checkpoint, self.label, self.generator = checkpoint, None, torch.nn.Identity()

        def labels(self, indices):
            return None

        def images(self, z, labels=None):
            return torch.from_numpy(self(z)) / 127.5 - 1

        def __call__(self, z, labels=None, **options):
            return train[(z[:, 0].abs().numpy() * 1e6).astype(int) % len(train)]

    monkeypatch.setattr("dcgan_analysis.checkpoints.Sampler", Memoriser)
    result = run(Memorisation(), dataset, **SHORT)
    assert "memorising (" in result.title
    metrics = result.metrics
    assert metrics["hash_collisions"].value == metrics["near_copies"].value == 1
    # Half of the training images lie in each subset; a copy of one of these has distance 0.
    assert metrics["prefers_training_l2"].value > 0.6
    assert metrics["closer_than_real_l1"].value == 1
    assert metrics["sharp_steps"].value > 0.2


def test_without_a_held_out_split_training_images_are_compared_with_all_others(run, make_images, saved):
    whole = make_images()
    alone = Dataset.from_splits("alone", {"train": whole.split("train")})
    result = run(Memorisation(), alone, **SHORT)
    assert any("no held-out split" in note for note in result.notes)
    assert not any(name.startswith("prefers_training") for name in result.metrics)
    assert saved(result, "distances")["l2_held-out"].min() > 0


def test_images_of_another_shape_are_refused(run, make_images):
    other = Dataset.from_splits("gray", {"train": _gray(make_images().split("train"))})
    with pytest.raises(
        DatasetError, match=r"'gray' has images of 1x32x32, checkpoint 'tiny' takes 3x32x32\. Use another dataset"
    ):
        run(Memorisation(), other, **SHORT)


def _gray(split):
    from dataclasses import replace

    return replace(split, images=split.images[:, :1].copy())


def test_preference_counts_ties_half_and_judges_chance_by_pairs():
    within = np.array([[1.0, 5.0], [2.0, 2.0]])
    share, chance = prefers_training(within, np.array([2.0, 2.0]))
    assert share == (0.5 + 0.5) / 2
    assert chance == [0.5]


def test_copies_are_close_to_what_they_were_made_from():
    images = np.random.default_rng(0).integers(0, 200, (4, 3, 8, 8), dtype=np.uint8)
    copies = perturbed_copies(images, np.random.default_rng(1)).astype(int)
    assert 0 < np.abs(copies - images).mean() < 8
