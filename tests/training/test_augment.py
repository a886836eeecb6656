from __future__ import annotations

import pytest
import torch

from dcgan_analysis.training.augment import DiffAugment

RANGE = (-1.0, 1.0)


@pytest.fixture
def images():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("policy", [["color"], ["translation"], ["cutout"], ["color", "translation", "cutout"]])
def test_images_are_changed_each_in_its_own_way_and_alike_for_one_key(images, policy):
    augment = DiffAugment(policy, RANGE)

    changed = augment(images, (1, 2))

    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert torch.equal(changed, augment(images, (1, 2)))
    assert not torch.equal(changed, augment(images, (1, 3)))
    same = augment(images[:1].expand(6, -1, -1, -1), (1, 2))
    assert len({tuple(image.flatten().tolist()) for image in same}) > 1


def test_a_share_of_a_minibatch_is_changed_as_it_is_in_the_whole(images):
    augment = DiffAugment(["color", "translation", "cutout"], RANGE)

    whole, part = augment(images, (4,)), augment(images[2:4], (4,), slice(2, 4), 6)

    torch.testing.assert_close(part, whole[2:4])


def test_translation_moves_whole_pixels_by_an_eighth_at_most_and_fills_with_zero():
    images = torch.zeros(200, 1, 16, 16)
    images[:, :, 8, 8] = 1

    moved = DiffAugment(["translation"], RANGE)(images, (0,))

    _, _, y, x = moved.nonzero(as_tuple=True)
    assert len(y) == 200
    assert sorted(set((y - 8).tolist())) == sorted(set((x - 8).tolist())) == [-2, -1, 0, 1, 2]
    assert set(moved.unique().tolist()) == {0, 1}


def test_cutout_zeroes_a_square_of_half_a_side():
    cut = DiffAugment(["cutout"], RANGE)(torch.ones(300, 1, 16, 16), (0,))

    zeros = (cut == 0).sum((1, 2, 3))
    assert int(zeros.max()) == 8 * 8
    assert int(zeros.min()) >= 4 * 4  # over a corner


def test_brightness_alone_shifts_by_a_quarter_of_the_range_at_most():
    gray = torch.zeros(500, 3, 4, 4)  # neither saturation nor contrast changes it

    changed = DiffAugment(["color"], RANGE)(gray, (0,))[:, 0, 0, 0]

    assert -0.5 <= float(changed.min()) < -0.48
    assert 0.48 < float(changed.max()) <= 0.5
    assert float(DiffAugment(["color"], (0.0, 1.0))(gray, (0,)).max()) <= 0.25


def test_gradients_flow_back_through_every_augmentation(images):
    images.requires_grad_(True)

    DiffAugment(["color", "translation", "cutout"], RANGE)(images, (0,)).square().sum().backward()

    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_without_a_policy_images_stay(images):
    assert DiffAugment([], RANGE)(images, (0,)) is images
