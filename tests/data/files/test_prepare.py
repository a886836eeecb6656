from __future__ import annotations

import io
import json
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.data import load_dataset
from dcgan_analysis.data.files import prepared_writer
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import DatasetError


def test_pixels_of_the_right_size_come_back_exactly_with_labels_groups_and_hash(make_zip, pictures, tmp_path):
    pixels = pictures("train/0.png", "train/1.png", "test/0.png", size=(6, 6))
    metadata = {
        "labels": [["train/0.png", 1], ["train/1.png", 0], ["test/0.png", 1]],
        "classes": ["hen", "owl"],
        "photo": {"train": [7, 8], "test": [9]},
        "yaw": {"train/1.png": 12.5},
        "note": "mine",
    }
    path = make_zip(pixels, metadata)

    done = prepare_images(path, tmp_path / "ready", size=6)
    dataset = load_dataset(tmp_path / "ready")
    plain = load_dataset(path)

    assert (done.n, done.skipped) == ({"train": 2, "test": 1}, 0)
    assert dataset.classes == ["hen", "owl"]
    assert dataset.note == "mine Prepared from birds.zip: shorter side to 6, bilinear, centre crop."
    for split in ("train", "test"):
        one, other = dataset.split(split), plain.split(split)
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.groups, other.groups)
        np.testing.assert_equal(one.extras, other.extras)
        assert one.sha256 == other.sha256
        assert one.ids == other.ids


def test_prepared_images_are_a_memory_map_and_taking_neighbours_copies_nothing(make_zip, pictures, tmp_path):
    prepare_images(make_zip(pictures("1.png", "2.png", "3.png")), tmp_path / "ready", size=4)
    train = load_dataset(tmp_path / "ready").split("train")

    assert isinstance(train.images, np.memmap)
    assert np.shares_memory(train.take([1, 2]).images, train.images)
    assert not np.shares_memory(train.take([0, 2]).images, train.images)
    assert train.take([1, 2]).sha256 != train.sha256


