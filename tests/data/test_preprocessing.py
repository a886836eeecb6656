from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_analysis.data import Preprocessing, preprocessing
from dcgan_analysis.errors import ConfigError, DatasetError

ALL_BYTES = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scale-to-[-1,1]", np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)),
        ("scale-to-[0,1]", np.arange(256, dtype=np.float32) / np.float32(255)),
    ],
)
def test_every_byte_becomes_exactly_the_value_of_the_formula(name, expected):
    prepared = Preprocessing((1, 16, 16), name)(ALL_BYTES)
    assert prepared.dtype == torch.float32
    np.testing.assert_array_equal(prepared.numpy().ravel(), expected)


@pytest.mark.parametrize("name", ["scale-to-[-1,1]", "scale-to-[0,1]"])
def test_bytes_survive_the_way_there_and_back(name):
    prepare = Preprocessing((1, 16, 16), name)
    np.testing.assert_array_equal(prepare.to_bytes(prepare(ALL_BYTES)), ALL_BYTES)


def test_values_outside_the_range_are_clipped():
    outside = torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2)
    assert Preprocessing((1, 1, 2)).to_bytes(outside).ravel().tolist() == [0, 255]


def test_input_is_not_changed_and_may_be_read_only_or_a_view():
    images = np.full((2, 3, 4, 4), 200, np.uint8)
    images.setflags(write=False)
    Preprocessing((3, 4, 4))(images[::-1])
    assert (images == 200).all()


def test_exact_fit_refuses_another_shape_and_says_what_to_do():
    with pytest.raises(DatasetError) as caught:
        Preprocessing((3, 32, 32)).check((1, 28, 28), dataset="mnist", checkpoint="big")
    assert str(caught.value).startswith(
        "Dataset 'mnist' has images of 1x28x28, checkpoint 'big' takes 3x32x32. Use the setting fit=resize"
    )
    with pytest.raises(DatasetError, match="The batch has images of 1x28x28, the model takes"):
        Preprocessing((3, 32, 32))(np.zeros((1, 1, 28, 28), np.uint8))


def test_resize_accepts_what_exact_refuses():
    prepare = Preprocessing((3, 32, 32), fit="resize")
    prepare.check((1, 28, 28), dataset="mnist", checkpoint="big")
    assert prepare(np.zeros((2, 1, 28, 28), np.uint8)).shape == (2, 3, 32, 32)


def test_resize_leaves_images_that_fit_as_they_are():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    exact, resize = Preprocessing((3, 8, 8)), Preprocessing((3, 8, 8), fit="resize")
    assert torch.equal(exact(images), resize(images))


@pytest.mark.parametrize("size", [(40, 40), (64, 48), (20, 31)])
def test_resize_agrees_with_pillow_within_one_level(size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    prepare = Preprocessing((3, 32, 32), fit="resize")
    ours = prepare.to_bytes(prepare(pixels.transpose(2, 0, 1)[None]))[0].astype(int)

    scale = 32 / min(size)
    height, width = (round(length * scale) for length in size)
    large = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    top, left = (height - 32) // 2, (width - 32) // 2
    theirs = np.asarray(large)[top : top + 32, left : left + 32].transpose(2, 0, 1)
    assert np.abs(ours - theirs).max() <= 1


def test_wide_images_lose_their_sides_equally():
    images = np.zeros((1, 1, 2, 6), np.uint8)
    images[..., 2:4] = 255
    prepared = Preprocessing((1, 2, 2), fit="resize")(images)
    assert (prepared == 1).all()


def test_gray_is_repeated_and_colour_becomes_luma():
    gray = Preprocessing((3, 16, 16), fit="resize")(ALL_BYTES)
    assert torch.equal(gray[:, 0], gray[:, 2])
    colour = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8).reshape(3, 3, 1, 1)
    prepare = Preprocessing((1, 1, 1), fit="resize")
    # 0.299, 0.587 and 0.114 of 255, rounded.
    assert prepare.to_bytes(prepare(colour)).ravel().tolist() == [76, 150, 29]


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(DatasetError, match="2 channels cannot be turned into 3"):
        Preprocessing((3, 4, 4), fit="resize")(np.zeros((1, 2, 4, 4), np.uint8))


def test_an_image_does_not_depend_on_its_batch_mates():
    images = np.random.default_rng(2).integers(0, 256, (5, 3, 50, 40), dtype=np.uint8)
    prepare = Preprocessing((3, 32, 32), fit="resize")
    assert torch.equal(prepare(images)[3], prepare(images[3:4])[0])


def test_identity_is_json_and_tells_apart_what_gives_other_numbers():
    variants = [
        Preprocessing((3, 32, 32)),
        Preprocessing((3, 64, 64)),
        Preprocessing((3, 32, 32), "scale-to-[0,1]"),
        Preprocessing((3, 32, 32), fit="resize"),
    ]
    assert len({json.dumps(variant.identity) for variant in variants}) == 4
    assert variants[0].identity["version"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "zscore"}, r"preprocessing must be one of scale-to-\[-1,1\].*got 'zscore'"),
        ({"fit": "crop"}, "fit must be one of exact, resize, got 'crop'"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Preprocessing((3, 32, 32), **options)


def test_large_images_are_resized_a_few_at_a_time_with_the_same_outcome(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 40, 30), dtype=np.uint8)
    prepare = Preprocessing((3, 16, 16), fit="resize")
    whole = prepare(images)
    sizes = []
    original = preprocessing._resize
    monkeypatch.setattr(preprocessing, "_MOST_VALUES", 2 * 3 * 40 * 30)
    monkeypatch.setattr(preprocessing, "_resize", lambda batch, size: sizes.append(len(batch)) or original(batch, size))
    assert torch.equal(prepare(images), whole)
    assert sizes == [2, 2, 1]


def test_lines_are_not_resized():
    line = np.zeros((1, 3, 2, 201), np.uint8)
    with pytest.raises(DatasetError, match="3x2x201 are not resized: one side is more than 100 times the other"):
        Preprocessing((3, 64, 64), fit="resize")(line)
    assert Preprocessing((3, 4, 4), fit="resize")(line[..., :200]).shape == (1, 3, 4, 4)
