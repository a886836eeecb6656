from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcgan_analysis.data.dataset import Dataset
from dcgan_analysis.latents.seen_images import held_out_images, seen_images


@pytest.fixture
def trained_on(dcgan_context):
    """A run whose checkpoint was trained on the first 20 images of a dataset of one split."""
    train = dcgan_context.dataset.split("train")
    metadata = dcgan_context.checkpoint.metadata.model_copy(
        update={"data": {"name": "whole", "n": 20, "sha256": train.take(range(20)).sha256}}
    )
    dataset = Dataset.from_splits("one", {"train": train})
    checkpoint = replace(dcgan_context.checkpoint, metadata=metadata)
    return replace(dcgan_context, _dataset=dataset, _checkpoint=checkpoint, _splits={}), train


def test_images_that_training_kept_back_are_held_out(trained_on):
    context, train = trained_on
    np.testing.assert_array_equal(seen_images(context).images, train.images[:20])
    np.testing.assert_array_equal(held_out_images(context).images, train.images[20:])
    assert context._notes == []


def test_a_test_split_is_held_out_before_all_else(dcgan_context):
    assert len(held_out_images(dcgan_context).images) == len(dcgan_context.dataset.split("test"))


def test_without_any_there_is_none_and_images_that_were_not_trained_on_are_noted(trained_on):
    context, train = trained_on
    other = replace(
        context, _dataset=Dataset.from_splits("other", {"train": train.take(range(5, 30))}), _splits={}, _notes=[]
    )
    assert held_out_images(other) is None
    seen_images(other)
    assert other._notes == [
        "The checkpoint does not name these 25 images of 'other' as those it was trained on, but 20 of 'whole'."
    ]


def test_the_split_that_was_trained_on_is_seen_and_never_held_out(trained_on):
    context, train = trained_on
    metadata = context.checkpoint.metadata.model_copy(update={"data": {"split": "test", "sha256": train.sha256}})
    other = train.take(range(5))
    turned = replace(
        context,
        _dataset=Dataset.from_splits("turned", {"train": train.take(range(3)), "test": train, "validation": other}),
        _checkpoint=replace(context.checkpoint, metadata=metadata),
        _splits={},
    )
    np.testing.assert_array_equal(seen_images(turned).images, train.images)
    np.testing.assert_array_equal(held_out_images(turned).images, other.images)
    assert context._notes == []
