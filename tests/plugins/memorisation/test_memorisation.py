from __future__ import annotations

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.memorisation.analysis import Memorisation
from dcgan_analysis_plugins.memorisation.queries import perturbed_copies
from torch import nn

import dcgan_analysis as da
from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.errors import DatasetError
from dcgan_analysis.testing import check_analysis

SHORT = {"samples": 24, "copies": 20, "hash_steps": 10}


def test_memorisation_keeps_the_contract_and_few_samples_cannot_tell(dcgan_context, unrendered):
    result = check_analysis(Memorisation(), dcgan_context, SHORT)
    assert "cannot tell (5 % planted copies are found in" in result.title
    assert result.metrics["hash_collisions"].value == 0
    (power,) = (table for table in result.tables if table.name == "power")
    assert [row[0] for row in power.rows] == [0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1]


class Memoriser(nn.Module):
    """Shows one of the images that it knows."""

    def __init__(self, images):
        super().__init__()
        self.register_buffer("known", torch.from_numpy(images).float() / 127.5 - 1)

    def forward(self, z):
        return self.known[(z[:, 0].abs() * 1e6).long() % len(self.known)] + 0 * z.sum()


def test_a_generator_of_training_images_is_found_out(run, make_images):
    dataset = make_images()
    checkpoint = da.wrap(generator=Memoriser(dataset.split("train").images), latent=4, name="memoriser")
    result = run(Memorisation(), dataset, checkpoint=checkpoint, judge="pixels", **SHORT)
    assert "signs of memorisation (" in result.title
    metrics = result.metrics
    assert metrics["hash_collisions"].value == metrics["near_copies_l2"].value == 1
    assert metrics["prefers_training_l2"].value > 0.6
    assert metrics["closer_than_real_l1"].value == 1
    assert metrics["sharp_steps"].value > 0.2


def test_without_a_held_out_split_training_images_are_compared_with_all_others(run, make_images, saved):
    whole = make_images()
    alone = Dataset.from_splits("alone", {"train": whole.split("train")})
    result = run(Memorisation(), alone, **SHORT)
    assert any("no held-out images" in note for note in result.notes)
    assert not any(name.startswith("prefers_training") for name in result.metrics)
    assert saved(result, "distances")["l2_training"].min() > 0


def test_images_of_another_shape_are_refused(run, make_images):
    other = Dataset.from_splits("gray", {"train": _gray(make_images().split("train"))})
    with pytest.raises(
        DatasetError, match=r"'gray' has images of 1x32x32, checkpoint 'tiny' takes 3x32x32\. Use another dataset"
    ):
        run(Memorisation(), other, **SHORT)


def _gray(split):
    from dataclasses import replace

    return replace(split, images=split.images[:, :1].copy())


def test_copies_are_close_to_what_they_were_made_from():
    images = np.random.default_rng(0).integers(0, 200, (4, 3, 8, 8), dtype=np.uint8)
    copies = perturbed_copies(images, np.random.default_rng(1)).astype(int)
    assert 0 < np.abs(copies - images).mean() < 8
