"""Pictures as cameras, phones and tools write them: right way up, right colours, bounded, and no program started."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from dcgan_analysis.data import load_images
from dcgan_analysis.data.files.decode import Decoding, decode_image
from dcgan_analysis.data.files.pictures import LIMIT_VARIABLE, PictureError, open_picture, picture_format
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.errors import ConfigError, DatasetError


def saved(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def decoded(image, kind="PNG", decoding=None, **options):
    return decode_image(saved(image, kind, **options), "'x'", decoding)


# How a camera stores an upright picture, for each orientation (EXIF 2.3, tag 0x0112: where row 0 and column 0 lie).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),  # to be shown after a quarter turn clockwise
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_photo_is_turned_as_its_camera_says(kind, orientation):
    upright = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    np.testing.assert_array_equal(decoded(image, kind, exif=exif, **options).pixels, upright.transpose(2, 0, 1))


def test_damaged_exif_costs_no_picture():
    pixels = np.full((2, 2, 3), 9, np.uint8)
    image = decoded(Image.fromarray(pixels), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(image.pixels, pixels.transpose(2, 0, 1))


def test_transparent_pixels_are_composed_and_their_hidden_colours_stay_hidden():
    rgba = np.array([[[200, 0, 0, 255], [0, 255, 0, 0], [0, 0, 0, 51]]], np.uint8)
    on_white = decoded(Image.fromarray(rgba))
    assert on_white.pixels[:, 0].T.tolist() == [[200, 0, 0], [255, 255, 255], [204, 204, 204]]
    assert on_white.remarks == ("with transparency, composed on RGB 255 255 255",)
    on_red = decoded(Image.fromarray(rgba), decoding=Decoding(background=(100, 0, 0)))
    assert on_red.pixels[:, 0].T.tolist() == [[200, 0, 0], [100, 0, 0], [80, 0, 0]]


def test_an_opaque_alpha_channel_changes_nothing():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = decoded(Image.fromarray(np.dstack([rgb, np.full((4, 4), 255, np.uint8)])))
    np.testing.assert_array_equal(image.pixels, rgb.transpose(2, 0, 1))
    assert image.remarks == ()


def test_gray_with_transparency_stays_gray_on_gray_alone():
    image = Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8), "LA")
    assert decoded(image).gray
    assert decoded(image).pixels[0].tolist() == [[10, 255]]
    assert not decoded(image, decoding=Decoding(background=(255, 0, 0))).gray


def test_palettes_give_their_colours_and_a_transparent_entry_the_background():
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert decoded(image).pixels[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60]]
    assert decoded(image, transparency=1).pixels[:, 0].T.tolist() == [[10, 20, 30], [255, 255, 255]]


def test_cmyk_gives_the_colours_that_it_prints():
    # All cyan, no other ink; Pillow's plain formula, no colour profile.
    cyan = Image.fromarray(np.tile(np.array([255, 0, 0, 0], np.uint8), (8, 8, 1)), "CMYK")
    colour = decoded(cyan, "JPEG", quality=100).pixels.mean(axis=(1, 2))
    np.testing.assert_allclose(colour, [0, 255, 255], atol=3)


def test_of_an_animation_the_first_frame_is_taken_and_that_is_said():
    frames = [Image.fromarray(np.full((4, 4, 3), level, np.uint8)) for level in (10, 200)]
    image = decoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert image.remarks == ("cut to their first frame",)
    assert image.pixels.max() == 10


def test_pages_of_a_tiff_are_not_counted(monkeypatch):
    counted = property(lambda _: pytest.fail("that takes time in the square of their number"))
    monkeypatch.setattr(TiffImageFile, "n_frames", counted)
    pages = [Image.new("L", (2, 2), level) for level in (9, 0, 0)]
    image = decoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert image.remarks == ("cut to their first frame",)
    assert (image.pixels == 9).all()


@pytest.mark.parametrize(
    ("pixels", "kind", "depth"),
    [
        (np.array([[0, 1000, 4095]], np.uint16), "PNG", "16 bits per channel"),
        (np.array([[0, 1000, 4095]], np.uint16), "TIFF", "16 bits per channel"),
        (np.array([[0, 1000, 4095]], np.int32), "TIFF", "32 bits per channel"),
        (np.array([[0, 1000, 4095]], np.float32), "TIFF", "floating-point values"),
    ],
)
def test_more_than_eight_bits_are_refused_until_black_and_white_are_named(pixels, kind, depth):
    data = saved(Image.fromarray(pixels), kind)
    with pytest.raises(PictureError, match=rf"{depth}, values 0 to 4095\..* the range of dcgan-analyze prepare$"):
        decode_image(data, "'x'")
    image = decode_image(data, "'x'", Decoding(value_range=(0, 4095)))
    assert (image.gray, image.pixels[0].tolist()) == (True, [[0, 62, 255]])
    inverted = decode_image(data, "'x'", Decoding(value_range=(1000, 0)))
    assert inverted.pixels[0].tolist() == [[255, 0, 0]]


def test_values_that_are_not_finite_are_refused():
    data = saved(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF")
    with pytest.raises(PictureError, match="values that are not finite"):
        decode_image(data, "'x'", Decoding(value_range=(0, 1)))


def test_a_postscript_file_named_as_a_picture_starts_no_program(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "9.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(DatasetError, match=r"cannot be read: PostScript \(EPS\)\."):
        load_images(tmp_path / "photos").split("train")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read: empty\\."),
        (b"<!DOCTYPE html><html>404", "read: an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of git-LFS"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture. Convert it to PNG, JPEG"),
        (saved(Image.new("RGB", (64, 64), "red"), "PNG")[:60], "truncated"),
        (b"RIFF\x10\0\0\0WEBPVP8L damaged", "damaged"),
        (b"P5 2 2", "truncated|damaged"),
    ],
)
def test_what_a_file_is_instead_of_a_picture_is_said_in_one_line(data, message):
    with pytest.raises(PictureError, match=message) as caught:
        decode_image(data, "'1.png' in photos")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_the_first_bytes_tell_the_format(kind):
    assert picture_format(saved(Image.new("RGB", (4, 4)), kind)) == kind


@pytest.mark.parametrize("size", [(9000, 9000), (1, 100_000)])
def test_a_picture_beyond_the_limit_is_refused_before_it_is_unpacked(size, tmp_path, monkeypatch):
    data = saved(Image.new("1", size))
    assert len(data) < 20_000
    with pytest.raises(PictureError, match=rf"more than 80 million pixels.*, namely {size[0]:,} x .* {LIMIT_VARIABLE}"):
        decode_image(data, "'x'")
    monkeypatch.setenv(LIMIT_VARIABLE, "81")
    with open_picture(saved(Image.new("1", (9000, 9000))), "'x'") as image:
        assert image.size == (9000, 9000)


def test_a_jpeg_of_thousands_of_passes_over_the_picture_is_refused_before_them(monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "0.005")
    data = saved(Image.new("L", (64, 64), 9), "JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), len(data) - 2
    repeated = data[:end] + 60 * data[start:end] + data[end:]
    assert decode_image(data, "'x'").pixels.max() < 20
    with pytest.raises(PictureError, match=r"'x' cannot be read: more passes .* write, \d+\. Save it again"):
        decode_image(repeated, "'x'")


def test_a_limit_that_is_no_number_is_refused(monkeypatch):
    for text in ("many", "-1", "nan"):
        monkeypatch.setenv(LIMIT_VARIABLE, text)
        with pytest.raises(ConfigError, match=rf"{LIMIT_VARIABLE} must be a number .* got '{text}'"):
            decode_image(saved(Image.new("L", (1, 1))), "'x'")


def test_a_long_line_is_resized_without_what_the_crop_leaves_over():
    line = np.zeros((2, 60_000, 3), np.uint8)
    line[:, 29_999:30_001] = 250
    # Resized as a whole it would have 64 x 1,920,000 pixels.
    image = decoded(Image.fromarray(line), decoding=Decoding(size=64))
    assert image.pixels.shape == (3, 64, 64)
    assert image.pixels[0, :, 32].min() == 250


def test_prepare_says_what_it_changed_and_takes_background_and_range(tmp_path):
    (tmp_path / "photos").mkdir()
    clear = np.zeros((4, 4, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "photos" / "clear.png")
    Image.fromarray(np.full((4, 4), 2000, np.uint16)).save(tmp_path / "photos" / "deep.png")

    plain = prepare_images(tmp_path / "photos", tmp_path / "plain", size=4)
    assert plain.n == {"train": 1}
    assert plain.remarks == [
        "1 of 2 images could not be read and were left out: 16 bits per channel (1).",
        "1 images with transparency, composed on RGB 255 255 255.",
    ]
    both = prepare_images(tmp_path / "photos", tmp_path / "both", size=4, background=(0, 0, 255), value_range=(0, 4000))
    assert both.n == {"train": 2}
    dataset = load_images(tmp_path / "both")
    assert dataset.split("train").images[:, :, 0, 0].tolist() == [[0, 0, 255], [128, 128, 128]]
    assert "1 images with transparency, composed on RGB 0 0 255." in dataset.note
    for wrong in ((1.0, 1.0), (0.0, float("nan"))):
        with pytest.raises(DatasetError, match="two different finite numbers"):
            prepare_images(tmp_path / "photos", tmp_path / "no", size=4, value_range=wrong)


def test_changed_pictures_are_named_in_the_source_of_the_split_and_on_the_terminal(tmp_path, caplog):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(tmp_path / "photos" / "clear.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "photos" / "solid.png")
    for _ in range(2):  # decoded, then from the cache
        caplog.clear()
        train = load_images(tmp_path / "photos").split("train")
        assert train.source == "photos, 1 with transparency, composed on RGB 255 255 255"
        assert caplog.messages == ["photos: 1 of 2 images with transparency, composed on RGB 255 255 255"]