def test_any_size_is_resized_by_its_shorter_side_and_cut_in_the_centre(tmp_path):
    gradient = np.tile(np.arange(40, dtype=np.uint8)[None, :, None] * 6, (20, 1, 3))
    (tmp_path / "photos").mkdir()
    Image.fromarray(gradient).save(tmp_path / "photos" / "wide.png")
    Image.fromarray(gradient.transpose(1, 0, 2)).save(tmp_path / "photos" / "tall.png")

    prepare_images(tmp_path / "photos", tmp_path / "ready", size=10)
    tall, wide = load_dataset(tmp_path / "ready").split("train").images

    # Within a level of what `fit=resize` does to one image at a time: the same filter, rounded once more.
    expected = Preprocessing((3, 10, 10), fit="resize").to_bytes(
        Preprocessing((3, 10, 10), fit="resize")(gradient.transpose(2, 0, 1)[None])
    )[0]
    assert np.abs(wide.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(tall, wide.transpose(0, 2, 1))


def test_colour_becomes_gray_by_luma(make_folder, tmp_path):
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    prepare_images(make_folder({"1.png": red}), tmp_path / "ready", size=4, channels=1)
    assert load_dataset(tmp_path / "ready").split("train").images.tolist() == [[[[60] * 4] * 4]]


def test_corrupt_images_are_left_out_counted_and_listed(make_folder, pictures, tmp_path):
    folder = make_folder(pictures("owl/1.png", "owl/2.png", "hen/3.png"))
    whole = (folder / "owl" / "2.png").read_bytes()
    (folder / "owl" / "2.png").write_bytes(whole[: len(whole) // 2])

    done = prepare_images(folder, tmp_path / "ready", size=4)
    dataset = load_dataset(tmp_path / "ready")

    assert (done.n, done.skipped) == ({"train": 2}, 1)
    assert dataset.split("train").ids == ["hen/3.png", "owl/1.png"]
    assert dataset.split("train").labels.tolist() == [0, 1]
    assert "1 of 3 images could not be read and were left out" in dataset.note
    (line,) = (tmp_path / "ready" / "skipped.tsv").read_text().splitlines()
    assert line.startswith("owl/2.png\tImage 'owl/2.png' in birds cannot be read")


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_killed_preparation_goes_on_and_ends_as_one_in_one_go(
    make_folder, pictures, tmp_path, monkeypatch, killed_at
):
    folder = make_folder(pictures(*(f"{kind}/{i}.png" for kind in ("hen", "owl") for i in range(4))))
    (folder / "hen" / "1.png").write_bytes(b"no image")
    monkeypatch.setattr(prepared_writer, "_BLOCK", 2)
    prepare_images(folder, tmp_path / "whole", size=4)

    def kill(what, done, total):
        assert total == 8
        if done == 2 * killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_images(folder, tmp_path / "parts", size=4, progress=kill)
    assert not (tmp_path / "parts").exists()
    with (tmp_path / "parts.part" / "train.u8").open("ab") as file:
        file.write(b"written but not in the journal")
    seen = []
    prepare_images(folder, tmp_path / "parts", size=4, progress=lambda *now: seen.append(now[1]))

    assert seen[0] == 2 * killed_at + 2
    for name in ("train.u8", "train.ids", "skipped.tsv", "metadata.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "parts.part").exists()


def test_a_preparation_with_other_settings_is_refused_and_what_there_is_stays(make_folder, pictures, tmp_path):
    folder = make_folder(pictures("1.png", "2.png"))

    def kill(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_images(folder, tmp_path / "ready", size=4, progress=kill)
    with pytest.raises(DatasetError, match=r"another size \(begun 4, now 8\)"):
        prepare_images(folder, tmp_path / "ready", size=8)
    prepare_images(folder, tmp_path / "ready", size=4)
    with pytest.raises(DatasetError, match=r"exists. Choose another folder"):
        prepare_images(folder, tmp_path / "ready", size=4)


def test_when_no_image_can_be_read_the_reasons_are_kept(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"None of the 1 images of .* can be read; '.*skipped.tsv' says why"):
        prepare_images(tmp_path / "photos", tmp_path / "ready", size=4)


def test_the_limit_takes_the_first_images(make_zip, pictures, tmp_path):
    done = prepare_images(make_zip(pictures("1.png", "2.png", "3.png")), tmp_path / "ready", size=4, limit=2)
    assert done.n == {"train": 2}


def test_damaged_or_newer_prepared_images_are_refused(make_zip, pictures, tmp_path):
    prepare_images(make_zip(pictures("1.png")), tmp_path / "ready", size=4)
    metadata = tmp_path / "ready" / "metadata.json"
    text = metadata.read_text()

    (tmp_path / "ready" / "train.u8").write_bytes(b"short")
    with pytest.raises(DatasetError, match=r"has 5 bytes, 48 were written"):
        load_dataset(tmp_path / "ready").split("train")
    metadata.write_text(json.dumps(json.loads(text) | {"version": 2}))
    with pytest.raises(DatasetError, match=r"has version 2 .* this release reads 1"):
        load_dataset(tmp_path / "ready")


def test_images_of_more_bits_are_left_out_not_fatal(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(stream, "png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "deep.png").write_bytes(stream.getvalue())
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "photos" / "plain.png")
    assert prepare_images(tmp_path / "photos", tmp_path / "ready", size=4).skipped == 1


def test_a_second_preparation_into_the_same_folder_is_refused_at_the_start(make_folder, pictures, tmp_path):
    folder = make_folder(pictures("1.png", "2.png"))
    refused = []

    def second(*_):
        with pytest.raises(DatasetError) as caught:
            prepare_images(folder, tmp_path / "ready", size=8)
        refused.append(str(caught.value))

    assert prepare_images(folder, tmp_path / "ready", size=4, progress=second).n == {"train": 2}
    (message,) = refused
    assert message.startswith(f"The folder of prepared images '{tmp_path / 'ready'}' is being written by process ")
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("ready")] == ["ready"]


def test_a_tar_of_large_files_is_never_held_whole(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "png")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for i in range(400):
            member = tarfile.TarInfo(f"{i}.png")
            member.size = len(stream.getvalue())
            archive.addfile(member, io.BytesIO(stream.getvalue()))
    tracemalloc.start()
    assert prepare_images(tmp_path / "photos.tar", tmp_path / "ready", size=8).n == {"train": 400}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "photos.tar").stat().st_size > 45e6
    assert peak < 10e6
